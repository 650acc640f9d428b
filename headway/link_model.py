"""Pure core: when bytes that enter a link come out of it. No clock, no sockets: the caller brings the time.

The link's weather is a function of the seed and the time alone: jitter and losses are looked up by 5 ms slot, never
drawn in turn, so two senders that behave differently still meet the same link. Bytes are never dropped and never
overtake each other within a flow: a lost segment holds up what follows it, as TCP does. With at least three segments
of the same batch behind it, it is sent again after one round trip; else after the retransmission timeout, and a lost
retransmission waits twice as long. After a stall or a cut everything flows at once: the sender's own backed-off timer
is not modelled, since sessions dial anew long before it fires.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from headway.link_jitter import JITTERS
from headway.link_spec import (
    OPPORTUNITY_BYTES,
    DelayTrace,
    DeliveryTrace,
    Direction,
    Leg,
    LinkSpec,
    Window,
)

MS_NS = 1_000_000
S_NS = 1_000_000_000
SLOT_NS = 5 * MS_NS
SEGMENT_BYTES = 1448
LEAST_RTO_NS = 200 * MS_NS
MOST_RTO_NS = 60 * S_NS
DUPLICATES_TO_RESEND = 3
_MASK = (1 << 64) - 1
_FOREVER = 1 << 62


class _Wire(NamedTuple):
    """A leg in the model's units."""

    delay_ns: int
    jitter_ns: float
    shape: Callable[[float], float]
    rate_bytes_per_ns: float | None
    loss: float


@dataclass(slots=True)
class _Lane:
    """One direction: its fixed plan and where it stands."""

    seed: int
    wires: tuple[_Wire, ...]
    stops: tuple[int, ...]
    starts: tuple[int, ...]  # the ends of the stops
    deliveries: DeliveryTrace | None
    free_ns: int = 0
    opportunity: int = -1  # the last one used
    room_bytes: int = 0  # what is left of it
    slot: int = -1
    batches: int = 0  # in this slot
    released_ns: dict[int, int] = field(default_factory=dict)


class LinkModel:
    """One link; ``start_ns`` is the zero of its spec's times."""

    def __init__(self, spec: LinkSpec, *, seed: int, start_ns: int = 0) -> None:
        self._seed = seed
        self._lanes: dict[Direction, _Lane] = {}
        self.become(spec, now_ns=start_ns)

    def become(self, spec: LinkSpec, *, now_ns: int, seed: int | None = None) -> None:
        """Follow another spec from now on, its time zero; what is under way keeps its order and its wire."""
        before = self._lanes
        self._seed = self._seed if seed is None else seed
        self._spec, self._start_ns = spec, now_ns
        self._phases = tuple(round(phase.at_s * S_NS) for phase in spec.phases)
        self._cuts = _merged(spec.cuts, None)
        self._trace = None if spec.trace is None else _Trace.of(spec.trace)
        legs = {
            Direction.UP: [phase.up for phase in spec.phases],
            Direction.DOWN: [phase.down for phase in spec.phases],
        }
        deliveries = {Direction.UP: spec.up_deliveries, Direction.DOWN: spec.down_deliveries}
        self._lanes = {}
        for number, direction in enumerate(Direction):
            stops, starts = _merged(spec.stalls + spec.cuts, direction)
            lane = _Lane(
                seed=_mix(self._seed * len(Direction) + number),
                wires=tuple(_wire(leg) for leg in legs[direction]),
                stops=stops,
                starts=starts,
                deliveries=deliveries[direction],
            )
            if direction in before:
                old = before[direction]
                lane.free_ns = old.free_ns
                lane.released_ns = old.released_ns
            self._lanes[direction] = lane

    def release_ns(self, direction: Direction, now_ns: int, payload_bytes: int, *, flow: int = 0) -> int:
        """When the last of these bytes comes out, if they enter now; never before what entered this flow earlier."""
        lane = self._lanes[direction]
        since_ns = now_ns - self._start_ns
        slot = since_ns // SLOT_NS
        if slot != lane.slot:
            lane.slot, lane.batches = slot, 0
        lane.batches += 1
        departed_ns = self._departure(lane, since_ns, payload_bytes)
        wire = lane.wires[self._phase(departed_ns)]
        arrived_ns = departed_ns + wire.delay_ns
        if self._trace is not None:
            arrived_ns += self._trace.rtt_ns(departed_ns) // 2
        if wire.jitter_ns:
            draw = _share(lane.seed, departed_ns // SLOT_NS, 0)
            arrived_ns += int(wire.shape(draw) * wire.jitter_ns)
        if wire.loss:
            arrived_ns += self._resending_ns(lane, wire, departed_ns, payload_bytes)
        released_ns = _after_stops(lane, arrived_ns) + self._start_ns
        released_ns = max(released_ns, lane.released_ns.get(flow, 0))
        lane.released_ns[flow] = released_ns
        return released_ns

    def forget(self, flow: int) -> None:
        """Drop what is kept for a flow whose connection has ended."""
        for lane in self._lanes.values():
            lane.released_ns.pop(flow, None)

    def cut_ends_ns(self, now_ns: int) -> int | None:
        """When the cut that holds now ends; None when there is none."""
        stops, starts = self._cuts
        since_ns = now_ns - self._start_ns
        index = bisect_right(stops, since_ns) - 1
        if index < 0 or since_ns >= starts[index]:
            return None
        return starts[index] + self._start_ns

    def is_cut(self, now_ns: int) -> bool:
        """Whether new connections are kept out now."""
        return self.cut_ends_ns(now_ns) is not None

    def rtt_ns(self, now_ns: int) -> int:
        """The round trip of nearly nothing, without jitter, stalls and losses."""
        return self._rtt_ns(now_ns - self._start_ns)

    def _rtt_ns(self, since_ns: int) -> int:
        phase = self._phase(since_ns)
        delays_ns = sum(lane.wires[phase].delay_ns for lane in self._lanes.values())
        return delays_ns + (0 if self._trace is None else self._trace.rtt_ns(since_ns))

    def _phase(self, since_ns: int) -> int:
        return bisect_right(self._phases, since_ns) - 1 if len(self._phases) > 1 else 0

    def _departure(self, lane: _Lane, since_ns: int, payload_bytes: int) -> int:
        """When the last byte has left: after everything before it, at the rate of each phase, not while stopped."""
        at_ns = max(since_ns, lane.free_ns - self._start_ns)
        if lane.deliveries is not None:
            at_ns = _opportune(lane, lane.deliveries, _after_stops(lane, at_ns), payload_bytes)
        else:
            at_ns = self._at_rate(lane, at_ns, float(payload_bytes))
        lane.free_ns = at_ns + self._start_ns
        return at_ns

    def _at_rate(self, lane: _Lane, at_ns: int, left_bytes: float) -> int:
        while True:
            at_ns = _after_stops(lane, at_ns)
            phase = self._phase(at_ns)
            rate = lane.wires[phase].rate_bytes_per_ns
            if rate is None:
                return at_ns
            until_ns = self._phases[phase + 1] if phase + 1 < len(self._phases) else _FOREVER
            index = bisect_right(lane.stops, at_ns)
            if index < len(lane.stops):
                until_ns = min(until_ns, lane.stops[index])
            done_ns = at_ns + math.ceil(left_bytes / rate)
            if done_ns <= until_ns:
                return done_ns
            left_bytes = max(0.0, left_bytes - (until_ns - at_ns) * rate)
            at_ns = until_ns

    def _resending_ns(self, lane: _Lane, wire: _Wire, departed_ns: int, payload_bytes: int) -> int:
        """How much longer the batch takes because segments of it are lost, mostly 0."""
        key, index = lane.slot, lane.batches * 64  # room for the draws of one batch
        segments = max(1, -(-payload_bytes // SEGMENT_BYTES))
        whole = math.log1p(-_share(lane.seed, key, index)) / math.log1p(-wire.loss)
        if whole >= segments:
            return 0
        rtt_ns = self._rtt_ns(departed_ns)
        rto_ns = max(LEAST_RTO_NS, 2 * rtt_ns)
        behind = segments - 1 - int(whole)
        if behind >= DUPLICATES_TO_RESEND:
            stall_ns = rtt_ns
        else:
            stall_ns, rto_ns = rto_ns, 2 * rto_ns
        for again in range(1, 63):
            if _share(lane.seed, key, index + again) >= wire.loss:
                break
            stall_ns += rto_ns
            rto_ns = min(2 * rto_ns, MOST_RTO_NS)
        return stall_ns


class _Trace(NamedTuple):
    """Recorded round trips in nanoseconds."""

    rtts_ns: tuple[int, ...]
    interval_ns: int
    start_ns: int

    @classmethod
    def of(cls, trace: DelayTrace) -> _Trace:
        return cls(
            tuple(round(rtt_ms * MS_NS) for rtt_ms in trace.rtts_ms),
            round(trace.interval_s * S_NS),
            round(trace.start_s * S_NS),
        )

    def rtt_ns(self, since_ns: int) -> int:
        return self.rtts_ns[(since_ns + self.start_ns) // self.interval_ns % len(self.rtts_ns)]


def _wire(leg: Leg) -> _Wire:
    rate = None if leg.rate_bytes_per_s is None else leg.rate_bytes_per_s / S_NS
    jitter_ns = 0.0 if leg.jitter.kind == "none" else leg.jitter.mean_ms * MS_NS
    return _Wire(round(leg.delay_ms * MS_NS), jitter_ns, JITTERS[leg.jitter.kind], rate, leg.loss)


def _merged(
    windows: tuple[Window, ...], direction: Direction | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where these windows begin and end, sorted, those that touch made one."""
    spans = sorted(
        (round(window.at_s * S_NS), round((window.at_s + window.for_s) * S_NS))
        for window in windows
        if direction is None or direction in window.directions
    )
    begins: list[int] = []
    ends: list[int] = []
    for begin_ns, end_ns in spans:
        if ends and begin_ns <= ends[-1]:
            ends[-1] = max(ends[-1], end_ns)
        else:
            begins.append(begin_ns)
            ends.append(end_ns)
    return tuple(begins), tuple(ends)


def _after_stops(lane: _Lane, at_ns: int) -> int:
    """The same moment, or the end of the stop that holds it."""
    index = bisect_right(lane.stops, at_ns) - 1
    return at_ns if index < 0 else max(at_ns, lane.starts[index])


def _opportune(lane: _Lane, trace: DeliveryTrace, at_ns: int, payload_bytes: int) -> int:
    """When the last byte has had its opportunity; opportunities that nobody waited for are gone."""
    times = trace.opportunities_ms
    loop_ms = times[-1]
    rounds, rest_ms = divmod(-(-at_ns // MS_NS), loop_ms)
    following = rounds * len(times) + bisect_left(times, rest_ms)
    if following > lane.opportunity:
        lane.opportunity, lane.room_bytes = following, OPPORTUNITY_BYTES
    more = -(-max(0, payload_bytes - lane.room_bytes) // OPPORTUNITY_BYTES)
    lane.opportunity += more
    lane.room_bytes += more * OPPORTUNITY_BYTES - payload_bytes
    rounds, index = divmod(lane.opportunity, len(times))
    return max(at_ns, (rounds * loop_ms + times[index]) * MS_NS)


def _mix(number: int) -> int:
    """Spread a number over 64 bits (the finaliser of SplitMix64)."""
    number &= _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def _share(seed: int, slot: int, index: int) -> float:
    """The even draw from [0, 1) that belongs to this slot and index."""
    mixed = _mix(_mix(seed + slot * 0x9E3779B97F4A7C15) + index * 0xD1B54A32D192ED03)
    return float(mixed >> 11) * 2.0**-53
