"""Vocabulary of placement: what is known before a model's parts are given to a headset and its workers.

Durations, bytes, energy and price come in measured; nothing here guesses one. What must stay here: the
meaning of each input, so that families, survivors and decisions read the same numbers alike.
"""

from dataclasses import dataclass, field, fields
from math import isnan
from typing import Literal

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.profile.durations import DurationTable
from inference.split.traffic import TransferBytes

Floats = npt.NDArray[np.float64]
Tier = Literal["device", "worker", "cloud"]
LEVELS = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How tensors travel: ``ratio`` wire bytes a tensor byte; durations are per tensor byte."""

    name: str
    ratio: float = 1.0
    device_encode_ns_per_byte: float = 0.0
    worker_decode_ns_per_byte: float = 0.0
    worker_encode_ns_per_byte: float = 0.0
    device_decode_ns_per_byte: float = 0.0
    overhead_bytes: int = 0  # of a message: header, topic, frame


@dataclass(frozen=True, slots=True, kw_only=True)
class InputQuality:
    """A rung of the quality ladder: the model's input sent as a picture instead of as a tensor.

    ``encode_ns`` on the device and ``decode_ns`` on the worker hold one value a level.
    """

    name: str
    payload_bytes: int
    encode_ns: tuple[float, ...]
    decode_ns: tuple[float, ...]
    loss: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVariant:
    """One model that may do the task. ``loss`` is its accuracy loss against the best variant.

    ``transfer`` and the duration tables have one row and column for each legal position.
    """

    name: str
    transfer: TransferBytes
    device: DurationTable
    worker: DurationTable
    cloud: DurationTable | None = None
    loss: float = 0.0
    qualities: tuple[InputQuality, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.transfer.positions)
        for tier in ("device", "worker", "cloud"):
            table: DurationTable | None = getattr(self, tier)
            if table is not None and table.ns.shape[1:] != (count, count):
                raise PlacementError(
                    f"{self.name}: durations of the {tier} are for {table.ns.shape[1]} positions, the model has "
                    f"{count} legal ones: profile this model at its legal cuts"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What running and sending cost besides time; zero where nobody measured it."""

    device_w: float = 0.0  # above idle, while the headset computes
    radio_w: float = 0.0  # above idle, while bytes are in the air
    worker_price_per_s: float = 0.0
    cloud_price_per_s: float = 0.0
    price_per_byte: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= getattr(self, row.name) < float("inf") for row in fields(self)):
            raise PlacementError("rates must be numbers, none below 0: leave out what nobody measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementInputs:
    """Everything that does not change from frame to frame.

    ``levels`` are the quantile levels of every duration, ascending. ``backhaul_bps`` is the rate between
    worker (then called edge) and cloud; only the three-tier family uses it.
    """

    variants: tuple[ModelVariant, ...]
    levels: tuple[float, ...] = LEVELS
    codings: tuple[Coding, ...] = (Coding(name="raw"),)
    rates: Rates = field(default_factory=Rates)
    tiers: frozenset[Tier] = frozenset({"device", "worker"})
    backhaul_bps: float = float("inf")

    def __post_init__(self) -> None:
        if not self.variants or not self.codings or not self.tiers:
            raise PlacementError("nothing to place: give at least one variant, one coding and one tier")
        if list(self.levels) != sorted(set(self.levels)) or not 0 < self.levels[0] <= self.levels[-1] < 1:
            raise PlacementError(f"levels {self.levels} must ascend between 0 and 1, such as {LEVELS}")
        if self.backhaul_bps <= 0:
            raise PlacementError("backhaul_bps must be above 0: leave the tier cloud out where there is none")
        for variant in self.variants:
            self._check(variant)

    def _check(self, variant: ModelVariant) -> None:
        wanted = len(self.levels)
        tables = [table for table in (variant.device, variant.worker, variant.cloud) if table is not None]
        rungs = [values for rung in variant.qualities for values in (rung.encode_ns, rung.decode_ns)]
        counts = [len(table.ns) for table in tables] + [len(values) for values in rungs]
        if any(count != wanted for count in counts):
            raise PlacementError(
                f"{variant.name}: durations must be given at the {wanted} levels {self.levels}"
            )
        if any(list(values) != sorted(values) or not 0 <= min(values) <= max(values) for values in rungs):
            raise PlacementError(f"{variant.name}: durations of a picture must not fall from level to level")
        if "cloud" in self.tiers and variant.cloud is None:
            raise PlacementError(
                f"{variant.name}: the tier cloud is allowed, but no durations are known of it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The road and the queues of one moment; one value a level, the pessimistic ones last.

    ``uplink_bps[k]`` is a rate that the link holds with probability ``levels[k]``, so rates never rise and
    delays never fall from level to level. ``cloud_*`` matter to the three-tier family only: the way from edge
    to cloud and its queue; either both are given or none.
    """

    uplink_bps: tuple[float, ...]
    downlink_bps: tuple[float, ...]
    rtt_ns: tuple[float, ...]
    queue_ns: tuple[float, ...]
    cloud_rtt_ns: tuple[float, ...] = ()
    cloud_queue_ns: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.rtt_ns)
        for rates in (self.uplink_bps, self.downlink_bps):
            falling = list(rates) == sorted(rates, reverse=True)
            if len(rates) != count or not falling or not min(rates, default=0) > 0:
                raise PlacementError(f"rates {rates}: give {count} above 0, the slowest last")
        clouds = (self.cloud_rtt_ns, self.cloud_queue_ns) if self.cloud_rtt_ns or self.cloud_queue_ns else ()
        for delays in (self.rtt_ns, self.queue_ns, *clouds):
            rising = list(delays) == sorted(delays)
            if len(delays) != count or not rising or not 0 <= min(delays) <= max(delays) < float("inf"):
                raise PlacementError(f"delays {delays}: give {count}, none below 0, the longest last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What counts: chances within ``slack`` of the best are equal, then the smallest cost wins.

    Cost in nanoseconds: expected latency + ``joule_ns`` per joule + ``price_ns`` per unit of price +
    ``loss_ns`` per unit of accuracy loss. Placements above ``loss_limit`` are never chosen.
    """

    deadline_ns: float
    joule_ns: float = 0.0
    price_ns: float = 0.0
    loss_ns: float = 0.0
    loss_limit: float = float("inf")
    slack: float = 0.005

    def __post_init__(self) -> None:
        numbers = (self.joule_ns, self.price_ns, self.loss_ns, self.slack)
        if isnan(self.deadline_ns) or not all(0 <= number < float("inf") for number in numbers):
            raise PlacementError("prices and slack of a wish must be numbers, none below 0")


def level_weights(levels: tuple[float, ...]) -> Floats:
    """Weights (L,) that turn quantiles at ``levels`` into an expectation.

    The quantile function is taken as straight between the levels and flat outside of them: below the first
    level that is pessimistic, above the last one nothing is known.
    """
    half_gaps = np.diff(levels) / 2
    weights = np.zeros(len(levels))
    weights[:-1] += half_gaps
    weights[1:] += half_gaps
    weights[0] += levels[0]
    weights[-1] += 1 - levels[-1]
    return weights
