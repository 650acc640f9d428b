"""Many headsets that send far more frames than anybody can answer. Shell: a process that sends, and one road that hears.

The frames are written once and only their number and times anew, over bare sockets: a session for each headset would
be slower than the worker that is to be flooded. All of it reads this machine's one monotonic clock.
"""

from __future__ import annotations

import json
import secrets
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from bench.deadline_crowd import NS_PER_US, POLL_S, Asked
from broker.publication import plain_packet
from broker.road import Delivery, Road
from schemas.codec import Encoder, decode
from schemas.messages import Frame, Refusal, Result
from schemas.topics import parse, topic, topic_filter

CONNECT, CONNACK_BYTES = (
    b"\x10%c\x00\x04MQTT\x04\x02\x00\x00\x00%c%s",
    4,
)  # of version 3.1.1, without a name's high byte
MARKS = {
    "frame_id": ("<I", 0x5A17C3E9),
    "capture_ns": ("<Q", 0x5A17C3E98B4D2F61),
    "send_ns": ("<Q", 0x3C9E51D7A6F0284B),
}
MOST_AT_ONCE = 64  # frames, of what is overdue: a sender that was held up does not make up for all of it
QUIET_S = 0.5  # without a reply, then none comes any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one flood is: so many frames a second for so long, by turns from so many headsets."""

    port: int
    site: str
    worker: str
    headsets: int
    per_s: float
    for_s: float

    @property
    def names(self) -> list[str]:
        """Of the headsets."""
        return [f"flood-{number}" for number in range(self.headsets)]


@dataclass(slots=True, kw_only=True)
class Flood:
    """What came of it: how much was sent, between when and when, and every reply in the order it was heard."""

    sent: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    replies: list[Asked] = field(default_factory=list)

    @property
    def span_s(self) -> float:
        """How long it was sent for."""
        return (self.ended_ns - self.began_ns) / 1e9


def flood(road: Road, order: Order, *, frame: Frame, each: Callable[[], None] = lambda: None) -> Flood:
    """Send it, and hear on ``road`` what comes back; ``each`` is called now and then meanwhile.

    Raises:
        ChildProcessError: the frames could not be sent; says why.
    """
    heard: list[Delivery] = []
    road.subscribe(topic_filter("result", site=order.site), heard.append)
    command = [
        sys.executable,
        "-m",
        "bench.deadline_flood",
        json.dumps({n: getattr(order, n) for n in Order.__slots__}),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write(Encoder().encode(frame))
        sender.stdin.close()
        while sender.poll() is None:
            each()
            time.sleep(POLL_S)
        said = sender.stdout.read()
    if not said:
        raise ChildProcessError("the flood was not sent: the reason is on stderr above")
    known = -1
    while len(heard) > known:
        known = len(heard)
        time.sleep(QUIET_S)
    budget_ns = frame.header.budget_us * NS_PER_US
    names = set(order.names)
    rows = [_row(delivery, budget_ns=budget_ns) for delivery in heard]
    return Flood(**json.loads(said), replies=[row for row in rows if row.device in names])


def _row(delivery: Delivery, *, budget_ns: int) -> Asked:
    message = decode(bytes(delivery.payload), stream="result")
    assert isinstance(message, (Result, Refusal))
    timing = message.timing
    return Asked(
        device=parse(delivery.topic)[1]["device"],
        sent_ns=message.header.capture_ns,
        budget_ns=budget_ns,
        heard_ns=delivery.received_ns,
        replies=1,
        refusal=message.reason.name.lower() if isinstance(message, Refusal) else "",
        retry_after_ms=message.retry_after_ms if isinstance(message, Refusal) else 0,
        received_ns=timing.received_ns,
        queue_ns=timing.queue_us * NS_PER_US,
        ran_ns=(timing.decode_us + timing.run_us) * NS_PER_US,
    )


class _Headset:
    """One sender: a connection, and its frame with the places of what changes."""

    def __init__(self, name: str, order: Order, *, frame: Frame) -> None:
        marks = {name: mark for name, (_, mark) in MARKS.items()}
        header = replace(frame.header, boot_id=secrets.token_bytes(16), **marks)  # type: ignore[arg-type]
        address = topic(
            "infer", site=order.site, device=name, worker=order.worker, task=header.task.name.lower()
        )
        payload = Encoder().encode(replace(frame, header=header))
        self._packet = plain_packet(address, payload, retain=False, is_v5=False)
        self._places = [(kind, self._packet.index(struct.pack(kind, mark))) for kind, mark in MARKS.values()]
        self._sock = socket.create_connection(("127.0.0.1", order.port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.sendall(CONNECT % (12 + len(name), len(name), name.encode()))
        if len(self._sock.recv(CONNACK_BYTES)) < CONNACK_BYTES:
            raise ConnectionError("the broker refused a headset: it has to take any without a password")

    def send(self, frame_id: int) -> None:
        now_ns = time.monotonic_ns()
        for (kind, place), value in zip(self._places, (frame_id, now_ns, now_ns), strict=True):
            struct.pack_into(kind, self._packet, place, value)
        self._sock.sendall(self._packet)


def _send(order: Order, *, frame: Frame) -> Flood:
    headsets = [_Headset(name, order, frame=frame) for name in order.names]
    began_ns = now_ns = time.monotonic_ns()
    skipped = 0
    for number in count():
        while (due := (now_ns - began_ns) / 1e9 * order.per_s - skipped) < number:
            time.sleep((number - due) / order.per_s)
            now_ns = time.monotonic_ns()
        skipped += max(0, round(due) - number - MOST_AT_ONCE)
        if now_ns - began_ns > order.for_s * 1e9:
            return Flood(sent=number, began_ns=began_ns, ended_ns=now_ns)
        headsets[number % len(headsets)].send(number // len(headsets) + 1)
        now_ns = time.monotonic_ns()
    raise AssertionError("counting never ends")


def main() -> None:
    """Send what the order on the command line says of the frame on standard input."""
    frame = decode(sys.stdin.buffer.read(), stream="infer")
    assert isinstance(frame, Frame)
    sent = _send(Order(**json.loads(sys.argv[1])), frame=frame)
    print(json.dumps({name: getattr(sent, name) for name in ("sent", "began_ns", "ended_ns")}))


if __name__ == "__main__":
    main()
