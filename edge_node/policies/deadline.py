"""Pure core: leave the headset when the answer will probably be back in time, and staying would not be safer.

The chance of a frame that leaves counts the run that begins here at the latest safe start: the frame is lost only
where both fail. Up after the chance has held for a while, longer after every fall that came soon after a climb, so
that a link which comes and goes is not followed back and forth; down at once. A link that was cut is another matter:
when it is back, nothing is held against it.
"""

from collections import deque

from edge_node.policies.base import Considered, Decision, LinkView, Path, blocked_by, stay
from schemas.documents import SplitConfig

TOLERANCE = 0.005  # chances so near count as equal: then the worker's better model decides
LEAST_SAMPLES = 3  # of the link, before it is believed
DOWN_SHARE = 0.7  # of the floor: below it a frame stays, between both it goes where the last one went
FIRST_HOLD_NS, MOST_HOLD_NS = 300_000_000, 20_000_000_000
MOST_CLIMBS, CLIMBS_WITHIN_NS = 3, 60_000_000_000  # so that chance alone switches six times a minute at most
CALM_NS = 30_000_000_000  # up so long without a fall, and the next climb is quick again


class DeadlinePolicy:
    """P(fresh and on time) first; among equals the worker, whose model is the better one."""

    def __init__(self, config: SplitConfig) -> None:
        self._floor = config.on_time_floor
        self._may_leave = "offload" in config.tiers
        self._up = False
        self._good_since_ns: int | None = None
        self._up_since_ns = 0
        self._hold_ns = FIRST_HOLD_NS
        self._climbs_ns: deque[int] = deque(maxlen=MOST_CLIMBS)

    def decide(self, view: LinkView) -> Decision:
        """Offload where that is as sure as staying, for long enough."""
        if not self._may_leave:
            return stay("tiers allow no offload")
        if blocked := blocked_by(view):
            self._up, self._good_since_ns, self._hold_ns = False, None, FIRST_HOLD_NS
            self._climbs_ns.clear()
            return stay(blocked)
        if view.offload is None or view.local is None:
            return stay("nothing is known of the link")
        if not self._up and view.offload.samples < LEAST_SAMPLES:
            return stay("too little is known of the link")
        p_remote = view.offload.p_at(view.deadline_ns - view.now_ns)
        p_out = 1 - (1 - p_remote) * (1 - view.local.p_hedged)
        why_not = self._why_not(p_remote, p_out, view)
        rows = (
            Considered(path=Path.OFFLOAD, worker=view.worker, p_on_time=p_out, why_not=why_not),
            Considered(
                path=Path.LOCAL,
                worker=None,
                p_on_time=view.local.p_now,
                why_not="" if why_not else "as sure, by the smaller model",
            ),
        )
        if why_not:
            return Decision(
                path=Path.LOCAL, worker=None, reason=why_not, p_on_time=view.local.p_now, considered=rows
            )
        return Decision(
            path=Path.OFFLOAD,
            worker=view.worker,
            reason=f"{p_remote:.2f} to be back in time",
            p_on_time=p_out,
            considered=rows,
        )

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest: the forecast has it."""

    def on_loss(self, reason: str) -> None:
        """Of no interest: the forecast has it."""

    def wants_probes(self) -> bool:
        """While down; up, the frames themselves are the probes."""
        return self._may_leave and not self._up

    def _why_not(self, p_remote: float, p_out: float, view: LinkView) -> str:
        """Why the frame stays; empty where it leaves. Moves up and down."""
        floor = self._floor * DOWN_SHARE if self._up else self._floor
        p_now = 0.0 if view.local is None else view.local.p_now
        if p_remote < floor:
            self._fall(view.now_ns)
            return f"only {p_remote:.2f} to be back in time, asked are {floor:.2f}"
        if p_out < p_now - TOLERANCE:
            self._fall(view.now_ns)
            return f"staying is surer: {p_now:.3f} against {p_out:.3f}"
        return self._climb(view.now_ns)

    def _climb(self, now_ns: int) -> str:
        if self._up:
            if now_ns - self._up_since_ns >= CALM_NS:
                self._hold_ns = FIRST_HOLD_NS
            return ""
        if self._good_since_ns is None:
            self._good_since_ns = now_ns
        held_ns = now_ns - self._good_since_ns
        if held_ns < self._hold_ns:
            return f"good for {held_ns / 1e9:.1f} of {self._hold_ns / 1e9:.1f} s"
        if len(self._climbs_ns) == MOST_CLIMBS and now_ns - self._climbs_ns[0] < CLIMBS_WITHIN_NS:
            return f"{MOST_CLIMBS} times up within a minute: the link is not steady"
        self._climbs_ns.append(now_ns)
        self._up, self._up_since_ns = True, now_ns
        return ""

    def _fall(self, now_ns: int) -> None:
        if self._up and now_ns - self._up_since_ns < CALM_NS:
            self._hold_ns = min(MOST_HOLD_NS, 2 * self._hold_ns)
        self._up, self._good_since_ns = False, None
