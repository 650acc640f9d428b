"""Pure core: which worker to ask. Presence says who is there, load says how busy, refusals say not now.

Power of two choices: two random candidates, the less busy one; it is kept while it is good. Times are the
headset's monotonic nanoseconds, passed in. Holds at most ``MAX_WORKERS``.
"""

import random
from dataclasses import dataclass

from schemas.documents import Load, WorkerPresence
from schemas.topics import POOL

AUTO = "auto"
MAX_WORKERS = 256
REST_NS = 2_000_000_000  # a worker that refused or did not answer is left alone so long


@dataclass(slots=True, kw_only=True)
class _Known:
    presence: WorkerPresence
    load: Load | None = None
    rests_until_ns: int = 0


class WorkerBook:
    """The workers of a site as one headset sees them."""

    def __init__(self, *, task: str, rng: random.Random) -> None:
        self._task = task
        self._rng = rng
        self._known: dict[str, _Known] = {}
        self._current: str | None = None

    def on_presence(self, presence: WorkerPresence) -> None:
        """Take in a birth or a will; an offline of an older session is ignored."""
        known = self._known.get(presence.worker)
        if known is None:
            if presence.online and len(self._known) < MAX_WORKERS:
                self._known[presence.worker] = _Known(presence=presence)
            return
        stale = not presence.online and presence.session != known.presence.session
        if not stale:
            known.presence = presence

    def on_load(self, load: Load) -> None:
        """Take in how busy a worker is; unknown workers are ignored."""
        known = self._known.get(load.worker)
        if known is not None:
            known.load = load

    def rest(self, worker: str | None, *, now_ns: int) -> None:
        """Leave a worker alone for a while."""
        if worker in self._known:
            self._known[worker].rests_until_ns = now_ns + REST_NS

    def choose(self, wanted: str, *, now_ns: int) -> str | None:
        """The worker to ask now: the one ``wanted``, or with ``auto`` a good one; None where nobody is there.

        With ``any`` it is the pool: the broker hands each request to one of those who serve the task. While every candidate rests, a resting one is named: it is the only one that probes can find well.
        """
        if wanted == POOL:
            return POOL if any(self._serves(worker) for worker in self._known) else None
        if wanted != AUTO:
            return wanted if self._serves(wanted) else None
        awake = [w for w in self._known if self._serves(w) and self._known[w].rests_until_ns <= now_ns]
        candidates = awake or [w for w in self._known if self._serves(w)]
        if self._current not in candidates:
            self._current = self._pick(candidates)
        return self._current

    def choose_for_probe(self, wanted: str, *, now_ns: int) -> str | None:
        """The worker to probe now; one of the pool stands for it, because the pool takes no probes."""
        return self.choose(AUTO if wanted == POOL else wanted, now_ns=now_ns)

    def model(self, worker: str | None) -> str:
        """Digest of the model with which a worker answers, empty where it does not say."""
        known = None if worker is None else self._known.get(worker)
        return "" if known is None else known.presence.models.get(self._task, "")

    def _serves(self, worker: str) -> bool:
        known = self._known.get(worker)
        return known is not None and known.presence.online and self._task in known.presence.tasks

    def _pick(self, candidates: list[str]) -> str | None:
        if not candidates:
            return None
        pair = self._rng.sample(candidates, k=min(2, len(candidates)))
        return min(pair, key=self._busyness)

    def _busyness(self, worker: str) -> float:
        known = self._known[worker]
        load = known.load
        return 0.0 if load is None else (load.queued + load.running) / known.presence.slots
