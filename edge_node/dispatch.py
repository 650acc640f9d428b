"""Pure core: where a frame goes first: what the policy may know, what it said, and what follows from that.

Keeps the mode, and the two budgets: of duplicates, which a policy is told of before it wants one, and of shadows, copies
of frames that stay here, whose replies only teach. A run at the latest safe start is never refused for want of a token.
"""

from collections import Counter
from collections.abc import Callable

from edge_node.answers import Answers
from edge_node.decide import POLICIES, Decision, LinkView, LocalView, Path, Policy
from edge_node.decisions import Decisions
from edge_node.flight import Flight, Stage
from edge_node.frames import Captured
from edge_node.local_way import LocalWay
from edge_node.moments import Moments
from edge_node.remote import Remote
from edge_node.shadows import ShadowBudget
from edge_node.tokens import TokenBucket
from edge_node.way_out import WayOut
from schemas.deployments import TaskWord
from schemas.documents import SplitConfig

TASK: TaskWord = "hands"
SHADOWED = frozenset({"deadline"})  # policies that learn from shadows
KEPT_HERE_FRAMES = 60  # for want of time for parts, before what is known of parts is doubted

OnSwitch = Callable[[Flight, Path, str], None]  # the frame, the mode before, and why


class Dispatch:
    """The way of every frame of one headset."""

    def __init__(
        self,
        *,
        remote: Remote,
        local: LocalWay,
        out: WayOut,
        answers: Answers,
        moments: Moments,
        on_switch: OnSwitch,
    ) -> None:
        self._remote, self._local, self._out = remote, local, out
        self._answers, self._moments = answers, moments
        self._on_switch = on_switch
        self.decisions = Decisions()
        self.mode = Path.LOCAL  # where the newest frame went first
        self.switches = 0
        self.reason = "no frame was scheduled yet"  # of the newest decision
        self.left_ns: int | None = None  # when the newest frame left
        self._kept_here: Counter[int] = Counter()  # frames since the parts at a cut were last doubted
        self._duplicates = TokenBucket(per_s=0, burst=0)
        self._shadows = ShadowBudget()
        self._shadowed: tuple[str, int] | None = None  # the worker, and the level of the way there
        self._has_begun = False

    def use(self, config: SplitConfig) -> None:
        """Decide by this configuration from the next frame on."""
        self._config = config
        self.policy: Policy = POLICIES[config.policy](config)
        self._critical = config.criticality.get(TASK) == "critical"
        self._wants_shadows = (
            config.policy in SHADOWED
            and "offload" in config.tiers
            and config.shadow_share > 0
            and not self._critical
        )
        rate, burst = config.duplicates_per_s, config.duplicates_burst
        if self._has_begun:
            self._duplicates.use(per_s=rate, burst=burst)
        else:
            self._duplicates, self._has_begun = TokenBucket(per_s=rate, burst=burst), True
        self._remote.use(config, self.policy)

    def send_off(self, flight: Flight, captured: Captured, *, now_ns: int) -> None:
        """Let the policy choose, and begin."""
        flight.regions = len(self._answers.rois(flight))
        flight.critical = self._critical
        is_cut = self._local.engine.parts is not None
        view = self._out.view(
            flight,
            local=self._local_view(flight, now_ns=now_ns),
            now_ns=now_ns,
            critical=self._critical,
            may_duplicate=self._duplicates.has_one(now_ns=now_ns),
            head_by_ns=self._moments.latest_start_ns(flight, mode=Path.SPLIT) if is_cut else 0,
        )
        if is_cut:
            self._doubt_late_parts(view)
        decision = self.policy.decide(view)
        flight.worker = decision.worker or view.worker
        flight.rtt_ns = self._remote.rtt_ns(flight.worker)
        flight.p_on_time = decision.p_on_time
        self.decisions.note(flight, view, decision, policy=self._config.policy)
        self._note_mode(flight, decision)
        self._out.begin(flight, captured, decision, now_ns=now_ns)
        if flight.remote is Stage.RUNNING:
            self.left_ns = now_ns
            if flight.worker is not None and flight.worker != view.worker:
                self._remote.workers.took(flight.worker)
            flight.p_remote = _p_remote(view, decision)
        elif decision.path is Path.OFFLOAD:  # it could not be sent, so it is computed here
            flight.p_on_time = None if decision.p_on_time is None or view.local is None else view.local.p_now
        if decision.duplicate:
            self._pay(view)

    def shadow(self, flight: Flight, captured: Captured, *, now_ns: int) -> None:
        """Send a copy of a frame that stays here, if that is paid for; call it when its own run has begun."""
        if not self._wants_shadows or flight.mode is not Path.LOCAL or flight.remote is not Stage.IDLE:
            return
        remote, budget = self._remote, self._shadows
        self._look_at_the_link(flight.worker)
        picture_bytes = remote.picture_bytes
        budget.stay(
            share=self._config.shadow_share, picture_bytes=picture_bytes, pinged_bytes=remote.pinged_bytes
        )
        if not budget.may_send(picture_bytes) or not remote.ready or flight.worker is None:
            return
        rois = self._answers.rois(flight)
        if remote.send(flight, captured, worker=flight.worker, rois=rois, now_ns=now_ns):
            budget.sent(flight.payload_bytes)
            self._out.shadow_left(flight, now_ns=now_ns)

    def _look_at_the_link(self, worker: str | None) -> None:
        """Begin to learn where it is not the one that was learned: another worker, another level, or back after a cut."""
        if worker is None or not self._remote.ready:
            self._shadowed = None
            return
        link = (worker, self._remote.routes.changes(worker))
        if link != self._shadowed:
            self._shadowed = link
            self._shadows.begin()

    def _pay(self, view: LinkView) -> None:
        """A duplicate is free for a critical frame, and where the latest safe start has come anyway."""
        is_wanted = view.local is None or view.local.hedge_at_ns > view.now_ns
        if is_wanted and not view.critical:
            self._duplicates.take(now_ns=view.now_ns)

    def begins_early(self, flight: Flight, *, now_ns: int) -> bool:
        """Whether a run begins before it must, as the policy asked: that costs a duplicate, and is withheld without one."""
        if flight.hedge_at_ns is None or now_ns < flight.hedge_at_ns:
            return False
        if flight.critical:
            return True
        if not self._duplicates.has_one(now_ns=now_ns):
            flight.hedge_at_ns = None
            return False
        self._duplicates.take(now_ns=now_ns)
        return True

    def _local_view(self, flight: Flight, *, now_ns: int) -> LocalView:
        """What a whole run here could do for a frame, by how long such runs lately took."""
        perception, regions = self._local.perception, flight.regions
        free_ns = perception.free_ns(now_ns)
        hedge_at_ns = max(free_ns, self._moments.latest_start_ns(flight, mode=flight.mode))
        runs = perception.times.newest(regions=regions)
        return LocalView(
            p_now=runs.share_below(flight.deadline_ns - free_ns),
            p_hedged=runs.share_below(flight.deadline_ns - hedge_at_ns),
            hedge_at_ns=hedge_at_ns,
        )

    def _doubt_late_parts(self, view: LinkView) -> None:
        """While none run nothing is learned of parts, and one slow run would keep every later frame here."""
        for pair in view.pairs:
            if not pair.too_late:
                continue
            cut = pair.placement.id
            self._kept_here[cut] += 1
            if self._kept_here[cut] >= KEPT_HERE_FRAMES:
                self._kept_here[cut] = 0
                self._local.perception.times.forget_parts(cut)

    def _note_mode(self, flight: Flight, decision: Decision) -> None:
        flight.mode, flight.reason, self.reason = decision.path, decision.reason, decision.reason
        if decision.path is not self.mode:
            self.switches += 1
            self._on_switch(flight, self.mode, decision.reason)
            self.mode = decision.path


def _p_remote(view: LinkView, decision: Decision) -> float | None:
    """What was to be expected of the picture that was sent; of parts nothing is stated."""
    if decision.path is not Path.OFFLOAD:
        return None
    forecast = view.offload
    if decision.quality is not None and len(view.offloads) > 1:
        forecasts = {(rung.worker, rung.quality): rung.forecast for rung in view.offloads}
        forecast = forecasts.get((decision.worker or "", decision.quality))
    return None if forecast is None else forecast.p_at(view.deadline_ns - view.now_ns)
