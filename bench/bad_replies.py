"""A client that makes replies bad: it hears every result on a broker and says some again, doubled, late or damaged.

``python -m bench.bad_replies URL --site 1`` prints ``ready``, works until its standard input ends, and then prints
what it did as JSON. The genuine reply always arrives too: what is shown is that nothing bad is taken for an answer.
"""

import argparse
import hashlib
import json
import random
import secrets
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import replace

import structlog

from broker.reactor import Reactor
from broker.road import Delivery, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import Encoder, decode
from schemas.errors import MalformedMessage
from schemas.topics import topic

KINDS = ("duplicate", "late", "reordered", "truncated", "garbled", "stranger")
LATE_S = (0.05, 1.5)
KEPT_REPLIES = 16
READY_S = 10.0
LOOK_S = 0.002


class Troublemaker:
    """Pure core: which bad replies follow a genuine one. ``rates`` holds the share of replies for each kind."""

    def __init__(self, rates: dict[str, float], *, rng: random.Random) -> None:
        unknown = set(rates) - set(KINDS)
        if unknown:
            raise ValueError(f"no kind of bad reply: {', '.join(sorted(unknown))}; write {', '.join(KINDS)}")
        self.counts: Counter[str] = Counter()
        self._rates, self._rng = rates, rng
        self._own: Counter[bytes] = Counter()
        self._before: dict[str, deque[bytes]] = {}

    def heard(self, name: str, payload: bytes, *, now_ns: int) -> list[tuple[int, str, bytes]]:
        """What to say because of this message: when, on which topic, which bytes. Own messages cause nothing."""
        key = _key(name, payload)
        if self._own[key]:
            self._own[key] -= 1
            return []
        self.counts["genuine"] += 1
        before = self._before.setdefault(name, deque(maxlen=KEPT_REPLIES))
        said = []
        for kind in KINDS:
            if self._rng.random() >= self._rates.get(kind, 0.0):
                continue
            bad = self._made(kind, payload, before)
            if bad is None:
                continue
            self.counts[kind] += 1
            self._own[_key(name, bad)] += 1
            wait_ns = int(self._rng.uniform(*LATE_S) * 1e9) if kind == "late" else 0
            said.append((now_ns + wait_ns, name, bad))
        before.append(payload)
        return said

    def _made(self, kind: str, payload: bytes, before: deque[bytes]) -> bytes | None:
        if kind == "reordered":  # an older answer after a newer one
            return self._rng.choice(before) if before else None
        if kind == "truncated":
            return payload[: self._rng.randrange(len(payload))]
        if kind == "garbled":
            bad = bytearray(payload)
            for _ in range(self._rng.randint(1, 8)):
                bad[self._rng.randrange(len(bad))] ^= self._rng.randint(1, 255)
            return bytes(bad)
        if kind == "stranger":  # as if for another start of the headset
            try:
                message = decode(payload)
            except MalformedMessage:
                self.counts["undecodable"] += 1
                return None
            header = replace(message.header, boot_id=self._rng.randbytes(16))
            return Encoder().encode(replace(message, header=header))
        return payload


def _key(name: str, payload: bytes) -> bytes:
    return hashlib.blake2b(name.encode() + b"\0" + payload, digest_size=16).digest()


def _speak(session: Session, maker: Troublemaker, *, site: str, ended: threading.Event) -> None:
    lock = threading.Lock()
    waiting: list[tuple[int, str, bytes]] = []

    def on_reply(delivery: Delivery) -> None:
        with lock:
            now_ns = time.monotonic_ns()
            waiting.extend(maker.heard(delivery.topic, bytes(delivery.payload), now_ns=now_ns))

    session.subscribe(f"hw/1/{site}/d/+/result/#", on_reply)
    while not ended.wait(LOOK_S):
        now_ns = time.monotonic_ns()
        with lock:
            due = [item for item in waiting if item[0] <= now_ns]
            waiting[:] = [item for item in waiting if item[0] > now_ns]
        for _, name, payload in due:
            session.publish(name, payload)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--site", required=True)
    parser.add_argument("--seed", type=int, default=0)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=float, default=0.05, help="share of replies")
    asked = parser.parse_args()
    # standard output is for the answer
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    maker = Troublemaker({kind: getattr(asked, kind) for kind in KINDS}, rng=random.Random(asked.seed))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    name = f"bad-replies-{secrets.token_hex(4)}"
    with Reactor(name=name) as reactor:
        echo = topic("device-echo", site=asked.site, device=name, traffic=Traffic.DATA.value)
        config = SessionConfig(url=asked.url, client_id=name, echo_topic=echo, traffic=Traffic.DATA)
        session = Session(config, reactor=reactor)
        try:
            until_s = time.monotonic() + READY_S
            while session.state is not RoadState.READY:
                if time.monotonic() > until_s:
                    print(f"the broker does not answer ({session.last_error}): see its log", file=sys.stderr)
                    return 3
                time.sleep(0.01)
            print("ready", flush=True)
            _speak(session, maker, site=asked.site, ended=ended)
        finally:
            session.close()
    print(json.dumps(dict(maker.counts)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
