"""Shell: sends the one reply of every request over the data road, and counts it.

Owns one encoder per thread, because an encoder reuses its buffer. Never raises for what a request or a task
brought about: an answer that cannot be encoded becomes an INTERNAL refusal, and a reply that the road does
not take is counted.
"""

import threading
from collections.abc import Callable

from broker.road import Road
from cloud_worker import reply
from cloud_worker.execute import Done, Outcome
from cloud_worker.request import Refused
from cloud_worker.tally import Tally
from observability import log
from schemas.codec import Encoder
from schemas.errors import EncodeError
from schemas.messages import Ping, Refusal, RefusalReason, Result
from schemas.topics import row, topic

_log = log.get("cloud_worker.replier")


class Replier:
    """The way back to the headsets."""

    def __init__(
        self,
        road: Road,
        *,
        site: str,
        worker: str,
        tally: Tally,
        clock_ns: Callable[[], int],
        new_span: Callable[[], bytes],
    ) -> None:
        self._road = road
        self._site = site
        self._worker = worker
        self._tally = tally
        self._clock_ns = clock_ns
        self._new_span = new_span
        self._encoders = threading.local()
        self._topics: dict[tuple[str, str], str] = {}
        self._budget_ns = row("result").max_age_ms * 1_000_000

    def finish(self, outcome: Outcome) -> None:
        """Send a request's result or refusal; from any thread."""
        if isinstance(outcome, Done) and self._send_result(outcome):
            return
        if isinstance(outcome, Done):
            detail = "the answer could not be encoded: see the worker's log"
            outcome = Refused(request=outcome.request, reason=RefusalReason.INTERNAL, detail=detail)
        request = outcome.request
        message = reply.refusal(outcome, now_ns=self._clock_ns(), span_id=self._new_span())
        self._refuse(message, device=request.device, task_word=request.task_word)
        trace = request.header.trace_id.hex()
        _log.debug("refused", reason=message.reason.name, frame_id=request.header.frame_id, trace=trace)

    def pong(self, ping: Ping, *, device: str, task_word: str, received_ns: int, left_ns: int) -> None:
        """Answer a ping."""
        now_ns = self._clock_ns()
        message = reply.pong(ping, received_ns=received_ns, now_ns=now_ns, left_ns=left_ns)
        self._send(self._encode(message), device=device, task_word=task_word)

    def unreadable(
        self,
        *,
        device: str,
        task_word: str,
        reason: RefusalReason,
        detail: str,
        received_ns: int,
    ) -> None:
        """Refuse a message that breaks the contract."""
        message = reply.unreadable(
            task_word,
            reason=reason,
            detail=detail,
            received_ns=received_ns,
            now_ns=self._clock_ns(),
        )
        self._refuse(message, device=device, task_word=task_word)

    def _send_result(self, done: Done) -> bool:
        request = done.request
        message = reply.result(
            request,
            done.answer,
            started_ns=done.started_ns,
            now_ns=self._clock_ns(),
            span_id=self._new_span(),
        )
        try:
            payload = self._encode(message)
        except EncodeError:
            _log.exception("an answer could not be encoded", task=request.task_word, device=request.device)
            return False
        self._tally.ran(done.answer.run_ns, task=request.task_word)
        self._send(payload, device=request.device, task_word=request.task_word)
        _log.debug("answered", frame_id=request.header.frame_id, trace=request.header.trace_id.hex())
        return True

    def _refuse(self, message: Refusal, *, device: str, task_word: str) -> None:
        self._tally.refused(message.reason)
        self._send(self._encode(message), device=device, task_word=task_word)

    def _encode(self, message: Result | Refusal) -> bytes:
        encoder: Encoder | None = getattr(self._encoders, "own", None)
        if encoder is None:
            encoder = self._encoders.own = Encoder()
        return encoder.encode(message)

    def _send(self, payload: bytes, *, device: str, task_word: str) -> None:
        if not self._road.publish(self._topic(device, task_word), payload, budget_ns=self._budget_ns):
            self._tally.note("replies_unsent")

    def _topic(self, device: str, task_word: str) -> str:
        key = (device, task_word)
        known = self._topics.get(key)
        if known is None:
            if len(self._topics) >= 4096:  # ids come from the wire: never let them fill the memory
                self._topics.clear()
            known = topic("result", site=self._site, device=device, worker=self._worker, task=task_word)
            self._topics[key] = known
        return known
