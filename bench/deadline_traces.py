"""The links that policies are compared on: recorded 5G round trips, and four that are described.

Recordings hold the delay of a private 5G network, once a second, and no rate: the one here is assumed, and named in
every result. Those that are not on this machine are left out and told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from bench.world.load import Load
from headway.link_spec import DelayTrace, Jitter, Leg, LinkSpec, Phase, Window
from headway.link_trace import read_delays

REPOSITORY = Path(__file__).resolve().parent.parent
RECORDINGS = REPOSITORY.parent / "shared" / "data" / "network"
RECORDED = ("MEC-cmWave", "MEC-ORAN-upd", "cloud-cmWave", "cloud-ORAN-upd")
UP_MBIT, DOWN_MBIT = 50.0, 200.0  # assumed of the recorded network, which was idle but for the pings
WIFI_MBIT = 80.0
BYTES_PER_S = 125_000  # of one Mbit/s


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One link, and who else asks the worker behind it."""

    name: str
    link: LinkSpec
    load: Load | None = None
    assumed: str = ""
    changes_s: tuple[float, ...] = ()  # when it becomes another link, where that is known

    def part(self, number: int, *, of: int) -> Trace:
        """The same trace begun elsewhere, where it is a recording; others differ by their seed alone."""
        recorded = self.link.trace
        if recorded is None:
            return self
        length_s = len(recorded.rtts_ms) * recorded.interval_s
        begun = replace(recorded, start_s=length_s * number / of)
        return replace(self, link=replace(self.link, trace=begun))


def recorded(name: str, *, folder: Path = RECORDINGS) -> Trace:
    """A recording with the assumed rate.

    Raises:
        LinkSpecError: the file cannot be read.
    """
    rtts_ms = read_delays(folder / f"ping-{name}.txt").rtts_ms
    link = LinkSpec.even(
        up_bytes_per_s=UP_MBIT * BYTES_PER_S,
        down_bytes_per_s=DOWN_MBIT * BYTES_PER_S,
        trace=DelayTrace(rtts_ms=rtts_ms),
    )
    return Trace(name=f"5g-{name}", link=link, assumed=f"{UP_MBIT:g} Mbit/s up, {DOWN_MBIT:g} down")


def wifi_jitter(seconds: float) -> Trace:
    """A busy Wi-Fi: jitter with a long tail, some segments lost."""
    del seconds  # it is the same for ever
    jitter = Jitter(kind="lognormal", mean_ms=4.0)
    rate = WIFI_MBIT * BYTES_PER_S
    link = LinkSpec.even(delay_ms=1.5, jitter=jitter, up_bytes_per_s=rate, down_bytes_per_s=rate, loss=0.001)
    return Trace(name="wifi-jitter", link=link)


def step(seconds: float) -> Trace:
    """Fast and slow in turn, ten seconds each."""
    legs = [
        Leg(delay_ms=delay_ms, rate_bytes_per_s=WIFI_MBIT * BYTES_PER_S)
        for delay_ms in (1.5, 15.0) * (1 + round(seconds) // 20)
    ]
    phases = tuple(Phase(at_s=10.0 * number, up=leg, down=leg) for number, leg in enumerate(legs))
    changes_s = tuple(phase.at_s for phase in phases[1:])
    return Trace(name="step", link=LinkSpec(phases=phases), changes_s=changes_s)


def outage(seconds: float) -> Trace:
    """A near link that is gone for four of every fifteen seconds."""
    cuts = tuple(Window(at_s=6.0 + 15.0 * number, for_s=4.0) for number in range(1 + round(seconds) // 15))
    rate = WIFI_MBIT * BYTES_PER_S
    link = LinkSpec.even(delay_ms=1.5, up_bytes_per_s=rate, down_bytes_per_s=rate, cuts=cuts)
    changes_s = tuple(at_s for cut in cuts for at_s in (cut.at_s, cut.at_s + cut.for_s))
    return Trace(name="outage", link=link, changes_s=changes_s)


def overload(seconds: float) -> Trace:
    """A near worker that is asked for more than it can do for eight of every fifteen seconds."""
    rate = WIFI_MBIT * BYTES_PER_S
    link = LinkSpec.even(delay_ms=1.5, up_bytes_per_s=rate, down_bytes_per_s=rate)
    load = Load(headsets=16, at_s=5.0, for_s=8.0, every_s=15.0)
    begins_s = [load.at_s + load.every_s * number for number in range(1 + round(seconds) // 15)]
    changes_s = tuple(at_s for begin_s in begins_s for at_s in (begin_s, begin_s + load.for_s))
    return Trace(name="overload", link=link, load=load, changes_s=changes_s)


DESCRIBED: Mapping[str, Callable[[float], Trace]] = MappingProxyType(
    {"wifi-jitter": wifi_jitter, "step": step, "outage": outage, "overload": overload}
)


def traces(*, seconds: float, folder: Path = RECORDINGS) -> tuple[list[Trace], list[str]]:
    """Every trace for so long a run, and the names of those that are missing here."""
    there = [name for name in RECORDED if (folder / f"ping-{name}.txt").is_file()]
    found = [recorded(name, folder=folder) for name in there]
    found += [describe(seconds) for describe in DESCRIBED.values()]
    return found, [f"5g-{name}" for name in RECORDED if name not in there]
