"""Shell: a listener on a site's data road that notes what every reply says of its worker's time, and message sizes.

It decodes nothing while it listens, so that it takes next to nothing of the host that is being measured.
"""

from __future__ import annotations

import secrets
import time
from types import TracebackType

from broker.reactor import Reactor
from broker.road import Delivery, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import decode
from schemas.messages import Refusal, Result, Task
from schemas.topics import topic

READY_S = 10.0
POLL_S = 0.01


class Tap:
    """Hears what headsets and workers of a site send each other; a context manager."""

    def __init__(self, url: str, *, site: str) -> None:
        self._url, self._site = url, site
        self._replies: list[bytes] = []
        self.frame_bytes: list[int] = []
        self._name = f"tap-{secrets.token_hex(4)}"
        self._reactor = Reactor(name=self._name)

    def __enter__(self) -> Tap:
        self._reactor.__enter__()
        echo = topic("device-echo", site=self._site, device=self._name, traffic=Traffic.DATA.value)
        config = SessionConfig(url=self._url, client_id=self._name, echo_topic=echo, traffic=Traffic.DATA)
        self._session = Session(config, reactor=self._reactor)
        self._session.subscribe(f"hw/1/{self._site}/d/+/result/+/hands", self._hear)
        self._session.subscribe(f"hw/1/{self._site}/d/+/infer/+/hands", self._weigh)
        until_s = time.monotonic() + READY_S
        while self._session.state is not RoadState.READY:
            if time.monotonic() > until_s:
                self.__exit__(None, None, None)
                raise ChildProcessError(
                    f"the broker at {self._url} does not answer a listener ({self._session.last_error})"
                )
            time.sleep(POLL_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._reactor.__exit__(kind, error, trace)

    def _hear(self, delivery: Delivery) -> None:
        self._replies.append(bytes(delivery.payload))

    def _weigh(self, delivery: Delivery) -> None:
        self.frame_bytes.append(len(delivery.payload))

    def worker_ns(self) -> dict[str, list[int]]:
        """Nanoseconds in the line, decoding and running, and bytes of results, one entry per result heard."""
        found: dict[str, list[int]] = {"queue_ns": [], "decode_ns": [], "run_ns": [], "result_bytes": []}
        for payload in self._replies:
            message = decode(payload, stream="result")
            if isinstance(message, Refusal) or not isinstance(message, Result):
                continue
            if message.header.task is not Task.HANDS:
                continue
            found["queue_ns"].append(message.timing.queue_us * 1000)
            found["decode_ns"].append(message.timing.decode_us * 1000)
            found["run_ns"].append(message.timing.run_us * 1000)
            found["result_bytes"].append(len(payload))
        return found
