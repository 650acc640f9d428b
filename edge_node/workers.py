"""Pure core: which worker to ask. Presence says who is there, load says how busy, refusals say not now.

Power of two choices: two random candidates, the less busy one; it is kept while it is good. Times are the
headset's monotonic nanoseconds, passed in. Holds at most ``MAX_WORKERS``.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_node.decide import PartView
from schemas.documents import Load, WorkerPresence
from schemas.topics import POOL

AUTO = "auto"
MAX_WORKERS = 256
MOST_WEIGHED = 3  # workers for one frame
MAX_DECLINED = 64  # parts of one worker; the oldest is forgotten and may be asked for again
NS_PER_US = 1_000
REST_NS = 2_000_000_000  # a worker that refused or did not answer is left alone so long, if it names no time
MOST_REST_NS = 60_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PartWanted:
    """A part to be run: model and kernel as hex digests, the placement's id."""

    model: str
    kernel: str
    placement_id: int


@dataclass(slots=True, kw_only=True)
class _Known:
    presence: WorkerPresence
    load: Load | None = None
    rests_until_ns: int = 0
    paused_until_ns: int = 0  # by its own word
    declined: dict[PartWanted, str] = field(default_factory=dict)  # for as long as this process of it lives
    delayed: tuple[PartWanted, str] | None = None  # what it said last of a part that it may yet prove


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
        if stale:
            return
        if presence.boot_id != known.presence.boot_id:
            known.declined.clear()
            known.delayed = None
            known.rests_until_ns = known.paused_until_ns = 0  # that was said by another process
        known.presence = presence

    def on_load(self, load: Load) -> int | None:
        """Take in how busy a worker is; how long a request would wait there. Unknown workers are ignored: None."""
        known = self._known.get(load.worker)
        if known is None:
            return None
        known.load = load
        return load.queued * load.run_p50_us * NS_PER_US // max(1, known.presence.slots)

    def rest(self, worker: str | None, *, now_ns: int, for_ns: int = REST_NS) -> None:
        """Leave a worker alone for a while, ``MOST_REST_NS`` at most."""
        if worker in self._known:
            self._known[worker].rests_until_ns = now_ns + min(for_ns, MOST_REST_NS)

    def pause(self, worker: str, *, now_ns: int, for_ns: int) -> None:
        """A worker said when to ask again: until then it gets nothing, even where it is the only one."""
        self.rest(worker, now_ns=now_ns, for_ns=for_ns)
        if worker in self._known:
            self._known[worker].paused_until_ns = self._known[worker].rests_until_ns

    def may_ask(self, worker: str, *, now_ns: int) -> bool:
        """Whether a request may be sent to this worker or pool now."""
        known = self._known.get(worker)
        return known is None or now_ns >= known.paused_until_ns

    def choose(self, wanted: str, *, now_ns: int) -> str | None:
        """The worker to ask now: the one ``wanted``, or with ``auto`` a good one; None where nobody is there.

        With ``any`` it is the pool: the broker hands each request to one of those who serve the task. While every candidate rests, a resting one is named: it is the only one that probes can find well.
        """
        if wanted == POOL:
            return POOL if any(self._serves(worker) for worker in self._known) else None
        if wanted != AUTO:
            return wanted if self._serves(wanted) else None
        current = self._current
        if current is not None and self._serves(current) and self._known[current].rests_until_ns <= now_ns:
            return current
        awake = [w for w in self._known if self._serves(w) and self._known[w].rests_until_ns <= now_ns]
        candidates = awake or [w for w in self._known if self._serves(w)]
        if self._current not in candidates:
            self._current = self._pick(candidates)
        return self._current

    @property
    def several(self) -> bool:
        """Whether more than one was ever there."""
        return len(self._known) > 1

    def to_weigh(self, wanted: str, *, now_ns: int) -> tuple[str, ...]:
        """The worker to ask now, and with ``auto`` others who could be asked instead, the least busy first."""
        chosen = self.choose(wanted, now_ns=now_ns)
        if chosen is None:
            return ()
        if wanted != AUTO or not self.several:
            return (chosen,)
        others = [
            worker
            for worker, known in self._known.items()
            if worker != chosen and known.rests_until_ns <= now_ns and self._serves(worker)
        ]
        others.sort(key=self._busyness)
        return (chosen, *others[: MOST_WEIGHED - 1])

    def took(self, worker: str) -> None:
        """A frame went to this one: with ``auto`` it is the one to ask from now on."""
        if worker in self._known:
            self._current = worker

    def choose_for_probe(self, wanted: str, *, now_ns: int) -> str | None:
        """The worker to probe now; one of the pool stands for it, because the pool takes no probes."""
        return self.choose(AUTO if wanted == POOL else wanted, now_ns=now_ns)

    def choose_part(self, wanted: str, part: PartWanted, *, leads: bool = True, now_ns: int) -> PartView:
        """The worker to run a part: the one ``wanted``, or with ``auto`` and ``any`` a good one.

        ``leads``: it is then the one to ask for everything; else whoever that is stays it. Where nobody can, the view says why, and whom to ask for a proof where that is all that is missing.
        """
        candidates = [w for w in self._known if wanted in {AUTO, POOL, w} and self._serves(w)]
        if not candidates:
            return PartView(worker=None, reason="no worker is online")
        for keeps, reason in PART_RULES:
            kept = [w for w in candidates if keeps(self._known[w], part, now_ns)]
            if not kept:
                declined = next((text for w in candidates if (text := self._known[w].declined.get(part))), "")
                return PartView(worker=None, reason=declined or reason)
            candidates = kept
        proved = [
            w
            for w in candidates
            if part.placement_id in self._known[w].presence.placements.get(part.model, ())
        ]
        worker = self._current
        if worker not in (proved or candidates):
            worker = self._pick(proved or candidates) if leads else min(proved or candidates)
        if leads:
            self._current = worker
        return PartView(worker=worker, reason="" if proved else self._not_proved(worker, part))

    def _not_proved(self, worker: str | None, part: PartWanted) -> str:
        reason = f"{worker} has not proved this placement yet"
        delayed = self._known[worker].delayed if worker else None
        return f"{reason}: {delayed[1]}" if delayed and delayed[0] == part and delayed[1] else reason

    def decline(self, worker: str, part: PartWanted, reason: str) -> None:
        """Note that a worker will not run a part, and why: it is not asked again while it lives."""
        known = self._known.get(worker)
        if known is not None:
            known.declined[part] = f"{worker} does not offer this placement: {reason}"
            while len(known.declined) > MAX_DECLINED:
                del known.declined[next(iter(known.declined))]

    def delay(self, worker: str, part: PartWanted, reason: str) -> None:
        """Note why a worker has not proved a part yet, for people."""
        if worker in self._known:
            self._known[worker].delayed = (part, reason)

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


PartRule = Callable[[_Known, PartWanted, int], bool]

# what a worker must be to be asked for a part, one after the other, and what to say where nobody is left
PART_RULES: tuple[tuple[PartRule, str], ...] = (
    (lambda known, part, _now: part.model in known.presence.kernels, "no worker can cut this model"),
    (
        lambda known, part, _now: known.presence.kernels[part.model] == part.kernel,
        "kernel fingerprints differ: no worker computes this model with the bytes of this headset",
    ),
    (lambda known, part, _now: part not in known.declined, "no worker offers this placement"),
    (lambda known, _part, now_ns: known.rests_until_ns <= now_ns, "every worker for it failed a moment ago"),
)
