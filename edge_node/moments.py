"""Pure core: when something has to be done about a frame: begin a run of its own here, answer it from memory, give up.

What these moments depend on (how long local runs take at worst, how late this host wakes, whose result is held) is
read once per waking, by ``look``; the frames of that waking are then judged by the same figures.
"""

from edge_node.decide import Path
from edge_node.device_class import Thermal
from edge_node.flight import Flight, Stage
from edge_node.hedge import JourneyLimits, carry_at_ns, clear_of_captures_ns, latest_local_start_ns
from edge_node.jobs import Engine, JobKind
from edge_node.lateness import Lateness
from edge_node.perceive import Perception


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
        self._held: tuple[int | None, int | None] = (None, None)  # the frame, and when its result may be used

    def on_capture(self, scheduled_ns: int) -> None:
        """Another frame's moment has come."""
        self._interval_ns, self._newest_ns = scheduled_ns - self._newest_ns, scheduled_ns

    def look(self, engine: Engine, *, thermal: Thermal) -> None:
        """Read what holds now."""
        perception, times = self._perception, self._perception.times
        self._lateness_ns = self._lateness.recent_ns
        self._held = (perception.held_frame, perception.due_ns)
        if times.version == self._version and thermal is self._thermal and engine is self._engine:
            return
        self._version, self._thermal, self._engine = times.version, thermal, engine
        self._whole_ns.clear()
        self._tail_ns = 0
        if engine.parts is not None:
            share = engine.share(JobKind.TAIL)
            self._tail_ns = times.worst_ns(JobKind.TAIL, thermal=thermal, share=share)

    def latest_start_ns(self, flight: Flight, *, mode: Path) -> int:
        """When a whole run has to begin at the latest; with parts, a tail of another frame may hold the slot just then."""
        return latest_local_start_ns(
            deadline_ns=flight.deadline_ns,
            budget_ns=flight.deadline_ns - flight.scheduled_ns,
            local_p999_ns=self._worst_ns(flight) + (self._tail_ns if mode is Path.SPLIT else 0),
            lateness_ns=self._lateness_ns,
            margins=self._limits.margins,
        )

    def hedge_at_ns(self, flight: Flight, *, mode: Path) -> int:
        """When a whole run is begun for a frame that nobody else has answered by then.

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
        return at_ns if flight.hedge_at_ns is None else min(at_ns, flight.hedge_at_ns)

    def carry_at_ns(self, flight: Flight) -> int:
        """When to stop waiting: a little before the deadline, or nearer to it where the result is held that comes by then."""
        held_frame, ready_ns = self._held
        if ready_ns is not None and held_frame == flight.frame_id:
            at_ns = self._carry_at_ns(flight, held=True)
            if ready_ns <= at_ns:
                return at_ns
        return self._carry_at_ns(flight, held=False)

    def _carry_at_ns(self, flight: Flight, *, held: bool) -> int:
        return carry_at_ns(
            deadline_ns=flight.deadline_ns,
            budget_ns=flight.deadline_ns - flight.scheduled_ns,
            lateness_ns=self._lateness_ns,
            margins=self._limits.margins,
            held=held,
        )

    def evidence_due_ns(self, flight: Flight, *, overdue_ns: int) -> int:
        """The next moment of an answered frame."""
        end_ns = flight.scheduled_ns + self._limits.evidence_ns
        return min(end_ns, overdue_ns) if flight.remote is Stage.RUNNING else end_ns

    def _worst_ns(self, flight: Flight) -> int:
        regions = flight.regions
        if regions not in self._whole_ns:
            self._whole_ns[regions] = self._perception.times.worst_ns(
                JobKind.WHOLE, thermal=self._thermal, regions=regions
            )
        return self._whole_ns[regions]
