"""Pure core: a frame's journey from its scheduled moment to its one answer.

Told what happened (a frame was scheduled, a local run ended, a reply came, time passed) it starts local
runs, sends frames, hedges, carries and answers through the ports it was given. Every method takes the time;
nothing here reads a clock, waits or knows a topic. ``next_due_ns`` says when ``tick`` should be called next.

One rule per worry: the first valid result wins; a later one only refreshes the tracker; a frame whose own
result will not come in time is answered with an older result moved forward; a frame that nothing answers
within ``patience_ns`` ends as none.
"""

from collections.abc import Callable

from edge_node.answers import Answers, close
from edge_node.decide import POLICIES, Decision, LocalView, Path, Policy
from edge_node.decisions import Decisions
from edge_node.estimates.quantiles import Quantiles
from edge_node.flight import Flight, Stage
from edge_node.frames import Captured
from edge_node.hedge import JourneyLimits, carry_at_ns, latest_local_start_ns
from edge_node.jobs import Engine, JobDone, JobKind
from edge_node.local_way import LocalWay
from edge_node.perceive import Perception
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from edge_node.way_out import WayOut
from schemas.documents import SplitConfig
from schemas.messages import Task

NS_PER_MS = 1_000_000
LATENESS_QUANTILE = 0.999
WAKES = 480  # a few seconds of them
KEPT_HERE_FRAMES = 60  # for want of time for parts, before what is known of parts is doubted
NO_TIME_FOR_PARTS = "a whole run must begin before a head would be done: allow frames a longer deadline"


class Journey:
    """All frames of one headset that are under way. Belongs to the frame loop's thread."""

    def __init__(
        self,
        *,
        engine: Engine,
        perception: Perception,
        remote: Remote,
        config: SplitConfig,
        on_line: Callable[[Flight], None],
        on_switch: Callable[[Flight, Path, str], None],
        new_trace: Callable[[], bytes],
        limits: JourneyLimits | None = None,
    ) -> None:
        self.perception = perception
        self.remote = remote
        self.answers = Answers()
        self.switches = 0
        self.decisions = Decisions()
        self.lateness = Quantiles(prior_ns=0, window=WAKES)  # fed by whoever wakes us
        self._on_line = on_line
        self._on_switch = on_switch
        self._new_trace = new_trace
        self._limits = limits or JourneyLimits()
        self._flights: dict[int, Flight] = {}
        self.local = LocalWay(
            engine=engine,
            perception=perception,
            answers=self.answers,
            flights=self._flights,
            waiting=self._limits.waiting,
            on_head=lambda flight, now_ns: self._out.on_head(flight, now_ns),  # noqa: PLW0108 - bound late
        )
        self._out = WayOut(remote=remote, local=self.local, answers=self.answers, flights=self._flights)
        self._mode = Path.LOCAL
        self._kept_here = 0  # frames since parts were last doubted
        self.reason = "no frame was scheduled yet"  # of the newest decision
        self.use(config)

    @property
    def mode(self) -> Path:
        """Where the newest frame went first."""
        return self._mode

    @property
    def pending(self) -> int:
        """Frames without an answer yet."""
        return len(self.answers.ledger)

    def use(self, config: SplitConfig) -> None:
        """Decide by this configuration from the next frame on."""
        self.config = config
        self._policy: Policy = POLICIES[config.policy](config)
        self.remote.use(config, self._policy)

    def schedule(
        self, frame_id: int, *, scheduled_ns: int, captured: Captured | None, skipped: bool, now_ns: int
    ) -> None:
        """A frame's moment has come; ``captured`` is None where the source or the loop missed it."""
        deadline_ns = scheduled_ns + round(self.config.deadline_ms * NS_PER_MS)
        flight = Flight(
            frame_id=frame_id,
            scheduled_ns=scheduled_ns,
            deadline_ns=deadline_ns,
            captured=captured,
            skipped=skipped,
            trace_id=self._new_trace(),
            mode=self._mode,
        )
        self._flights[frame_id] = flight
        pushed_out = self.answers.ledger.schedule(
            frame_id,
            scheduled_ns=scheduled_ns,
            deadline_ns=deadline_ns,
            captured=captured is not None,
            skipped=skipped,
        )
        if pushed_out is not None:
            close(self._flights[pushed_out.frame_id], pushed_out)
        if captured is None:
            self.answers.carry(flight, now_ns=now_ns)
        else:
            self._send_off(flight, captured, now_ns=now_ns)
        self.tick(now_ns)

    def on_job_done(self, done: JobDone, *, now_ns: int) -> None:
        """A local run really ended; the device may still need time."""
        self.perception.on_done(done, thermal=self.remote.thermal)
        self.tick(now_ns)

    def on_reply(self, reply: RemoteReply, *, now_ns: int) -> None:
        """A worker answered a frame or a ping."""
        self.remote.note(reply, policy=self._policy, now_ns=now_ns)
        about_frame = reply.task is not Task.PING and not reply.ask
        flight = self._flights.get(reply.frame_id) if about_frame else None
        if flight is not None:
            self._out.hear(flight, reply, now_ns=now_ns)
        self.tick(now_ns)

    def on_link_trouble(self, reason: str, *, now_ns: int) -> None:
        """The session became suspect or died: nothing that is out there can be relied on."""
        self._policy.on_loss(reason)
        self._out.hedge_all()
        self.tick(now_ns)

    def tick(self, now_ns: int) -> None:
        """Do everything whose time has come."""
        perceived = self.perception.take_due(now_ns=now_ns)
        if perceived is not None:
            self.local.take(perceived, now_ns=now_ns)
        self.remote.probe(self._policy, now_ns=now_ns)
        for flight in list(self._flights.values()):
            self._advance(flight, now_ns=now_ns)
        self.local.fill(now_ns=now_ns)

    def next_due_ns(self) -> int | None:
        """When ``tick`` has something to do again; None while nothing waits for time."""
        dues = [self.perception.due_ns, self.remote.next_probe_ns(self._policy)]
        dues.extend(self._next_due_of(flight) for flight in self._flights.values())
        return min((due for due in dues if due is not None), default=None)

    def finish(self, *, now_ns: int) -> None:
        """Answer what is pending with what there is, and write every line."""
        for flight in list(self._flights.values()):
            if flight.answer is None and not self.answers.carry(flight, now_ns=now_ns):
                self.answers.give_up(flight, now_ns=now_ns)
            self._land(flight)

    # -- where a frame goes first ------------------------------------------------------------------

    def _send_off(self, flight: Flight, captured: Captured, *, now_ns: int) -> None:
        view = self._out.view(flight, local=self._local_view(flight, now_ns=now_ns), now_ns=now_ns)
        decision = self._policy.decide(view)
        if decision.path is Path.SPLIT and self._is_too_late_for_parts(flight, now_ns=now_ns):
            decision = Decision(path=Path.LOCAL, worker=None, reason=NO_TIME_FOR_PARTS)
            self._doubt_parts()
        flight.worker, flight.rtt_ns = view.worker, self.remote.rtt_ns(view.worker)
        flight.p_on_time = decision.p_on_time
        self.decisions.note(flight, view, decision, policy=self.config.policy)
        self._note_mode(flight, decision.path, decision.reason)
        self._out.begin(flight, captured, decision, now_ns=now_ns)

    def _local_view(self, flight: Flight, *, now_ns: int) -> LocalView:
        """What a whole run here could do for a frame, by how long such runs lately took."""
        free_ns = max(now_ns, self.perception.due_ns or now_ns)
        hedge_at_ns = max(free_ns, self._hedge_at_ns(flight))
        times = self.perception.durations
        return LocalView(
            p_now=times.share_below(flight.deadline_ns - free_ns),
            p_hedged=times.share_below(flight.deadline_ns - hedge_at_ns),
            hedge_at_ns=hedge_at_ns,
        )

    def _is_too_late_for_parts(self, flight: Flight, *, now_ns: int) -> bool:
        """Whether the whole run would have to begin before a head is usually done: then it may as well begin now."""
        share = self.local.engine.share(JobKind.HEAD)
        head_ns = self.perception.duration_ns(JobKind.HEAD, 0.5, share=share)
        return now_ns + head_ns >= self._hedge_at_ns(flight, mode=Path.SPLIT)

    def _doubt_parts(self) -> None:
        """While none run nothing is learned of parts, and one slow run would keep every later frame here."""
        self._kept_here += 1
        if self._kept_here >= KEPT_HERE_FRAMES:
            self._kept_here = 0
            self.perception.forget_parts()

    def _note_mode(self, flight: Flight, path: Path, reason: str) -> None:
        flight.mode, flight.reason, self.reason = path, reason, reason
        if path is not self._mode:
            self.switches += 1
            self._on_switch(flight, self._mode, reason)
            self._mode = path

    # -- time --------------------------------------------------------------------------------------

    def _advance(self, flight: Flight, *, now_ns: int) -> None:
        if self._out.is_missing(flight, now_ns=now_ns):
            self._policy.on_loss("a reply is missing")
        if flight.answer is None:
            self._help(flight, now_ns=now_ns)
        if flight.answer is None and now_ns >= flight.scheduled_ns + self._limits.patience_ns:
            self.answers.give_up(flight, now_ns=now_ns)
            self._land(flight)
            return
        worn_out = now_ns >= flight.scheduled_ns + self._limits.evidence_ns
        if flight.answer is not None and (not flight.is_open or worn_out):
            self._land(flight)

    def _help(self, flight: Flight, *, now_ns: int) -> None:
        """Hedge, then carry, when it is time."""
        if self._can_hedge(flight) and (flight.hedge_now or now_ns >= self._hedge_at_ns(flight)):
            self.local.queue(flight, now_ns=now_ns)
        if now_ns >= self._carry_due_ns(flight):
            self.answers.carry(flight, now_ns=now_ns)

    def _carry_due_ns(self, flight: Flight) -> int:
        """When to stop waiting: a little before the deadline, or at it with a held result that a late wake cannot spoil."""
        lateness_ns = self.lateness.at(LATENESS_QUANTILE)
        ready_ns = self.perception.due_ns if self.perception.held_frame == flight.frame_id else None
        if ready_ns is not None and ready_ns <= flight.deadline_ns - lateness_ns:
            return flight.deadline_ns
        return carry_at_ns(
            deadline_ns=flight.deadline_ns,
            budget_ns=flight.deadline_ns - flight.scheduled_ns,
            lateness_ns=lateness_ns,
            margins=self._limits.margins,
        )

    def _can_hedge(self, flight: Flight) -> bool:
        """Whether a whole run may be begun for it; a tail that is here already ends it sooner."""
        untried = flight.jobs[JobKind.WHOLE] is Stage.IDLE
        has_tail = flight.jobs[JobKind.TAIL] in {Stage.WAITING, Stage.RUNNING}
        return flight.captured is not None and untried and not has_tail

    def _hedge_at_ns(self, flight: Flight, *, mode: Path | None = None) -> int:
        """When a whole run has to begin at the latest; a tail of another frame may hold the slot just then."""
        local_ns = self.perception.durations.at(0.999)
        if (mode or flight.mode) is Path.SPLIT:
            share = self.local.engine.share(JobKind.TAIL)
            local_ns += self.perception.duration_ns(JobKind.TAIL, 0.999, share=share)
        latest_ns = latest_local_start_ns(
            deadline_ns=flight.deadline_ns,
            budget_ns=flight.deadline_ns - flight.scheduled_ns,
            local_p999_ns=local_ns,
            lateness_ns=self.lateness.at(LATENESS_QUANTILE),
            margins=self._limits.margins,
        )
        return latest_ns if flight.hedge_at_ns is None else min(latest_ns, flight.hedge_at_ns)

    def _next_due_of(self, flight: Flight) -> int:
        """The next moment at which something may have to be done about a frame."""
        limits = self._limits
        dues = [flight.scheduled_ns + (limits.patience_ns if flight.answer is None else limits.evidence_ns)]
        if flight.remote is Stage.RUNNING:
            dues.append(self._out.overdue_at_ns(flight))
        if flight.answer is None:
            if self._can_hedge(flight):
                dues.append(self._hedge_at_ns(flight))
            if self.answers.has_memory:
                dues.append(self._carry_due_ns(flight))
        return min(dues)

    def _land(self, flight: Flight) -> None:
        del self._flights[flight.frame_id]
        self._on_line(flight)
