"""Pure core: what a headset tells of itself, per window (telemetry) and for the whole run (summary).

Fed with every landed flight; times are passed in. Percentiles of the run are over the newest ``RUN_LIMIT``
frames, so a headset that runs for weeks does not grow.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_node.decide import Path
from edge_node.device_class import Thermal
from edge_node.flight import NS_PER_MS, Flight
from edge_node.outcome import Outcome, Totals
from edge_node.vitals import Vitals
from schemas.messages import Header, Mode, Outcomes, Task, Telemetry

NS_PER_US = 1000
RUN_LIMIT = 200_000
MODES = {Path.LOCAL: Mode.LOCAL, Path.OFFLOAD: Mode.OFFLOAD, Path.SPLIT: Mode.SPLIT}


def percentile(values: Iterable[int], fraction: float) -> int:
    """The smallest value that at least ``fraction`` of the values do not exceed; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0


@dataclass(slots=True, kw_only=True)
class _Window:
    flights: int = 0
    captured: int = 0
    skipped: int = 0
    host_late: int = 0
    wasted_runs: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    paths: Counter[Path] = field(default_factory=Counter)
    latencies_ns: list[int] = field(default_factory=list)
    ages_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What stands beside the frames when a window ends."""

    now_ns: int
    wall_ms: int
    mode: Path
    switches: int
    rtt_ns: int | None
    worker: str
    model: str
    uplink_bytes: int
    downlink_bytes: int
    vitals: Vitals
    simulated: bool


class FrameTally:
    """Counts landed frames, per window and in all."""

    def __init__(self, *, boot_id: bytes, now_ns: int) -> None:
        self._boot_id = boot_id
        self._window = _Window()
        self._began_ns = now_ns
        self._windows = 0
        self._before = (0, 0, 0)  # switches, uplink and downlink bytes when the window began
        self._latencies_ns: deque[int] = deque(maxlen=RUN_LIMIT)
        self._ages_ns: deque[int] = deque(maxlen=RUN_LIMIT)
        self.host_late = 0

    def land(self, flight: Flight) -> None:
        """Count one frame whose line is written."""
        answer, window = flight.answer, self._window
        if answer is None:
            return
        window.flights += 1
        window.captured += flight.captured is not None
        window.skipped += flight.skipped
        window.host_late += flight.host_late
        window.wasted_runs += flight.wasted_runs
        self.host_late += flight.host_late
        window.outcomes[answer.outcome] += 1
        window.paths[answer.path] += 1
        if answer.outcome is not Outcome.NONE:
            for values in (window.latencies_ns, self._latencies_ns):
                values.append(answer.latency_ns)
            for values in (window.ages_ns, self._ages_ns):
                values.append(answer.age_ns)

    def close_window(self, moment: Moment) -> Telemetry:
        """The telemetry of the window that ends now; the next one begins."""
        window, before = self._window, self._before
        after = (moment.switches, moment.uplink_bytes, moment.downlink_bytes)
        elapsed_ns = max(1, moment.now_ns - self._began_ns)
        answered = window.flights - window.outcomes[Outcome.NONE]
        message = Telemetry(
            header=Header(
                boot_id=self._boot_id,
                task=Task.HANDS,
                frame_id=self._windows,
                capture_ns=self._began_ns,
                send_ns=moment.now_ns,
                budget_us=0,
            ),
            wall_ms=moment.wall_ms,
            window_ms=elapsed_ns // NS_PER_MS,
            mode=MODES[moment.mode],
            fps=answered * 1e9 / elapsed_ns,
            outcomes=Outcomes(
                scheduled=window.flights,
                captured=window.captured,
                skipped=window.skipped,
                **{outcome.value: window.outcomes[outcome] for outcome in Outcome},
            ),
            answered_local=window.paths[Path.LOCAL],
            answered_offload=window.paths[Path.OFFLOAD],
            answered_split=window.paths[Path.SPLIT],
            switches=after[0] - before[0],
            host_late=window.host_late,
            wasted_runs=window.wasted_runs,
            latency_p50_us=percentile(window.latencies_ns, 0.5) // NS_PER_US,
            latency_p99_us=percentile(window.latencies_ns, 0.99) // NS_PER_US,
            age_p99_us=percentile(window.ages_ns, 0.99) // NS_PER_US,
            rtt_us=(moment.rtt_ns or 0) // NS_PER_US,
            uplink_bytes=after[1] - before[1],
            downlink_bytes=after[2] - before[2],
            battery_fraction=moment.vitals.battery_fraction,
            temperature_c=moment.vitals.temperature_c,
            throttled=moment.vitals.thermal is Thermal.THROTTLED,
            simulated=moment.simulated,
            worker=moment.worker,
            model=moment.model,
        )
        self._window, self._began_ns, self._before = _Window(), moment.now_ns, after
        self._windows += 1
        return message

    def summary(self, totals: Totals) -> dict[str, object]:
        """The whole run in numbers, as the report wants them."""
        unanswered = totals.outcomes[Outcome.LATE] + totals.outcomes[Outcome.NONE]
        return {
            "scheduled": totals.scheduled,
            "captured": totals.captured,
            "skipped": totals.skipped,
            **{outcome.value: totals.outcomes[outcome] for outcome in Outcome},
            "unanswered": unanswered,
            "latency_ms": {
                "p50": _ms(percentile(self._latencies_ns, 0.5)),
                "p99": _ms(percentile(self._latencies_ns, 0.99)),
            },
            "age_ms": {"p99": _ms(percentile(self._ages_ns, 0.99))},
            "paths": {
                "local": totals.paths[Path.LOCAL],
                "offload": totals.paths[Path.OFFLOAD],
                "split": totals.paths[Path.SPLIT],
                "carried": totals.paths[Path.CARRIED],
            },
            "host_late": self.host_late,
            "wasted_runs": totals.wasted_runs,
        }


def _ms(duration_ns: int) -> float:
    return round(duration_ns / NS_PER_MS, 3)
