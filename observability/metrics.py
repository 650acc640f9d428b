"""Counters and latency histograms of one process. Shell: owns one lock, touches nothing outside.

Rooms receive a ``Registry`` from their ``main``; ``DEFAULT`` exists so that a main has one to pass, not for
rooms to reach for. Refuses a name used for two kinds, and more label combinations than ``MAX_SERIES``: a
label that takes an id of a frame would otherwise grow without end.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from observability.errors import MetricsError
from observability.histogram import Histogram

MAX_SERIES = 1000  # label combinations of one name
T = TypeVar("T")
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramReading:
    """One histogram at one moment. Durations in µs; None where nothing was recorded."""

    count: int
    sum_us: float
    p50_us: float | None
    p99_us: float | None
    largest_us: float


def _key(labels: Mapping[str, object]) -> Labels:
    return tuple(sorted((name, str(value)) for name, value in labels.items()))


def series_name(name: str, labels: Labels) -> str:
    """A series as people write it: ``frames{path="local"}``."""
    if not labels:
        return name
    # as in the Prometheus text format, so that a value cannot end its own quotes
    quoted = (
        (key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for key, value in labels
    )
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in quoted) + "}"


class Registry:
    """All metrics of one process. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, int]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def count(self, name: str, /, by: int = 1, **labels: object) -> None:
        """Add to a counter. A deliberate drop is counted here under its reason.

        Raises:
            MetricsError: ``by`` is negative, the name is a histogram's, or there are too many labels.
        """
        if by < 0:
            raise MetricsError(f"counter {name!r} only grows, got {by}")
        key = _key(labels)
        with self._lock:
            series = self._counters.get(name)
            if series is None or key not in series:
                series = self._admit(name, key, self._counters, self._histograms)
                series[key] = 0
            series[key] += by

    def record(self, name: str, value_us: float, /, **labels: object) -> None:
        """Record one duration in µs.

        Raises:
            MetricsError: the name is a counter's, there are too many labels, or the duration is negative or not
                finite.
        """
        key = _key(labels)
        with self._lock:
            series = self._histograms.get(name)
            if series is None or key not in series:
                series = self._admit(name, key, self._histograms, self._counters)
                series[key] = Histogram()
            series[key].record(value_us)

    def counter(self, name: str, /, **labels: object) -> int:
        """What a counter stands at; 0 of one never counted."""
        with self._lock:
            return self._counters.get(name, {}).get(_key(labels), 0)

    def histogram(self, name: str, /, **labels: object) -> HistogramReading:
        """What a histogram holds."""
        with self._lock:
            return _read(self._histograms.get(name, {}).get(_key(labels), Histogram()))

    def snapshot(self) -> dict[str, dict[str, object]]:
        """Everything, ready for JSON: ``{"counters": {series: n}, "histograms": {series: {count, …}}}``."""
        with self._lock:
            counters: dict[str, object] = {
                series_name(name, key): value
                for name, series in sorted(self._counters.items())
                for key, value in sorted(series.items())
            }
            histograms: dict[str, object] = {
                series_name(name, key): {
                    field: getattr(reading, field) for field in HistogramReading.__dataclass_fields__
                }
                for name, series in sorted(self._histograms.items())
                for key, reading in sorted((key, _read(value)) for key, value in series.items())
            }
        return {"counters": counters, "histograms": histograms}

    @staticmethod
    def _admit(
        name: str, key: Labels, own: dict[str, dict[Labels, T]], other: Mapping[str, object]
    ) -> dict[Labels, T]:
        """The series of a name, with room for one more."""
        if name in other:
            raise MetricsError(f"{name!r} is already a metric of the other kind; choose another name")
        series = own.setdefault(name, {})
        if len(series) >= MAX_SERIES:
            raise MetricsError(f"{name!r} has {MAX_SERIES} label combinations already, refused {dict(key)}")
        return series


def _read(histogram: Histogram) -> HistogramReading:
    return HistogramReading(
        count=histogram.total,
        sum_us=histogram.sum_us,
        p50_us=histogram.quantile_us(0.5),
        p99_us=histogram.quantile_us(0.99),
        largest_us=histogram.largest_us,
    )


DEFAULT = Registry()
