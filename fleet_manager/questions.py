"""Questions to headsets: a command goes out, and whoever asked waits for the reply to it.

Knows nothing of MQTT: commands leave through a callable, replies are handed in. Replies that nobody waits for
are counted, never an error. At most ``MAX_OPEN`` questions are open, so that headsets that do not answer
cannot hold every thread of the REST interface.
"""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerYet  # not the built-in one before Python 3.11
from itertools import count

from fleet_manager.errors import ConflictError, UnreachableError
from observability.metrics import Registry
from schemas.documents import Command, Reply

MAX_OPEN = 8
TIMEOUT_S = 3.0  # well below what a client of the REST interface waits


class Questions:
    """Open questions by command id."""

    def __init__(self, *, send: Callable[[str, Command], bool], metrics: Registry) -> None:
        self._send = send
        self._metrics = metrics
        self._lock = threading.Lock()
        self._open: dict[str, tuple[str, Future[Reply]]] = {}
        self._boot = secrets.token_hex(4)  # an answer to an earlier manager must not pass for one to this
        self._numbers = count(1)

    def explain(self, device: str, *, timeout_s: float = TIMEOUT_S) -> Reply:
        """What ``device`` says about its last decisions; any thread but the one that hands in replies.

        Raises:
            ConflictError: too many questions are open.
            UnreachableError: it could not be asked, or did not answer in time.
        """
        command = Command(command_id=f"explain-{self._boot}-{next(self._numbers)}", kind="explain")
        answer: Future[Reply] = Future()
        with self._lock:
            if len(self._open) >= MAX_OPEN:
                raise ConflictError(
                    f"{MAX_OPEN} questions to headsets wait for their answers",
                    fix="ask again in a few seconds",
                )
            self._open[command.command_id] = (device, answer)
        try:
            if not self._send(device, command):
                raise UnreachableError(
                    f"the broker does not take a command to {device} now",
                    fix="see whether the manager is connected: GET /v1/healthz",
                )
            return answer.result(timeout_s)
        except NoAnswerYet as error:
            raise UnreachableError(
                f"{device} did not answer within {timeout_s:g} s",
                fix=f"see whether it is online: headway device show {device}",
            ) from error
        finally:
            with self._lock:
                self._open.pop(command.command_id, None)

    def answered(self, device: str, reply: Reply) -> None:
        """A reply came from ``device``."""
        with self._lock:
            asked, answer = self._open.get(reply.command_id, (None, None))
            if answer is not None and asked == device:
                del self._open[reply.command_id]
                answer.set_result(reply)
                return
        self._metrics.count("fleet_ignored", reason="reply_nobody_waits_for")
