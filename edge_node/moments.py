"""Pure core: when something has to be done about a frame: begin a run of its own here, answer it from memory, give up.

What these moments depend on (how long local runs take at worst, how late this host wakes) is read once per waking, by
``look``; the frames of that waking are then judged by the same figures, reckoned once for all that have as much time.
"""

from dataclasses import dataclass

from edge_node.decide import Path
from edge_node.device_class import Thermal
from edge_node.flight import Flight, Stage
from edge_node.hedge import JourneyLimits, carry_at_ns, clear_of_captures_ns, latest_local_start_ns
from edge_node.jobs import Engine, JobKind
from edge_node.lateness import Lateness
from edge_node.perceive import Perception


@dataclass(slots=True, kw_only=True)
class _Kept:
    """How much of a frame's time before its deadline is kept free."""

    for_a_run_ns: int  # after the slowest one
    to_carry_ns: int
    to_carry_held_ns: int  # where its own result is held


class Moments:
    """Of the frames of one headset. ``lateness``: of wakings, fed by whoever is woken."""

    def __init__(self, *, perception: Perception, lateness: Lateness, limits: JourneyLimits) -> None:
        self._perception = perception
        self._lateness = lateness
        self._limits = limits
        self._newest_ns, self._interval_ns = 0, 0  # of captures
        self._lateness_ns = 0
        self._thermal = Thermal.NOMINAL
        self._version = -1  # of what is known of runs
        self._engine: Engine | None = None
        self._whole_ns: dict[int, int] = {}  # by the regions a run looks into, at worst
        self._tail_ns = 0
        self._kept: dict[int, _Kept] = {}  # of a frame's time, by how much it has

    def on_capture(self, scheduled_ns: int) -> None:
        """Another frame's moment has come."""
        self._interval_ns, self._newest_ns = scheduled_ns - self._newest_ns, scheduled_ns

    def look(self, engine: Engine, *, thermal: Thermal) -> None:
        """Read what holds now."""
        times, lateness_ns = self._perception.times, self._lateness.recent_ns
        if lateness_ns != self._lateness_ns:
            self._lateness_ns = lateness_ns
            self._kept.clear()
        if times.version == self._version and thermal is self._thermal and engine is self._engine:
            return
        self._version, self._thermal, self._engine = times.version, thermal, engine
        self._whole_ns.clear()
        self._tail_ns = 0
        for cut in engine.cuts:  # whichever frames took lately
            share = cut.share(JobKind.TAIL)
            tail_ns = times.worst_ns(JobKind.TAIL, thermal=thermal, share=share, cut=cut.cut)
            self._tail_ns = max(self._tail_ns, tail_ns)

    def latest_start_ns(self, flight: Flight, *, mode: Path) -> int:
        """When a whole run has to begin at the latest; with parts, a tail of another frame may hold the slot just then."""
        tail_ns = self._tail_ns if self._tail_ns and mode is Path.SPLIT else 0
        return flight.deadline_ns - self._worst_ns(flight) - tail_ns - self._kept_of(flight).for_a_run_ns

    def hedge_at_ns(self, flight: Flight, *, mode: Path) -> int:
        """When a whole run must be begun for a frame that nobody else has answered by then.

        ``mode``: of the newest frame; a next one that is computed here too wants the slot at its capture.
        """
        at_ns = self.latest_start_ns(flight, mode=flight.mode)
        if mode is Path.LOCAL:
            at_ns = clear_of_captures_ns(
                at_ns,
                local_ns=self._worst_ns(flight),
                newest_capture_ns=self._newest_ns,
                interval_ns=self._interval_ns,
            )
        return at_ns

    def carry_at_ns(self, flight: Flight) -> int:
        """When to stop waiting: a little before the deadline, or nearer to it where the result is held that comes by then."""
        kept, ready_ns = self._kept_of(flight), self._perception.due_ns
        if ready_ns is not None and self._perception.held_frame == flight.frame_id:
            at_ns = flight.deadline_ns - kept.to_carry_held_ns
            if ready_ns <= at_ns:
                return at_ns
        return flight.deadline_ns - kept.to_carry_ns

    def _kept_of(self, flight: Flight) -> "_Kept":
        budget_ns = flight.deadline_ns - flight.scheduled_ns
        known = self._kept.get(budget_ns)
        if known is None:
            known = self._kept[budget_ns] = self._kept_of_budget(budget_ns)
        return known

    def _kept_of_budget(self, budget_ns: int) -> "_Kept":
        late_ns, margins = self._lateness_ns, self._limits.margins
        start_ns = latest_local_start_ns(
            deadline_ns=0, budget_ns=budget_ns, local_p999_ns=0, lateness_ns=late_ns, margins=margins
        )
        carry_ns, carry_held_ns = (
            carry_at_ns(deadline_ns=0, budget_ns=budget_ns, lateness_ns=late_ns, margins=margins, held=held)
            for held in (False, True)
        )
        return _Kept(for_a_run_ns=-start_ns, to_carry_ns=-carry_ns, to_carry_held_ns=-carry_held_ns)

    def evidence_due_ns(self, flight: Flight, *, overdue_ns: int) -> int:
        """The next moment of an answered frame."""
        end_ns = flight.scheduled_ns + self._limits.evidence_ns
        return min(end_ns, overdue_ns) if flight.remote is Stage.RUNNING else end_ns

    def _worst_ns(self, flight: Flight) -> int:
        regions = flight.regions
        worst_ns = self._whole_ns.get(regions)
        if worst_ns is None:
            times = self._perception.times
            worst_ns = times.worst_ns(JobKind.WHOLE, thermal=self._thermal, regions=regions)
            self._whole_ns[regions] = worst_ns
        return worst_ns
