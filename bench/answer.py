"""The far end of a path: a process that answers every request with REPLY_BYTES and computes nothing.

``python -m bench.answer tcp`` prints its port; ``python -m bench.answer paho URL`` and
``python -m bench.answer session URL`` print ``ready``. The fourth path, with codec, ends at the real
``worker run --runtime null``.
"""

import contextlib
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench.relay import listen, receive_message, send_message
from broker.address import parse_url
from broker.reactor import Reactor
from broker.road import Delivery, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.topics import topic

SITE, DEVICE, TASK = "bench", "h-1", "hands"
REPLY_BYTES = 1024
NUMBER = struct.Struct(">Q")  # the first bytes of a request and of its reply


def request_topic(worker: str) -> str:
    """Where a path's requests go."""
    return topic("infer", site=SITE, device=DEVICE, worker=worker, task=TASK)


def reply_topic(worker: str) -> str:
    """Where a path's replies go."""
    return topic("result", site=SITE, device=DEVICE, worker=worker, task=TASK)


def numbered(number: int, payload: bytes | memoryview) -> bytes:
    """The payload with a number in its first bytes."""
    return NUMBER.pack(number) + payload[NUMBER.size :]


def number_of(payload: bytes | memoryview) -> int:
    """The number of a request or a reply."""
    return int(NUMBER.unpack_from(payload)[0])


def reply_to(request: bytes | memoryview) -> bytes:
    """The reply, which carries its request's number: one that comes late is not taken for the next one's."""
    return bytes(request[: NUMBER.size]).ljust(REPLY_BYTES, b"\0")


def session_config(url: str, *, name: str) -> SessionConfig:
    """A data session as our headsets and workers open it."""
    return SessionConfig(
        url=url,
        client_id=f"bench-{name}",
        echo_topic=topic("worker-echo", site=SITE, worker=name, traffic="data"),
        traffic=Traffic.DATA,
    )


def answer_tcp() -> None:
    """Behind the relay."""
    with listen() as listener:
        print(listener.getsockname()[1], flush=True)
        while True:  # the headset connects again where a reply was lost; the parent ends us
            client, _ = listener.accept()
            # A client that gave up leaves a broken connection behind, and the next one is what counts.
            with client, contextlib.suppress(ConnectionError):
                client.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
                while (request := receive_message(client)) is not None:
                    send_message(client, reply_to(request))


def bare_paho(url: str, *, name: str, topic_filter: str, hear: Callable[[bytes], object]) -> mqtt.Client:
    """A paho client as its own examples use it: a thread of its own and default settings."""
    ready = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"bench-{name}")

    def subscribe(*_: Any) -> None:
        client.subscribe(topic_filter)

    def take(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        hear(bytes(message.payload))

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = take
    address = parse_url(url)
    client.connect(address.host, address.port)
    client.loop_start()
    if not ready.wait(10):
        raise TimeoutError(f"the broker at {url} did not answer plain paho: is it running?")
    return client


def answer_paho(url: str) -> None:
    """Behind the broker, as bare paho."""
    client = bare_paho(
        url,
        name="paho-worker",
        topic_filter=request_topic("paho"),
        hear=lambda payload: client.publish(reply_topic("paho"), reply_to(payload)),
    )
    print("ready", flush=True)
    sys.stdin.read()  # until the parent ends
    client.loop_stop()


def answer_session(url: str) -> None:
    """Behind the broker, as our session, without the codec."""
    with Reactor(name="bench") as reactor:
        road = Session(session_config(url, name="session-worker"), reactor=reactor)

        def reply(delivery: Delivery) -> None:
            road.publish(reply_topic("session"), reply_to(delivery.payload))

        road.subscribe(request_topic("session"), reply)
        await_ready(road)
        print("ready", flush=True)
        sys.stdin.read()
        road.close()


def await_ready(road: Session) -> None:
    """Wait for our own echo."""
    ready = threading.Event()
    road.on_state(lambda state: ready.set() if state is RoadState.READY else None)
    if not ready.wait(10):
        raise TimeoutError(f"the session did not become ready: {road.last_error}")


ROLES: dict[str, Callable[..., None]] = {"tcp": answer_tcp, "paho": answer_paho, "session": answer_session}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
