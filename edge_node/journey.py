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
from edge_node.decide import Path
from edge_node.decisions import Decisions
from edge_node.dispatch import Dispatch, OnSwitch
from edge_node.evidence import Evidence
from edge_node.flight import Flight, Stage
from edge_node.frames import Captured
from edge_node.hedge import JourneyLimits
from edge_node.jobs import Engine, JobDone
from edge_node.lateness import Lateness
from edge_node.local_way import LocalWay
from edge_node.moments import Moments
from edge_node.perceive import Perception
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from edge_node.way_out import WayOut
from schemas.documents import SplitConfig
from schemas.messages import Task

NS_PER_MS = 1_000_000
PACED_NS = (
    50_000_000  # frames leave at their pace while the newest left no longer ago: an interval and a half
)


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
        on_switch: OnSwitch,
        new_trace: Callable[[], bytes],
        limits: JourneyLimits | None = None,
    ) -> None:
        self.perception = perception
        self.remote = remote
        self.answers = Answers()
        self.lateness = Lateness()  # fed by whoever wakes us
        self._on_line = on_line
        self._new_trace = new_trace
        self._limits = limits or JourneyLimits()
        self._flights: dict[int, Flight] = {}  # without an answer, or with a job in the slot; oldest first
        self._evidence = Evidence(due_ns=self._evidence_due_ns, look=self._look_again)
        self._moments = Moments(perception=perception, lateness=self.lateness, limits=self._limits)
        self.local = LocalWay(
            engine=engine,
            perception=perception,
            answers=self.answers,
            flights=self._flights,
            waiting=self._limits.waiting,
            on_head=lambda flight, now_ns: self._out.on_head(flight, now_ns),  # noqa: PLW0108 - bound late
        )
        self._out = WayOut(remote=remote, local=self.local, answers=self.answers, flights=self._flights)
        self._probe_due_ns: int | None = None
        self._due: tuple[int | None] | None = None  # when to be woken next, until something is done
        self._dispatch = Dispatch(
            remote=remote,
            local=self.local,
            out=self._out,
            answers=self.answers,
            moments=self._moments,
            on_switch=on_switch,
        )
        self.use(config)

    @property
    def mode(self) -> Path:
        """Where the newest frame went first."""
        return self._dispatch.mode

    @property
    def reason(self) -> str:
        """Why it did."""
        return self._dispatch.reason

    @property
    def switches(self) -> int:
        """How often the mode changed."""
        return self._dispatch.switches

    @property
    def decisions(self) -> Decisions:
        """The newest ones."""
        return self._dispatch.decisions

    @decisions.setter
    def decisions(self, book: Decisions) -> None:
        self._dispatch.decisions = book

    @property
    def pending(self) -> int:
        """Frames without an answer yet."""
        return len(self.answers.ledger)

    def use(self, config: SplitConfig) -> None:
        """Decide by this configuration from the next frame on."""
        self.config = config
        self._dispatch.use(config)
        self._probe_due_ns, self._due = 0, None  # it may want probes where none were wanted

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
            mode=self._dispatch.mode,
        )
        self._flights[frame_id] = flight
        self._moments.on_capture(scheduled_ns)
        self._look()
        pushed_out = self.answers.ledger.schedule(
            frame_id,
            scheduled_ns=scheduled_ns,
            deadline_ns=deadline_ns,
            captured=captured is not None,
            skipped=skipped,
        )
        if pushed_out is not None:  # it had no answer, so it is among these
            close(self._flights[pushed_out.frame_id], pushed_out)
        if captured is None:
            self.answers.carry(flight, now_ns=now_ns)
        else:
            self._dispatch.send_off(flight, captured, now_ns=now_ns)
        self._work(now_ns)
        if captured is not None:
            self._dispatch.shadow(flight, captured, now_ns=now_ns)

    def on_job_done(self, done: JobDone, *, now_ns: int) -> None:
        """A local run really ended; the device may still need time."""
        left_ns = self._dispatch.left_ns
        encoding = left_ns is not None and done.started_ns - left_ns <= PACED_NS
        released_ns = self.perception.on_done(done, thermal=self.remote.thermal, encoding=encoding)
        if released_ns <= now_ns:
            self._work(now_ns)
            return
        self._due = None
        flight = self._flights.get(done.job.frame_id)
        if flight is not None:  # it need not be carried before its result is here
            self._advance(flight, now_ns=now_ns)

    def on_reply(self, reply: RemoteReply, *, now_ns: int) -> None:
        """A worker answered a frame or a ping."""
        replaced = self.remote.note(reply, policy=self._dispatch.policy, now_ns=now_ns)
        about_frame = reply.task is not Task.PING and not reply.ask
        if about_frame:
            self._hear(reply, replaced=replaced, now_ns=now_ns)
            self._work(now_ns)
        else:
            self._probe(now_ns)

    def on_link_trouble(self, reason: str, *, now_ns: int) -> None:
        """The session became suspect or died: nothing that is out there can be relied on."""
        self._dispatch.policy.on_loss(reason)
        self._out.hedge_all()
        self._work(now_ns)

    def tick(self, now_ns: int) -> None:
        """Do everything whose time has come; may be called at any time."""
        due_ns = self.next_due_ns()
        if due_ns is not None and now_ns >= due_ns:
            self._work(now_ns)
        else:
            self.local.fill(now_ns=now_ns)  # a trial may be wanted, or another engine

    def next_due_ns(self) -> int | None:
        """When ``tick`` has something to do again; None while nothing waits for time."""
        if self._due is None:
            dues = [flight.due_ns for flight in self._flights.values()]
            for due_ns in (self.perception.due_ns, self._probe_due_ns, self._evidence.due_ns):
                if due_ns is not None:
                    dues.append(due_ns)  # noqa: PERF401 - three are quicker one by one
            self._due = (min(dues, default=None),)
        return self._due[0]

    def finish(self, *, now_ns: int) -> None:
        """Answer what is pending with what there is, and write every line."""
        for flight in list(self._flights.values()):
            if flight.answer is None and not self.answers.carry(flight, now_ns=now_ns):
                self.answers.give_up(flight, now_ns=now_ns)
            del self._flights[flight.frame_id]
            self._on_line(flight)
        for flight in self._evidence.all():
            self._evidence.pop(flight.frame_id)
            self._on_line(flight)

    def _look(self) -> None:
        self._moments.look(self.local.engine, thermal=self.remote.thermal)

    def _hear(self, reply: RemoteReply, *, replaced: bool, now_ns: int) -> None:
        flight = self._flights.get(reply.frame_id)
        if flight is not None:
            self._out.hear(flight, reply, replaced=replaced, now_ns=now_ns)
            return
        flight = self._evidence.get(reply.frame_id)
        if flight is None:
            return
        self._evidence.pop(flight.frame_id)
        self._flights[flight.frame_id] = flight  # a tail may have to be run for it, which teaches
        self._out.hear(flight, reply, replaced=replaced, now_ns=now_ns)

    # -- time --------------------------------------------------------------------------------------

    def _work(self, now_ns: int) -> None:
        """Something happened, or the time of something has come: look at everything."""
        perceived = self.perception.take_due(now_ns=now_ns)
        if perceived is not None:
            self.local.take(perceived, now_ns=now_ns)
        self._probe(now_ns)
        self._look()
        for flight in list(self._flights.values()):
            self._advance(flight, now_ns=now_ns)
        self._evidence.tick(now_ns)
        self.local.fill(now_ns=now_ns)

    def _probe(self, now_ns: int) -> None:
        self._due = None
        self._probe_due_ns = self.remote.probe(self._dispatch.policy, now_ns=now_ns)

    def _advance(self, flight: Flight, *, now_ns: int) -> None:
        if flight.remote is Stage.RUNNING and self._out.is_missing(flight, now_ns=now_ns):
            self._dispatch.policy.on_loss("a reply is missing")
        if flight.answer is None:
            flight.due_ns = self._help(flight, now_ns=now_ns)
        if flight.answer is None:
            if now_ns >= flight.scheduled_ns + self._limits.patience_ns:
                self.answers.give_up(flight, now_ns=now_ns)
                self._land(flight)
        elif flight.has_job and now_ns < flight.scheduled_ns + self._limits.evidence_ns:
            flight.due_ns = self._evidence_due_ns(flight)
        elif flight.is_awaited and now_ns < flight.scheduled_ns + self._limits.evidence_ns:
            del self._flights[flight.frame_id]
            self._evidence.await_reply(flight)
        else:
            self._land(flight)

    def _help(self, flight: Flight, *, now_ns: int) -> int:
        """Hedge, then carry, when it is time; gives the next moment at which something may have to be done."""
        due_ns = flight.scheduled_ns + self._limits.patience_ns
        if flight.remote is Stage.RUNNING:
            due_ns = min(due_ns, self._out.overdue_at_ns(flight))
        if flight.can_be_hedged:
            hedge_ns = self._moments.hedge_at_ns(flight, mode=self._dispatch.mode)
            must = flight.hedge_now or now_ns >= hedge_ns
            if must or self._dispatch.begins_early(flight, now_ns=now_ns):
                self.local.queue(flight, now_ns=now_ns)
            else:
                early_ns = flight.hedge_at_ns
                due_ns = min(due_ns, hedge_ns if early_ns is None else min(hedge_ns, early_ns))
        carry_ns = self._moments.carry_at_ns(flight)
        if now_ns >= carry_ns:
            self.answers.carry(flight, now_ns=now_ns)
        elif carry_ns < due_ns and self.answers.has_memory:
            due_ns = carry_ns
        return due_ns

    def _evidence_due_ns(self, flight: Flight) -> int:
        return self._moments.evidence_due_ns(flight, overdue_ns=self._out.overdue_at_ns(flight))

    def _look_again(self, flight: Flight, now_ns: int) -> bool:
        """The time of an answered frame has come: whether its reply is still awaited."""
        if self._out.is_missing(flight, now_ns=now_ns):
            self._dispatch.policy.on_loss("a reply is missing")
        if now_ns < flight.scheduled_ns + self._limits.evidence_ns:
            return True
        self._on_line(flight)
        return False

    def _land(self, flight: Flight) -> None:
        del self._flights[flight.frame_id]
        self._on_line(flight)
