"""Shell: where messages from headsets come in, on the reactor's thread.

Reads the topic and the bytes, answers pings at once, and hands requests for work on. Every message that comes
in is either counted as dropped (retained, repeated, no request at all, more than can even be refused) or gets exactly
one reply. The sender is the one in the topic, which the broker's access list attests; a header that disagrees is
malformed. What comes in is looked at as it comes, and from a slice of time on between two turns of reading: reading has
to keep up with what comes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from broker.road import Delivery
from cloud_worker.aging import Aging
from cloud_worker.execute import Executor
from cloud_worker.inbox import Inbox
from cloud_worker.repeats import Repeats
from cloud_worker.replier import Replier
from cloud_worker.request import Request
from cloud_worker.tally import Tally
from schemas.codec import decode
from schemas.errors import MalformedMessage, TopicError
from schemas.messages import Audio, DataMessage, Frame, Part, Ping, RefusalReason
from schemas.topics import parse, row
from schemas.verify import check_sender

Soon = Callable[[Callable[[], None]], None]
SLICE_NS = 2_000_000  # then it is the turn of reading, and of replies that wait to leave


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """What the topic and the clock say of one message."""

    device: str
    task_word: str
    received_ns: int


class Desk:
    """Takes messages in and sees that each is accounted for.

    ``soon`` makes a call once what can be read is read.
    """

    def __init__(
        self,
        *,
        replier: Replier,
        executor: Executor,
        tally: Tally,
        clock_ns: Callable[[], int],
        soon: Soon,
        max_payload_bytes: int = row("infer").max_payload_bytes,
    ) -> None:
        self._replier = replier
        self._executor = executor
        self._tally = tally
        self._clock_ns = clock_ns
        self._soon = soon
        self._max_payload_bytes = max_payload_bytes
        self._inbox = Inbox()
        self._look_waits = False
        self._spent_ns = 0  # in this turn of reading, on messages that were looked at as they came
        self._aging = Aging()
        self._repeats = Repeats()

    def receive(self, delivery: Delivery) -> None:
        """Take in one message; a handler of the data road."""
        self._tally.note("received")
        if len(self._inbox) or self._spent_ns > SLICE_NS:
            self._inbox.put(delivery)
        else:  # at once, so that its reply leaves with this turn
            began_ns = self._clock_ns()
            self._open(delivery)
            self._spent_ns += self._clock_ns() - began_ns
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._look_waits:
            self._look_waits = True
            self._soon(self._look)

    def _look(self) -> None:
        """Look at what waits, for a slice of time."""
        self._look_waits, self._spent_ns = False, 0
        shed, ends_ns = self._inbox.shed, self._clock_ns() + SLICE_NS
        while (now_ns := self._clock_ns()) < ends_ns and (delivery := self._inbox.take(now_ns=now_ns)):
            self._open(delivery)
        for _ in range(self._inbox.shed - shed):
            self._tally.note("dropped_flood")
        if len(self._inbox):
            self._look_soon()

    def _open(self, delivery: Delivery) -> None:
        if delivery.retain:  # a stored frame is older than any budget, and no headset may store one
            self._tally.note("dropped_retained")
            return
        envelope = _open_envelope(delivery)
        if envelope is None:
            self._tally.note("dropped_foreign")
            return
        if len(delivery.payload) > self._max_payload_bytes:
            detail = (
                f"{len(delivery.payload)} bytes, allowed are {self._max_payload_bytes}: send a smaller frame"
            )
            self._refuse(envelope, reason=RefusalReason.TOO_LARGE, detail=detail)
            return
        try:
            message = decode(delivery.payload, stream="infer")
            check_sender({"task": envelope.task_word}, message)
        except MalformedMessage as error:
            self._tally.malformed(error.reason)
            self._refuse(envelope, reason=RefusalReason.MALFORMED, detail=str(error))
            return
        self._admit(message, envelope)

    def _admit(self, message: DataMessage, envelope: _Envelope) -> None:
        header = message.header
        sender = (envelope.device, header.boot_id)
        key = (header.task, header.frame_id)
        if self._repeats.is_repeat(sender, key, now_ns=envelope.received_ns):
            self._tally.note("repeats")
            return
        lost_ns = self._aging.lost_ns(sender, send_ns=header.send_ns, received_ns=envelope.received_ns)
        left_ns = header.budget_us * 1000 - lost_ns
        if isinstance(message, Ping):
            self._tally.note("pings")
            self._replier.pong(
                message,
                device=envelope.device,
                task_word=envelope.task_word,
                received_ns=envelope.received_ns,
                left_ns=left_ns,
            )
        elif isinstance(message, (Frame, Part, Audio)):  # decode let nothing else through
            self._executor.offer(
                Request(
                    device=envelope.device,
                    task_word=envelope.task_word,
                    message=message,
                    received_ns=envelope.received_ns,
                    left_ns=left_ns,
                )
            )

    def _refuse(self, envelope: _Envelope, *, reason: RefusalReason, detail: str) -> None:
        self._replier.unreadable(
            device=envelope.device,
            task_word=envelope.task_word,
            reason=reason,
            detail=detail,
            received_ns=envelope.received_ns,
        )


def _open_envelope(delivery: Delivery) -> _Envelope | None:
    try:
        stream, ids = parse(delivery.topic)
    except TopicError:
        return None
    if stream.name != "infer":
        return None
    return _Envelope(device=ids["device"], task_word=ids["task"], received_ns=delivery.received_ns)
