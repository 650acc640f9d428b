"""Pure core: every way a frame could go, as rows of numbers: chances, joules, bytes and loss of quality.

What cannot be taken at all says why in ``why_not``. Which row is best is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_node.energy import POWERS
from edge_node.estimates.forecast import Forecast
from edge_node.policies.base import (
    TOO_LATE_FOR_PARTS,
    ChipView,
    Considered,
    LinkView,
    LocalView,
    PairView,
    Path,
)
from edge_node.policies.quality import picture_loss, together
from schemas.documents import SplitConfig

NS_PER_S = 1_000_000_000
BITS_PER_BYTE = 8
UNKNOWN_CHIP = ChipView(power=POWERS["host"], run_ns=0)
NEEDS_THE_SLOT = "a critical frame's own run needs the slot at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator allows and knows: the tiers, bytes per second upwards, what the models of both ends lose."""

    local: bool
    split: bool
    offload: bool
    ceiling_bytes_per_s: float | None
    local_loss: float
    worker_loss: float

    @classmethod
    def of(cls, config: SplitConfig) -> "Limits":
        """As the config says it."""
        ceiling = config.uplink_ceiling_kbps
        return cls(
            local="local" in config.tiers,
            split="split" in config.tiers,
            offload="offload" in config.tiers,
            ceiling_bytes_per_s=None if ceiling is None else ceiling * 1000 / BITS_PER_BYTE,
            local_loss=config.model_loss.local,
            worker_loss=config.model_loss.worker,
        )

    @property
    def remote(self) -> bool:
        """Whether frames may leave at all."""
        return self.split or self.offload

    def over_ceiling(self, payload_bytes: int, *, frame_ns: int, share: float = 1.0) -> str:
        """Why so many bytes a frame are too many for this ``share`` of the ceiling; empty where they are not."""
        if self.ceiling_bytes_per_s is None:
            return ""
        rate = payload_bytes * NS_PER_S / frame_ns
        if rate <= share * self.ceiling_bytes_per_s:
            return ""
        kbps, most = (value * BITS_PER_BYTE / 1000 for value in (rate, share * self.ceiling_bytes_per_s))
        return f"{kbps:.0f} kbit/s, allowed are {most:.0f}"


def candidates(view: LinkView, limits: Limits, *, local: LocalView) -> list[Considered]:
    """The local run first, then the split at each pair, then the pictures of each worker from the best quality down."""
    chip = view.chip or UNKNOWN_CHIP
    run_j = chip.power.run_j(chip.run_ns)
    rows = [
        Considered(
            path=Path.LOCAL,
            worker=None,
            p_on_time=local.p_now,
            energy_j=run_j,
            loss=limits.local_loss,
            why_not="" if limits.local else "tiers do not name local",
        )
    ]
    if limits.split:
        rows.extend(_split(view, pair, limits, chip, run_j, local=local) for pair in view.pairs)
    if limits.offload:
        rows.extend(_offloads(view, limits, chip, run_j, local=local))
    return rows


def _offloads(
    view: LinkView, limits: Limits, chip: ChipView, run_j: float, *, local: LocalView
) -> Sequence[Considered]:
    """The worker's model answers only where its answer comes before that of the run behind it: so much is it worth."""
    budget_ns, hedge_in_ns = view.deadline_ns - view.now_ns, local.hedge_at_ns - view.now_ns
    p_behind, behind_in_ns = (local.p_now, 0) if view.critical else (local.p_hedged, max(0, hedge_in_ns))
    run_ends_in_ns = min(budget_ns, behind_in_ns + chip.run_ns)
    encode_j = chip.power.run_j(chip.power.encode_ns)
    rows = []
    for rung in view.offloads:
        forecast = rung.forecast
        there_loss = together(picture_loss(rung.quality), limits.worker_loss)
        p_run = 1.0 if view.critical else 1 - forecast.p_at(hedge_in_ns)
        p_first, p_remote = forecast.p_at(run_ends_in_ns), forecast.p_at(budget_ns)
        radio_j = chip.power.radio_j(
            payload_bytes=rung.payload_bytes, awake_ns=min(forecast.predicted_ns, budget_ns)
        )
        rows.append(
            Considered(
                path=Path.OFFLOAD,
                worker=rung.worker or view.worker,
                p_remote=p_remote,
                p_on_time=1 - (1 - p_remote) * (1 - p_behind),
                samples=forecast.samples,
                energy_j=encode_j + radio_j + p_run * run_j,
                payload_bytes=rung.payload_bytes,
                loss=limits.local_loss + p_first * (there_loss - limits.local_loss),
                quality=rung.quality,
            )
        )
    return rows


def _split(
    view: LinkView, pair: PairView, limits: Limits, chip: ChipView, run_j: float, *, local: LocalView
) -> Considered:
    """The same model as here, bit for bit: so its loss is that of the local run."""
    part, forecast = pair.part, pair.forecast
    p_remote, p_run, radio_j = 0.0, 1.0, 0.0
    if forecast is not None:
        p_remote, p_run, radio_j = _part_sent(view, pair, chip, forecast, local=local)
    why_not = part.reason
    if not why_not and view.critical:
        why_not = NEEDS_THE_SLOT
    if not why_not and pair.too_late:
        why_not = TOO_LATE_FOR_PARTS
    return Considered(
        path=Path.SPLIT,
        worker=part.worker,
        p_remote=p_remote,
        p_on_time=1 - (1 - p_remote) * (1 - local.p_hedged),
        samples=0 if forecast is None else forecast.samples,
        energy_j=chip.power.run_j(pair.head_ns + pair.tail_ns) + radio_j + p_run * run_j,
        payload_bytes=pair.payload_bytes,
        loss=limits.local_loss,
        placement=pair.placement,
        why_not=why_not,
    )


def _part_sent(
    view: LinkView, pair: PairView, chip: ChipView, forecast: Forecast, *, local: LocalView
) -> tuple[float, float, float]:
    """Its chance, the chance that a whole run begins nevertheless, and the radio's joules; the head is done first."""
    left_ns = view.deadline_ns - view.now_ns - pair.head_ns - pair.tail_ns
    p_run = 1 - forecast.p_at(local.hedge_at_ns - view.now_ns - pair.head_ns)
    radio_j = chip.power.radio_j(
        payload_bytes=pair.payload_bytes, awake_ns=max(0, min(forecast.predicted_ns, left_ns))
    )
    return forecast.p_at(left_ns), p_run, radio_j
