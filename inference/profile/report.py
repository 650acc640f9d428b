"""Pure core: from durations of measured cuts to a whole profile: quantiles, what lies between, its error.

A level is in the profile only if every measured part has samples enough for it; what is missing is said at the
part. Time and hardware come in; nothing is read or written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from inference.profile.measure import RunFacts, SiteTimes, Subject
from inference.profile.quantiles import LEVELS, Quantile, quantiles
from inference.profile.sparse import SparseError, interpolated, leave_one_out
from inference.profile.work import cumulative_work

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Durations of one side at every legal cut: ``ns`` (L, P), exact at the measured cuts."""

    ns: Floats
    error: SparseError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfileReport:
    """Everything measured of one model. ``quantiles`` by (start, end), at all of ``LEVELS``.

    ``levels``: those that every part bears; the curves have a row for each.
    """

    subject: Subject
    levels: tuple[float, ...]
    measured: tuple[int, ...]
    prefix: Curve
    suffix: Curve
    quantiles: dict[tuple[int, int], tuple[Quantile, ...]]
    samples: dict[tuple[int, int], int]
    rss_bytes: dict[tuple[int, int], int]


def profile_report(
    subject: Subject, sites: Sequence[SiteTimes], /, *, rng: np.random.Generator
) -> ProfileReport:
    """Summarise the sites of one subject, the last of which is the whole model."""
    last = subject.positions[-1]
    found: dict[tuple[int, int], tuple[Quantile, ...]] = {}
    samples: dict[tuple[int, int], int] = {}
    rss_bytes: dict[tuple[int, int], int] = {}
    for site in sites:
        for part, times, grown in (
            ((0, site.position), site.prefix_ns, site.prefix_rss_bytes),
            ((site.position, last), site.suffix_ns, site.suffix_rss_bytes),
        ):
            if len(times):
                found[part] = quantiles(times, rng=rng)
                samples[part], rss_bytes[part] = len(times), grown
    borne = [
        index for index in range(len(LEVELS)) if all(row[index].value is not None for row in found.values())
    ]
    measured = (0, *(site.position for site in sites))
    prefix, suffix = _curves(subject, measured, found, borne)
    return ProfileReport(
        subject=subject,
        levels=tuple(LEVELS[index] for index in borne),
        measured=measured,
        prefix=prefix,
        suffix=suffix,
        quantiles=found,
        samples=samples,
        rss_bytes=rss_bytes,
    )


def _curves(
    subject: Subject,
    measured: Sequence[int],
    found: Mapping[tuple[int, int], tuple[Quantile, ...]],
    levels: Sequence[int],
) -> tuple[Curve, Curve]:
    """Prefixes and suffixes at every legal cut, at these indices of ``LEVELS``."""
    positions, last = subject.positions, subject.positions[-1]
    at = [positions.index(position) for position in measured]
    work = cumulative_work(subject.split.flow, positions)
    prefix = [[_value(found.get((0, position)), level) for position in measured] for level in levels]
    # Suffixes grow towards the front: seen from the end they are as prefixes are.
    suffix = [[_value(found.get((cut, last)), level) for cut in reversed(measured)] for level in levels]
    back = _curve(work[-1] - work[::-1], [len(positions) - 1 - index for index in reversed(at)], suffix)
    return _curve(work, at, prefix), Curve(ns=back.ns[:, ::-1], error=back.error)


def _curve(work: Floats, measured: Sequence[int], rows: Sequence[Sequence[float]]) -> Curve:
    ns = np.array([interpolated(work, measured, row) for row in rows])
    return Curve(ns=ns, error=leave_one_out(work, measured, rows[0]))


def _value(row: tuple[Quantile, ...] | None, level: int) -> float:
    """Zero where there is no part: nothing runs before the first cut, nor where all is constant."""
    return 0.0 if row is None else float(row[level].value or 0.0)


def document_fields(report: ProfileReport, facts: RunFacts, /, *, max_drift: float) -> dict[str, object]:
    """The measured fields of a stored profile."""
    parts = [
        {
            "start": start,
            "end": end,
            "samples": report.samples[start, end],
            "rss_bytes": report.rss_bytes[start, end],
            "quantiles": [asdict(row) for row in rows],
        }
        for (start, end), rows in sorted(report.quantiles.items())
    ]
    return {
        "levels": report.levels,
        "positions": report.subject.positions,
        "prefix_ns": report.prefix.ns.tolist(),
        "suffix_ns": report.suffix.ns.tolist(),
        "parts": parts,
        "steadiness": asdict(facts) | {"max_drift": max_drift},
        "sparse": {
            "measured": report.measured,
            "legal": len(report.subject.positions),
            "prefix_median_pct": report.prefix.error.median_pct,
            "prefix_worst_pct": report.prefix.error.worst_pct,
            "suffix_median_pct": report.suffix.error.median_pct,
            "suffix_worst_pct": report.suffix.error.worst_pct,
        },
    }
