"""Pure core: exactly one answer per scheduled frame, and the word for how it went.

The denominator is every frame that was scheduled, captured or not. The first answer settles a frame for
good: a later result changes nothing here. Times are monotonic nanoseconds passed in. Bounded: a frame
pushed out of a full ledger ends as ``none``, so nothing is ever forgotten uncounted.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from edge_node.decide import Path


class Outcome(str, Enum):
    """How a scheduled frame ended; exclusive."""

    FRESH_ON_TIME = "fresh_on_time"  # from this frame's own pixels, by its deadline
    CARRIED_ON_TIME = "carried_on_time"  # an older result moved forward, by its deadline
    LATE = "late"  # answered, whatever with, after its deadline
    NONE = "none"  # never answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a frame was answered with; for ``none`` the times say when it was given up."""

    frame_id: int
    outcome: Outcome
    path: Path
    answer_ns: int
    latency_ns: int
    age_ns: int  # of the pixels behind the answer, when it was given
    result_frame_id: int | None


@dataclass(slots=True, kw_only=True)
class Totals:
    """Counts since the start. ``outcomes`` sums to ``scheduled`` once nothing is pending."""

    scheduled: int = 0
    captured: int = 0
    skipped: int = 0
    wasted_runs: int = 0  # ended well, here or elsewhere, and did not answer their frame
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    paths: dict[Path, int] = field(default_factory=lambda: dict.fromkeys(Path, 0))


@dataclass(slots=True, kw_only=True)
class _Pending:
    scheduled_ns: int
    deadline_ns: int


class Ledger:
    """The frames that wait for their one answer."""

    def __init__(self, *, limit: int = 128) -> None:
        self._limit = limit
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self._last_id = -1
        self.totals = Totals()

    def __len__(self) -> int:
        return len(self._pending)

    def schedule(
        self, frame_id: int, *, scheduled_ns: int, deadline_ns: int, captured: bool, skipped: bool
    ) -> Answer | None:
        """Enter a frame; returns the ``none`` of the frame that a full ledger pushed out.

        Raises:
            ValueError: the id does not follow the last one.
        """
        if frame_id != self._last_id + 1:
            raise ValueError(f"frame {frame_id} after {self._last_id}: ids are handed out one by one")
        self._last_id = frame_id
        self.totals.scheduled += 1
        self.totals.captured += captured
        self.totals.skipped += skipped
        pushed_out = None
        if len(self._pending) >= self._limit:
            pushed_out = self.give_up(next(iter(self._pending)), now_ns=scheduled_ns)
        self._pending[frame_id] = _Pending(scheduled_ns=scheduled_ns, deadline_ns=deadline_ns)
        return pushed_out

    def is_open(self, frame_id: int) -> bool:
        """Whether this frame still waits for its answer."""
        return frame_id in self._pending

    def settle(
        self, frame_id: int, *, now_ns: int, path: Path, result_frame_id: int, captured_ns: int
    ) -> Answer | None:
        """Answer a frame now with a result whose pixels are from ``captured_ns``; None where it had one."""
        pending = self._pending.pop(frame_id, None)
        if pending is None:
            return None
        outcome = judge(answer_ns=now_ns, deadline_ns=pending.deadline_ns, fresh=result_frame_id == frame_id)
        return self._count(
            Answer(
                frame_id=frame_id,
                outcome=outcome,
                path=path,
                answer_ns=now_ns,
                latency_ns=now_ns - pending.scheduled_ns,
                age_ns=now_ns - captured_ns,
                result_frame_id=result_frame_id,
            )
        )

    def give_up(self, frame_id: int, *, now_ns: int) -> Answer | None:
        """End a frame without an answer; None where it had one."""
        pending = self._pending.pop(frame_id, None)
        if pending is None:
            return None
        waited_ns = now_ns - pending.scheduled_ns
        return self._count(
            Answer(
                frame_id=frame_id,
                outcome=Outcome.NONE,
                path=Path.NONE,
                answer_ns=now_ns,
                latency_ns=waited_ns,
                age_ns=waited_ns,
                result_frame_id=None,
            )
        )

    def _count(self, answer: Answer) -> Answer:
        self.totals.outcomes[answer.outcome] += 1
        self.totals.paths[answer.path] += 1
        return answer


def judge(*, answer_ns: int, deadline_ns: int, fresh: bool) -> Outcome:
    """The outcome of an answered frame."""
    if answer_ns > deadline_ns:
        return Outcome.LATE
    return Outcome.FRESH_ON_TIME if fresh else Outcome.CARRIED_ON_TIME
