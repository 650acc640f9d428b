"""The four ways from a headset to a worker and back, each with its far end in a process of its own.

A path sends one request and waits for its reply. The clock runs from the moment the request's bytes (with
codec: the frame) are there until the reply's bytes (with codec: the message) are there.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.answer import (
    REPLY_BYTES,
    SITE,
    TASK,
    await_ready,
    bare_paho,
    number_of,
    numbered,
    reply_topic,
    request_topic,
    session_config,
)
from bench.relay import connect, receive_message, send_message
from broker.reactor import Reactor
from broker.road import Delivery
from broker.session import Session
from schemas.codec import Encoder, decode
from schemas.messages import Encoding, Frame, Header, Result, Task

LOST_AFTER_S = 1.0
BOOT_ID = b"bench-of-headway"


class Way(Protocol):
    """One way there and back."""

    @abstractmethod
    def round_trip_ns(self, payload: bytes, /) -> int | None:
        """Send one request and wait; None when no reply came in LOST_AFTER_S."""

    @abstractmethod
    def close(self) -> None:
        """End what it opened."""


class Floor:
    """Raw TCP through the relay."""

    def __init__(self, port: int, *, patience_s: float = LOST_AFTER_S * 5) -> None:
        self._port = port
        self._patience_s = patience_s
        self._number = 0
        self._connect()

    def _connect(self) -> None:
        self._sock = connect(self._port)
        self._sock.settimeout(self._patience_s)

    def round_trip_ns(self, payload: bytes, /) -> int | None:
        self._number += 1
        request = numbered(self._number, payload)
        started_ns = time.perf_counter_ns()
        try:
            send_message(self._sock, request)
            reply = receive_message(self._sock)
        except OSError:  # too late or broken off: what still comes on this connection is nobody's
            reply = None
        ended_ns = time.perf_counter_ns()
        if reply is None or len(reply) != REPLY_BYTES or number_of(reply) != self._number:
            self._sock.close()
            self._connect()
            return None
        return ended_ns - started_ns

    def close(self) -> None:
        self._sock.close()


class Awaited:
    """The moment a reply was there, from the thread that heard it to the one that waits."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._ended_ns = 0
        self.wanted = 0

    def expect_next(self) -> int:
        """Wait for the reply to one more request; returns its number."""
        self.wanted += 1
        self._came.clear()  # after the number: what comes in between is an old one's and is not taken
        return self.wanted

    def hear(self, number: int) -> None:
        """Note a reply; one that comes after it was given up is not taken for the next one's."""
        ended_ns = time.perf_counter_ns()
        if number == self.wanted:
            self._ended_ns = ended_ns
            self._came.set()

    def since_ns(self, started_ns: int) -> int | None:
        return self._ended_ns - started_ns if self._came.wait(LOST_AFTER_S) else None


class BarePaho:
    """Plain paho on both ends."""

    def __init__(self, url: str) -> None:
        self._awaited = Awaited()
        self._client = bare_paho(
            url,
            name="paho-headset",
            topic_filter=reply_topic("paho"),
            hear=lambda reply: self._awaited.hear(number_of(reply)),
        )

    def round_trip_ns(self, payload: bytes, /) -> int | None:
        request = numbered(self._awaited.expect_next(), payload)
        started_ns = time.perf_counter_ns()
        self._client.publish(request_topic("paho"), request)
        return self._awaited.since_ns(started_ns)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Sessions:
    """Our session on both ends, bytes as they are."""

    def __init__(self, url: str, *, reactor: Reactor) -> None:
        self._awaited = Awaited()
        self._road = Session(session_config(url, name="session-headset"), reactor=reactor)
        self._road.subscribe(
            reply_topic("session"), lambda delivery: self._awaited.hear(number_of(delivery.payload))
        )
        await_ready(self._road)

    def round_trip_ns(self, payload: bytes, /) -> int | None:
        request = numbered(self._awaited.expect_next(), payload)
        started_ns = time.perf_counter_ns()
        self._road.publish(request_topic("session"), request)
        return self._awaited.since_ns(started_ns)

    def close(self) -> None:
        self._road.close()


class Worker:
    """Our session and codec, and the real worker with nothing to compute."""

    def __init__(self, url: str, *, reactor: Reactor) -> None:
        self._awaited = Awaited()
        self._encoder = Encoder()
        self.refused = 0
        self._road = Session(session_config(url, name="worker-headset"), reactor=reactor)
        self._road.subscribe(reply_topic("worker"), self._hear)
        await_ready(self._road)

    def _hear(self, delivery: Delivery) -> None:
        message = decode(delivery.payload, stream="result")
        if isinstance(message, Result):
            self._awaited.hear(message.header.frame_id)
        else:
            self.refused += 1

    def round_trip_ns(self, payload: bytes, /) -> int | None:
        number = self._awaited.expect_next()
        started_ns = time.perf_counter_ns()
        header = Header(
            boot_id=BOOT_ID,
            task=Task.HANDS,
            frame_id=number,
            capture_ns=started_ns,
            send_ns=time.monotonic_ns(),
            budget_us=int(LOST_AFTER_S * 1e6),
        )
        frame = Frame(
            header=header, width_px=640, height_px=480, encoding=Encoding.JPEG, quality=80, payload=payload
        )
        self._road.publish(request_topic("worker"), self._encoder.encode(frame))
        return self._awaited.since_ns(started_ns)

    def close(self) -> None:
        self._road.close()


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[str]:
    """Run a Python child until the block ends; gives the first line it prints."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"{arguments} ended before it was ready: see its error above")
            yield line.strip()
        finally:
            process.terminate()
            process.wait(5)


@contextlib.contextmanager
def open_paths(url: str) -> Iterator[dict[str, Way]]:
    """All paths over one broker, ready to be measured."""
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="headway-bench-"))
        worker_port = stack.enter_context(child("-m", "bench.answer", "tcp"))
        relay_port = stack.enter_context(child("-m", "bench.relay", worker_port))
        stack.enter_context(child("-m", "bench.answer", "paho", url))
        stack.enter_context(child("-m", "bench.answer", "session", url))
        run = f"from cloud_worker.cli import worker; worker({_worker_options(url, Path(state))!r})"
        ready = json.loads(stack.enter_context(child("-c", run)))
        if ready.get("event") != "ready":
            raise RuntimeError(f"the worker said {ready} instead of ready")
        reactor = stack.enter_context(Reactor(name="bench"))
        makers: dict[str, Callable[[], Way]] = {
            "floor": lambda: Floor(int(relay_port)),
            "paho": lambda: BarePaho(url),
            "session": lambda: Sessions(url, reactor=reactor),
            "codec": lambda: Worker(url, reactor=reactor),
        }
        yield {name: stack.enter_context(contextlib.closing(make())) for name, make in makers.items()}


def _worker_options(url: str, state: Path) -> list[str]:
    options = ["run", "--json", "--id", "worker", "--site", SITE, "--task", TASK, "--broker", url]
    return [*options, "--runtime", "null", "--null-reply-bytes", str(REPLY_BYTES), "--state", str(state)]


def random_payload(size: int, *, seed: int) -> bytes:
    """Bytes that do not compress, as a JPEG's."""
    return np.random.default_rng(seed).bytes(size)
