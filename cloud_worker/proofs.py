"""Shell: which placements were proved here, and the one thread that proves those that are asked for.

A placement is proved when head, part and tail on this worker's kernels give the whole model's bytes, checked in a
child process that goes after everybody else, so that a part which crashes the engine harms nobody and no answer waits
for a proof. One proof runs at a time. Asking never waits: until the proof is there the answer is "not yet", and
``ProofPlan`` says when to ask again. The least used of too many proved placements is forgotten.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from queue import SimpleQueue

from cloud_worker.part_models import PartModel
from cloud_worker.proof_plan import Key, NotYet, ProofLimits, ProofPlan, Verdict, being_proved
from inference.parity.check import KernelPath
from inference.parity.child import parity_in_child
from observability import log
from schemas.documents import MAX_PLACEMENTS
from schemas.placements import Placement

NICENESS = 10  # of the proving child: frames are answered first
_log = log.get("cloud_worker.proofs")

Prove = Callable[[PartModel, Placement], Verdict]


class Proofs:
    """The placements of one worker. ``on_proved`` is called on the proving thread whenever their list changes."""

    def __init__(
        self,
        models: Mapping[bytes, PartModel],
        *,
        prove: Prove,
        clock_ns: Callable[[], int],
        limits: ProofLimits | None = None,
    ) -> None:
        self.models = models
        self.on_proved: Callable[[], None] = lambda: None
        self._prove = prove
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._proved: dict[bytes, OrderedDict[Placement, None]] = {digest: OrderedDict() for digest in models}
        legal = {
            digest: frozenset(cut.position for cut in model.split.cuts) for digest, model in models.items()
        }
        self._plan = ProofPlan(legal, limits=limits or ProofLimits())
        self._queue: SimpleQueue[Key | None] = SimpleQueue()  # as long as the plan lets it become
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proofs", daemon=True)

    def start(self) -> None:
        """Begin to prove what is asked for."""
        self._thread.start()

    def stop(self) -> None:
        """Prove nothing more; a proof that runs ends with its child."""
        self._stopping.set()
        self._queue.put(None)

    def is_proved(self, digest: bytes, placement: Placement) -> bool:
        """Whether a placement may be used; counts as a use of it."""
        with self._lock:
            proved = self._proved.get(digest)
            if proved is None or placement not in proved:
                return False
            proved.move_to_end(placement)
            return True

    def want(self, digest: bytes, placement: Placement) -> NotYet:
        """Have a placement of one of ``models`` proved, where that may be; what to tell who asked."""
        key = (digest, placement)
        with self._lock:
            now_ns = self._clock_ns()
            hindrance = self._plan.hindrance(key, now_ns=now_ns)
            if hindrance is not None:
                return hindrance
            self._plan.begin(key, now_ns=now_ns)
        self._queue.put(key)
        return being_proved(placement)

    def placements(self) -> dict[str, tuple[int, ...]]:
        """Ids of the proved placements by the model's hex digest, for the presence."""
        with self._lock:
            return {
                digest.hex(): tuple(sorted(placement.id for placement in proved))
                for digest, proved in self._proved.items()
                if proved
            }

    def _run(self) -> None:
        while (key := self._queue.get()) is not None and not self._stopping.is_set():
            digest, placement = key
            try:
                verdict = self._prove(self.models[digest], placement)
            except Exception as error:  # noqa: BLE001 - the thread must outlive every proof; it is logged
                _log.exception("a proof failed in a way nobody foresaw", start=placement.start)
                verdict = Verdict(why=f"the proof failed: {error!r}", final=False)
            self._note(key, verdict)
            if not verdict.why:
                self._tell()

    def _tell(self) -> None:
        try:
            self.on_proved()
        except Exception:  # noqa: BLE001 - the thread must outlive every listener; it is logged
            _log.exception("a proved placement could not be told of: the next presence names it")

    def _note(self, key: Key, verdict: Verdict) -> None:
        digest, placement = key
        facts = {"model": digest.hex()[:12], "start": placement.start, "end": placement.end}
        with self._lock:
            self._plan.end(key, verdict, now_ns=self._clock_ns())
            if not verdict.why:
                self._proved[digest][placement] = None
                while len(self._proved[digest]) > MAX_PLACEMENTS:
                    self._proved[digest].popitem(last=False)
        if verdict.why:
            _log.warning("a placement is not offered", why=verdict.why, for_good=verdict.final, **facts)
        else:
            _log.info("a placement is proved", **facts)


def prove_in_child(model: PartModel, placement: Placement, /, *, where: KernelPath) -> Verdict:
    """Compare head, part and tail with the whole in a child process."""
    pair = (placement.start, placement.end)
    try:
        report = parity_in_child(model.path, [pair], device=where, niceness=NICENESS)
    except OSError as error:
        return Verdict(why=f"no child process could be started ({error}): free memory here", final=False)
    if report.refused:
        return Verdict(why=report.refused, final=not report.unfinished)
    if not report.passed:
        return Verdict(why=f"in parts its results differ from the whole's by up to {report.max_difference:g}")
    if report.stock_difference is not None:
        return Verdict(
            why=f"with its constants folded the model differs from its file by up to "
            f"{report.stock_difference:g}: quantise or convert it again"
        )
    if model.kernel not in report.witnesses:
        return Verdict(
            why="its file or the kernels are not those this worker started with: restart the worker"
        )
    return Verdict()
