"""Shell: what Linux says of heat under ``/sys``: temperatures of its zones, and whether it slows the chip down.

A chip counts as slowed down when a zone reached a trip point at which the kernel acts, or when its highest allowed
frequency was lowered while it is nearly as hot as that: the limit alone may be an operator's wish to save power. What
cannot be read is taken for not there, because kernels differ in what they show; on other systems nothing is there.
"""

from collections.abc import Iterator
from pathlib import Path

SYS = Path("/sys")
ACTS = frozenset({"passive", "hot", "critical"})  # kinds of trip points; at "active" only a fan starts
NEARLY_C = 10.0
LOWERED = 0.95  # of the highest frequency; less is a limit, more is rounding
MILLI = 1000.0
SANE_C = (-40.0, 150.0)  # a sensor that is switched off says anything


def zone_temperatures_c(sys: Path = SYS) -> list[float]:
    """The temperatures of all thermal zones that say a sane one."""
    return [now_c for now_c, _ in _zones(sys)]


def is_throttled(sys: Path = SYS) -> bool:
    """Whether the system slows the chip down because of heat."""
    margins_c = [trip_c - now_c for now_c, trip_c in _zones(sys) if trip_c is not None]
    if not margins_c:
        return _is_lowered(sys)
    least_margin_c = min(margins_c)
    return least_margin_c <= 0 or (least_margin_c <= NEARLY_C and _is_lowered(sys))


def _zones(sys: Path) -> Iterator[tuple[float, float | None]]:
    """Per zone its temperature, and the lowest at which the kernel acts."""
    for zone in sorted((sys / "class" / "thermal").glob("thermal_zone*")):
        now_c = _celsius(zone / "temp")
        if now_c is not None:
            trips_c = [_celsius(kind.with_name(kind.name[: -len("type")] + "temp")) for kind in _acting(zone)]
            yield now_c, min((trip_c for trip_c in trips_c if trip_c is not None), default=None)


def _acting(zone: Path) -> Iterator[Path]:
    for kind in zone.glob("trip_point_*_type"):
        if _word(kind) in ACTS:
            yield kind


def _is_lowered(sys: Path) -> bool:
    """Whether any group of cores may not run as fast as it could."""
    for policy in (sys / "devices" / "system" / "cpu" / "cpufreq").glob("policy*"):
        allowed, possible = _number(policy / "scaling_max_freq"), _number(policy / "cpuinfo_max_freq")
        if allowed is not None and possible is not None and allowed < LOWERED * possible:
            return True
    return False


def _celsius(file: Path) -> float | None:
    milli = _number(file)
    if milli is None:
        return None
    low_c, high_c = SANE_C
    return milli / MILLI if low_c <= milli / MILLI <= high_c else None


def _number(file: Path) -> int | None:
    word = _word(file)
    return int(word) if word.lstrip("-").isdigit() else None


def _word(file: Path) -> str:
    """A file's content; empty where this kernel does not show it (a zone that sleeps answers with an error)."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
