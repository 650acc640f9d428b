"""Shell: which placements were proved here, and the one thread that proves those that are asked for.

A placement is proved when head, part and tail on this worker's kernels give the whole model's bytes, checked in a
child process, so that a part which crashes the engine harms nobody. Asking never waits: until the proof is there
the answer is "not yet". Bounded: the least used of too many proved placements is forgotten, and so is the oldest
of too many that failed.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from queue import Full, Queue

from cloud_worker.part_models import PartModel
from inference.parity import KernelPath
from inference.parity_child import parity_in_child
from observability import log
from schemas.documents import MAX_PLACEMENTS
from schemas.placements import Placement

MAX_WAITING = 16
MAX_FAILED = 256
_log = log.get("cloud_worker.proofs")

Prove = Callable[[PartModel, Placement], str]  # why a placement cannot be relied on; empty where it can
_Key = tuple[bytes, Placement]


class Proofs:
    """The placements of one worker. ``on_proved`` is called on the proving thread whenever their list changes."""

    def __init__(self, models: Mapping[bytes, PartModel], *, prove: Prove) -> None:
        self.models = models
        self.on_proved: Callable[[], None] = lambda: None
        self._prove = prove
        self._lock = threading.Lock()
        self._proved: dict[bytes, OrderedDict[Placement, None]] = {digest: OrderedDict() for digest in models}
        self._failed: OrderedDict[_Key, str] = OrderedDict()
        self._waiting: set[_Key] = set()
        self._queue: Queue[_Key | None] = Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="proofs", daemon=True)

    def start(self) -> None:
        """Begin to prove what is asked for."""
        self._thread.start()

    def stop(self) -> None:
        """Prove nothing more; a proof that runs ends with its child."""
        try:
            self._queue.put_nowait(None)
        except Full:
            _log.info("proofs were still wanted when the worker stopped", waiting=len(self._waiting))

    def is_proved(self, digest: bytes, placement: Placement) -> bool:
        """Whether a placement may be used; counts as a use of it."""
        with self._lock:
            proved = self._proved.get(digest)
            if proved is None or placement not in proved:
                return False
            proved.move_to_end(placement)
            return True

    def want(self, digest: bytes, placement: Placement) -> str:
        """Have a placement proved; why it never will be, empty while that is open."""
        key = (digest, placement)
        with self._lock:
            if key in self._failed or key in self._waiting:
                return self._failed.get(key, "")
            if why := _illegal(self.models[digest], placement):
                return why
            try:
                self._queue.put_nowait(key)
            except Full:
                return ""  # whoever asks again finds room when the others are done
            self._waiting.add(key)
        return ""

    def placements(self) -> dict[str, tuple[int, ...]]:
        """Ids of the proved placements by the model's hex digest, for the presence."""
        with self._lock:
            return {
                digest.hex(): tuple(sorted(placement.id for placement in proved))
                for digest, proved in self._proved.items()
                if proved
            }

    def _run(self) -> None:
        while (key := self._queue.get()) is not None:
            digest, placement = key
            try:
                why = self._prove(self.models[digest], placement)
            except Exception as error:  # noqa: BLE001 - the thread must outlive every proof; it is logged
                _log.exception("a proof failed in a way nobody foresaw", start=placement.start)
                why = f"the proof failed: {error!r}"
            self._note(key, why)
            if not why:
                self.on_proved()

    def _note(self, key: _Key, why: str) -> None:
        digest, placement = key
        facts = {"model": digest.hex()[:12], "start": placement.start, "end": placement.end}
        with self._lock:
            self._waiting.discard(key)
            if why:
                self._failed[key] = why
                while len(self._failed) > MAX_FAILED:
                    self._failed.popitem(last=False)
            else:
                self._proved[digest][placement] = None
                while len(self._proved[digest]) > MAX_PLACEMENTS:
                    self._proved[digest].popitem(last=False)
        if why:
            _log.warning("a placement is not offered", why=why, **facts)
        else:
            _log.info("a placement is proved", **facts)


def prove_in_child(model: PartModel, placement: Placement, /, *, where: KernelPath) -> str:
    """Compare head, part and tail with the whole in a child process; why they differ, empty where they do not."""
    report = parity_in_child(model.path, [(placement.start, placement.end)], device=where)
    if report.refused:
        return report.refused
    if not report.passed:
        return f"in parts its results differ from the whole's by up to {report.max_difference:g}"
    if model.kernel not in report.fingerprints:
        return "a child process computes it on other kernels than this one: restart the worker"
    return ""


def _illegal(model: PartModel, placement: Placement) -> str:
    """Why the positions are none of this model's."""
    legal = {cut.position for cut in model.split.cuts}
    wrong = [str(position) for position in (placement.start, placement.end) if position not in legal]
    if not wrong:
        return ""
    return f"{' and '.join(wrong)} is no legal cut of this model: see `headway model inspect`"
