"""Pure core: everything one headset knows of one worker, and what it expects of a frame sent there now.

Predicted = transfer of so many bytes + the worker's queue + its run + what this host spends around it + how far the
newest answers were off, each from its own estimator. What is predicted is the time from deciding to having the
answer, not from sending to receiving: encoding and waking count. The error of every prediction, made when the request left, is kept; P(in time) is the share of
recent errors that the budget would have borne, times the chance that the worker takes it. A loss is an endless error; pings teach like frames, at
less weight. What left while the link was silent is judged by its like. When the level changes for good, all but the
newest is forgotten. Stays here: how the estimators hang together. Reads no clock, sends nothing.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from edge_node.estimates.bandwidth import Bandwidth
from edge_node.estimates.changes import MOST_RUN, ChangePoint
from edge_node.estimates.clock import ClockOffset, Legs
from edge_node.estimates.drift import Drift, Guesses
from edge_node.estimates.forecast import Forecast
from edge_node.estimates.refusals import RefusalRate
from edge_node.estimates.reply_sample import ReplySample
from edge_node.estimates.rtt import RttEstimator
from edge_node.estimates.silence import Silence
from edge_node.estimates.sketch import DecayedSketch, Picture
from edge_node.estimates.work import PING, HostTimes, WorkerTimes

NS_PER_S = 1_000_000_000
ERRORS_HALF_LIFE_NS = 10 * NS_PER_S
ERRORS_LIMIT = 256  # eight seconds at 30 fps
PRIOR_ON_TIME = 0.1  # of a worker nobody has heard of
PRIOR_WEIGHT = 1.0  # samples
PING_WEIGHT = 0.25  # a ping neither queues nor runs at the worker
RUN_ERRORS = (
    12  # newest errors of what was expected of worker and host, by which a ping's may have been off too
)
PRIOR_RUN_ERRORS_NS = (-4_000_000, 3_000_000, -2_000_000, 8_000_000, 0)
MAX_PENDING = 256
KEEP_AT_LEAST = 3  # newest samples kept over a change
EXPIRED = "expired"  # the worker's word for what came too late to be run
BUNCHED = 0.5  # of the time between two requests: answers closer together than that were held up together
RATIO_UNIT = 1_000_000  # what "as predicted" is to the change points


@dataclass(slots=True, kw_only=True)
class _Pending:
    plain_ns: int  # transfer, queue, run and this host
    guesses: Guesses  # of how far off that is
    predicted_ns: int  # both together
    transfer_ns: int
    sent_ns: int
    stalled: bool  # whether the link was silent when it left
    errors: DecayedSketch  # of its like


@dataclass(slots=True, kw_only=True)
class _Answer:
    payload_bytes: int
    work_ns: int  # what was expected of the worker and this host
    took_ns: int | None  # None: it refused
    weight: float


@dataclass(slots=True, kw_only=True)
class _Moment:
    """What holds for every request that leaves at the same time."""

    now_ns: int
    guesses: Guesses
    drift_ns: int
    overdue_ns: int | None
    errors: DecayedSketch
    picture: Picture
    samples: int
    p_refused: float
    work_ns: dict[str, int]  # by way, of the worker and this host, as far as it was asked for


class Route:
    """One worker as reached from here. A request is known by its id and whether it is a ping."""

    def __init__(self, *, prior_run_ns: int | None = None) -> None:
        self.rtt = RttEstimator()
        self.bandwidth = Bandwidth()
        self.worker = WorkerTimes() if prior_run_ns is None else WorkerTimes(prior_run_ns=prior_run_ns)
        self.host = HostTimes()
        self.clock = ClockOffset()
        self.legs: Legs | None = None  # of the newest reply that told the worker's times
        self.changes = 0  # of the level, since the start
        self.changed_at_ns: int | None = None  # the last time the level changed
        self.refusals: Counter[str] = Counter()
        self._refusal_rate = RefusalRate()
        self._level = ChangePoint()
        self._drift = Drift()
        self._errors = DecayedSketch(
            ERRORS_HALF_LIFE_NS, ERRORS_LIMIT, prior_share=PRIOR_ON_TIME, prior_weight=PRIOR_WEIGHT
        )
        self._silence = Silence(prior_weight=PRIOR_WEIGHT)
        self._run_errors_ns = deque(PRIOR_RUN_ERRORS_NS, maxlen=RUN_ERRORS)
        self._moment: _Moment | None = None  # the last one looked at, until something is learned
        self._last = (0, 0)  # when the newest answered request left and when it was answered
        self._newest: deque[_Answer] = deque(maxlen=MOST_RUN)
        self._pending: OrderedDict[tuple[bool, int], _Pending] = OrderedDict()

    def on_sent(self, frame_id: int, *, payload_bytes: int, way: str, now_ns: int) -> None:
        """A request left; remembers what was expected of it."""
        self._pending[way == PING, frame_id] = self._expect(payload_bytes, way, now_ns=now_ns)
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def on_reply(self, sample: ReplySample, *, now_ns: int) -> None:
        """An answer was taken in. One that was counted as lost before teaches how long to wait, nothing else."""
        self._moment = None
        self.rtt.add(sample.transport_ns)
        self._tell_legs(sample, now_ns=now_ns)
        pending = self._pending.pop((sample.way == PING, sample.frame_id), None)
        took_ns = None if pending is None else max(0, now_ns - pending.sent_ns)
        self._silence.heard(now_ns, took_ns=took_ns)
        if pending is None or took_ns is None:
            return
        ping = sample.way == PING
        error_ns = took_ns - pending.predicted_ns + (self._next_run_error_ns() if ping else 0)
        pending.errors.add(error_ns, now_ns=now_ns, weight=_weight(ping))
        if not pending.stalled:
            self._learn(sample, pending, took_ns=took_ns, now_ns=now_ns)

    def _learn(self, sample: ReplySample, pending: _Pending, *, took_ns: int, now_ns: int) -> None:
        """From what left while the link was alive: what piled up behind a stall tells of nothing but the stall."""
        work_ns = pending.plain_ns - pending.transfer_ns
        if self.changed_at_ns is None or pending.sent_ns >= self.changed_at_ns:
            self._drift.add(took_ns - pending.plain_ns, pending.guesses, now_ns=now_ns)
        self.host.add(sample.way, max(0, took_ns - sample.total_ns))
        if sample.way != PING:
            self._run_errors_ns.append(took_ns - sample.transport_ns - work_ns)
            self._refusal_rate.add(refused=False, now_ns=now_ns)
            self.worker.on_queue(sample.queue_ns, now_ns=now_ns)
            self.worker.on_run(sample.way, sample.decode_ns + sample.run_ns)
        self._learn_link(sample, work_ns=work_ns, took_ns=took_ns, now_ns=now_ns)

    def _next_run_error_ns(self) -> int:
        """A ping tells of the link alone: a frame sent in its place would have been off by an error of worker and host too."""
        self._run_errors_ns.rotate(-1)
        return self._run_errors_ns[-1]

    def _learn_link(self, sample: ReplySample, *, work_ns: int, took_ns: int | None, now_ns: int) -> None:
        """``work_ns`` was expected of the worker and this host; no ``took_ns``: it refused."""
        transport_ns = sample.transport_ns
        transfer_ns = self.bandwidth.transfer_ns(sample.payload_bytes, now_ns=now_ns)
        self.bandwidth.add(sample.payload_bytes, transport_ns, now_ns=now_ns)
        weight = _weight(sample.way == PING)
        self._newest.append(
            _Answer(payload_bytes=sample.payload_bytes, work_ns=work_ns, took_ns=took_ns, weight=weight)
        )
        bunched = sample.heard_ns - self._last[1] < (sample.sent_ns - self._last[0]) * BUNCHED
        self._last = (sample.sent_ns, sample.heard_ns)
        if bunched and transport_ns > transfer_ns:  # held up with the one before, which told of it
            return
        if self._level.add(RATIO_UNIT * (transport_ns + 1) // (transfer_ns + 1)):
            self._judge_anew(max(KEEP_AT_LEAST, self._level.run), now_ns=now_ns)
            self._start_over(now_ns)

    def on_loss(self, frame_id: int, *, ping: bool = False, now_ns: int) -> None:
        """No answer came in time; nothing happens where it was not waited for."""
        pending = self._pending.pop((ping, frame_id), None)
        if pending is None:
            return
        self._moment = None
        self.rtt.on_timeout()
        same_silence = self._silence.lost(sent_ns=pending.sent_ns, predicted_ns=pending.predicted_ns)
        pending.errors.add_loss(now_ns=now_ns, weight=_weight(ping))
        if not (pending.stalled or same_silence) and self._level.add_loss():
            keep = max(KEEP_AT_LEAST, self._level.run)
            self._errors.reset(keep=keep)
            self.bandwidth.reset(keep=keep)
            self._start_over(now_ns)

    def on_refusal(self, sample: ReplySample, *, reason: str, replaced: bool = False, now_ns: int) -> None:
        """The worker would not: no answer, but the link carried the request there and the word back.

        How long the worker kept it teaches no queue: it refuses sooner than it would have begun. Of one that our newer
        request ``replaced``, or that left into a silence and came with many, the newer ones tell the worker's will.
        """
        self._moment = None
        self.rtt.add(sample.transport_ns)
        self._tell_legs(sample, now_ns=now_ns)
        pending = self._pending.pop((sample.way == PING, sample.frame_id), None)
        if not replaced:
            self.refusals[reason] += 1
            stale = pending is None and reason == EXPIRED  # the link kept it, and that was counted as a loss
            if not stale and (pending is None or not pending.stalled):
                self._refusal_rate.add(refused=True, now_ns=now_ns)
        self._silence.heard(now_ns)
        if pending is not None and not pending.stalled:
            work_ns = pending.plain_ns - pending.transfer_ns
            self._learn_link(sample, work_ns=work_ns, took_ns=None, now_ns=now_ns)

    def on_load(self, queue_ns: int, *, run_ns: int = 0, now_ns: int) -> None:
        """The worker told everybody how long a request would wait and run; its word on requests of ours is better.

        ``run_ns`` is 0 where it ran none yet.
        """
        self._moment = None
        self.worker.on_rumour(queue_ns, run_ns=run_ns, now_ns=now_ns)

    def forecast(self, *, payload_bytes: int, way: str, now_ns: int) -> Forecast:
        """What to expect of so many bytes sent this way now."""
        moment = self._at(now_ns)
        transfer_ns = self.bandwidth.transfer_ns(payload_bytes, now_ns=now_ns)
        return Forecast(
            predicted_ns=max(0, transfer_ns + self._work_ns(moment, way) + moment.drift_ns),
            samples=moment.samples,
            prior_on_time=PRIOR_ON_TIME,
            overdue_ns=moment.overdue_ns,
            errors=moment.picture,
            legs=self.legs,
            p_refused=moment.p_refused,
        )

    def is_stalled(self, *, now_ns: int) -> bool:
        """Whether nothing at all was heard since something was lost, or while the oldest request is overdue."""
        return self._overdue_ns(now_ns) is not None

    def _overdue_ns(self, now_ns: int) -> int | None:
        pending = next(iter(self._pending.values()), None)
        oldest = None if pending is None else (pending.sent_ns, pending.predicted_ns)
        return self._silence.overdue_ns(oldest, errors=self._errors, now_ns=now_ns)

    def _expect(self, payload_bytes: int, way: str, *, now_ns: int) -> _Pending:
        moment = self._at(now_ns)
        transfer_ns = self.bandwidth.transfer_ns(payload_bytes, now_ns=now_ns)
        work_ns = self._work_ns(moment, way)
        return _Pending(
            plain_ns=transfer_ns + work_ns,
            guesses=moment.guesses,
            predicted_ns=max(0, transfer_ns + work_ns + moment.drift_ns),
            transfer_ns=transfer_ns,
            sent_ns=now_ns,
            stalled=moment.overdue_ns is not None,
            errors=moment.errors,
        )

    def _at(self, now_ns: int) -> _Moment:
        """Many candidates are weighed at one time: look once. What is sent then changes nothing of it."""
        moment = self._moment
        if moment is None or moment.now_ns != now_ns:
            guesses = self._drift.guesses(now_ns=now_ns)
            overdue_ns = self._overdue_ns(now_ns)
            errors = self._errors if overdue_ns is None else self._silence.errors(overdue_ns)
            self._moment = moment = _Moment(
                now_ns=now_ns,
                guesses=guesses,
                drift_ns=self._drift.best(guesses),
                overdue_ns=overdue_ns,
                errors=errors,
                picture=errors.picture(now_ns=now_ns),
                samples=len(errors),
                p_refused=self._refusal_rate.at(now_ns),
                work_ns={},
            )
        return moment

    def _work_ns(self, moment: _Moment, way: str) -> int:
        """What the worker and this host will spend on a request that leaves at this moment."""
        work_ns = moment.work_ns.get(way)
        if work_ns is None:
            work_ns = self.worker.expected_ns(way, now_ns=moment.now_ns) + self.host.expected_ns(way)
            moment.work_ns[way] = work_ns
        return work_ns

    def _tell_legs(self, sample: ReplySample, *, now_ns: int) -> None:
        received_ns, replied_ns = sample.worker_received_ns, sample.worker_replied_ns
        if received_ns is None or replied_ns is None:
            return
        self.clock.add(sample.sent_ns, received_ns, replied_ns, sample.heard_ns, now_ns=now_ns)
        self.legs = self.clock.legs(sample.sent_ns, received_ns, replied_ns, sample.heard_ns)

    def _judge_anew(self, run: int, *, now_ns: int) -> None:
        """The newest ``run`` answers are of another level: learn the link from them, and judge them by that."""
        self.bandwidth.reset(keep=run)
        self._errors.reset()
        for answer in list(self._newest)[-run:]:
            if answer.took_ns is None:
                continue
            expected_ns = answer.work_ns + self.bandwidth.transfer_ns(answer.payload_bytes, now_ns=now_ns)
            self._errors.add(answer.took_ns - expected_ns, now_ns=now_ns, weight=answer.weight)

    def _start_over(self, now_ns: int) -> None:
        self._drift.reset()
        self.changes += 1
        self.changed_at_ns = now_ns


def _weight(ping: bool) -> float:  # noqa: FBT001 - a private word, not an interface
    return PING_WEIGHT if ping else 1.0
