"""Pure core: a frame's way to a worker and back, as a picture or as live tensors in the middle of a model.

Starts what the policy decided, hears what came of it, and says when a reply counts as missing. Everything that
fails on the way makes its frame be helped at once. Times are passed in.
"""

from collections.abc import Sequence

from edge_node.answers import Answers
from edge_node.decide import ChipView, Decision, LinkView, LocalView, PairView, Path
from edge_node.energy import POWERS
from edge_node.flight import Flight, Stage
from edge_node.frames import Captured
from edge_node.jobs import Engine, JobKind
from edge_node.local_way import LocalWay
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from inference.errors import TaskError
from inference.split.part_payload import NOTHING
from observability import log

_log = log.get("edge_node.way_out")

MOSTLY = 0.9  # of parts are done by the time that is told of them


class WayOut:
    """The frames of one headset that somebody else works on. ``flights`` are the journey's, oldest first."""

    def __init__(
        self, *, remote: Remote, local: LocalWay, answers: Answers, flights: dict[int, Flight]
    ) -> None:
        self._remote = remote
        self._local = local
        self._answers = answers
        self._flights = flights

    def view(
        self,
        flight: Flight,
        *,
        local: LocalView,
        now_ns: int,
        critical: bool = False,
        may_duplicate: bool = False,
        head_by_ns: int = 0,
    ) -> LinkView:
        """What the policy may know of a frame now; ``head_by_ns``: a head that ends later is too late."""
        remote = self._remote
        worker = remote.worker(now_ns=now_ns)
        engine = self._local.engine
        pairs: tuple[PairView, ...] = ()
        if engine.parts is not None:
            pairs = tuple([self._pair(cut, head_by_ns, now_ns=now_ns) for cut in engine.cuts])
        offloads = remote.rungs(worker, now_ns=now_ns)
        return LinkView(
            worker=worker,
            ready=remote.ready,
            pairs=pairs,
            now_ns=now_ns,
            deadline_ns=flight.deadline_ns,
            offload=offloads[0].forecast if offloads else None,
            local=local,
            offloads=offloads,
            chip=self._chip(flight),
            vitals=remote.vitals,
            critical=critical,
            may_duplicate=may_duplicate,
        )

    def _chip(self, flight: Flight) -> ChipView:
        """What whole runs lately took, and what this device draws for them."""
        perception = self._local.perception
        run_ns = perception.times.usual_ns(JobKind.WHOLE, 0.5, regions=flight.regions)
        return ChipView(power=POWERS[perception.device.name], run_ns=run_ns)

    def _pair(self, engine: Engine, head_by_ns: int, *, now_ns: int) -> PairView:
        """What is known of one of the pairs that the engine was cut at: ``engine`` is cut there."""
        parts, remote, times = engine.parts, self._remote, self._local.perception.times
        leads = engine is self._local.engine
        part = remote.part(engine, leads=leads, now_ns=now_ns)
        if parts is None or part is None:
            raise ValueError(f"{engine.label} was not cut: only an engine that was has pairs")
        cut, share = engine.cut, parts.head_share
        pair = PairView(placement=parts.placement, part=part)
        pair.too_late = now_ns + times.usual_ns(JobKind.HEAD, 0.5, share=share, cut=cut) >= head_by_ns
        if part.worker is not None and not part.reason:
            size = pair.payload_bytes = remote.routes.part_bytes(engine)
            pair.forecast = remote.routes.part_forecast(part.worker, cut, payload_bytes=size, now_ns=now_ns)
            pair.head_ns = times.usual_ns(JobKind.HEAD, MOSTLY, share=share, cut=cut)
            pair.tail_ns = times.usual_ns(JobKind.TAIL, MOSTLY, share=parts.tail_share, cut=cut)
        return pair

    def begin(self, flight: Flight, captured: Captured, decision: Decision, *, now_ns: int) -> None:
        """Start a frame on the way that was decided; on the headset where it cannot be sent."""
        if decision.unproved:
            self._ask(flight, decision.unproved, now_ns=now_ns)
        if decision.path is Path.SPLIT:
            flight.worker = decision.worker
            self._local.queue_head(flight, self._local.engine.at(decision.placement), now_ns=now_ns)
            return
        sent = decision.worker is not None and self._remote.send(
            flight,
            captured,
            worker=decision.worker,
            rois=self._answers.rois(flight),
            quality=decision.quality,
            now_ns=now_ns,
        )
        if sent:
            flight.begin(Path.OFFLOAD, now_ns=now_ns)
            self._is_out(flight, now_ns=now_ns)
            flight.hedge_now, flight.hedge_at_ns = decision.duplicate, decision.hedge_at_ns
        else:
            self._local.queue(flight, now_ns=now_ns)

    def _ask(self, flight: Flight, unproved: Sequence[PairView], *, now_ns: int) -> None:
        """Ask for the proof of a pair; before the frame leaves, so that the frame takes the place in line, if need be."""
        others_out = any(other.remote is Stage.RUNNING for other in self._flights.values())
        if self._remote.may_ask(others_out=others_out, now_ns=now_ns):
            engine = self._local.engine
            wanted = [(engine.at(pair.placement), pair.part.worker) for pair in unproved if pair.part.worker]
            self._remote.ask(flight, wanted, now_ns=now_ns)

    def on_head(self, flight: Flight, now_ns: int) -> None:
        """A frame's head is done: send what crosses the cut, unless the frame is being helped already."""
        engine, looked = flight.engine, flight.looked
        if engine is None or engine.parts is None or looked is None:
            raise ValueError(f"frame {flight.frame_id} has no head: it cannot be sent in parts")
        if flight.answer is not None or flight.jobs[JobKind.WHOLE] is not Stage.IDLE:
            flight.end(Path.SPLIT, now_ns=now_ns, result="no time left")
        elif not looked.live.subjects:  # no region to look into: the frame was computed whole, and here
            flight.end(Path.SPLIT, now_ns=now_ns, result="no hands")
            result = engine.parts.hands.finish(looked, ())
            self._answers.fresh(flight, result, path=Path.LOCAL, model=engine.label, now_ns=now_ns)
        elif flight.worker is not None and self._remote.send_part(
            flight, engine, live=looked.live, worker=flight.worker, now_ns=now_ns
        ):
            self._is_out(flight, now_ns=now_ns)
        else:
            flight.end(Path.SPLIT, now_ns=now_ns, result="unsent")
            flight.hedge_now = True

    def hear(self, flight: Flight, reply: RemoteReply, *, replaced: bool = False, now_ns: int) -> None:
        """A worker answered a frame; or would not, because a newer one ``replaced`` it: then it alone needs help."""
        overdue = flight.remote is Stage.OVERDUE
        flight.remote, flight.rtt_ns = Stage.ENDED, reply.rtt_ns
        if flight.shadow:
            return
        flight.worker = reply.worker  # who of the pool it was
        if replaced:
            flight.end(flight.mode, now_ns=now_ns, result="replaced")
            flight.hedge_now = flight.answer is None
        elif reply.refusal:
            flight.end(flight.mode, now_ns=now_ns, result=f"refused {reply.refusal}")
            self.hedge_all()
        elif reply.result is None:
            self._hear_part(flight, reply, now_ns=now_ns)
        else:
            flight.end(flight.mode, now_ns=now_ns, result="late" if overdue else "ok")
            model = reply.model_digest[:12]
            self._answers.fresh(flight, reply.result, path=Path.OFFLOAD, model=model, now_ns=now_ns)

    def _hear_part(self, flight: Flight, reply: RemoteReply, *, now_ns: int) -> None:
        """A worker returned live tensors; one that returns others than the part's is left alone for a while.

        They are looked at here, because a tail that failed on them would count against the engine.
        """
        engine, looked = flight.engine, flight.looked
        if engine is None or engine.parts is None or looked is None:
            raise ValueError(f"frame {flight.frame_id} has no head: nobody was asked for its part")
        try:
            returned = engine.parts.hands.read_back(looked, reply.part or NOTHING)
        except TaskError as error:
            _log.warning("a worker sent back what is not its part's", worker=reply.worker, why=str(error))
            flight.end(flight.mode, now_ns=now_ns, result="wrong tensors")
            self._remote.rest(reply.worker, now_ns=now_ns)
            self.hedge_all()
        else:
            self._local.queue_tail(flight, returned, now_ns=now_ns)

    def overdue_at_ns(self, flight: Flight) -> int:
        """When the reply to a frame that is out counts as missing."""
        return flight.sent_ns + self._remote.reply_timeout_ns

    def is_missing(self, flight: Flight, *, now_ns: int) -> bool:
        """Whether a reply counts as missing from now on: then its worker rests and every frame is helped.

        That of a shadow only teaches.
        """
        if flight.remote is not Stage.RUNNING or now_ns < self.overdue_at_ns(flight):
            return False
        flight.remote = Stage.OVERDUE
        if flight.shadow:
            self._remote.lose(flight, now_ns=now_ns)
            return False
        flight.end(flight.mode, now_ns=now_ns, result="missing")
        self._remote.lose(flight, now_ns=now_ns)
        self.hedge_all()
        return True

    def hedge_all(self) -> None:
        """Help every frame without an answer at once."""
        for flight in self._flights.values():
            if flight.answer is None and not flight.hedge_now:
                flight.hedge_now, flight.due_ns = True, 0

    def shadow_left(self, flight: Flight, *, now_ns: int) -> None:
        """A copy of a frame that stays here is out: its reply teaches the route, and answers nothing."""
        flight.shadow = True
        self._is_out(flight, now_ns=now_ns)

    @staticmethod
    def _is_out(flight: Flight, *, now_ns: int) -> None:
        flight.remote, flight.sent_ns = Stage.RUNNING, now_ns
