"""Shell: many headsets of a measurement in one process, each with a real data session of its own to the broker.

They send a real photo as a real frame and note what comes back, all on this machine's one monotonic clock, which the
worker reads too. They compute nothing themselves and take no advice, so a load stays what was asked for.
"""

from __future__ import annotations

import heapq
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType

import cv2
import numpy as np

from broker.address import parse_url
from broker.reactor import Reactor
from broker.road import Delivery, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import Encoder, decode
from schemas.messages import Encoding, Frame, Header, Ping, Refusal, Result, Task
from schemas.topics import topic, topic_filter

NS_PER_S, NS_PER_US = 1_000_000_000, 1_000
BEGIN_S, ANSWER_S, POLL_S = 15.0, 10.0, 0.005
WIDTH_PX, QUALITY = 640, 80


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request and its replies. Times are nanoseconds of the monotonic clock."""

    device: str
    sent_ns: int
    budget_ns: int
    heard_ns: int = 0  # the first reply; 0: none
    replies: int = 0
    refusal: str = ""
    retry_after_ms: int = 0
    received_ns: int = 0  # by the worker, as its reply says
    queue_ns: int = 0
    ran_ns: int = 0  # decoding and run; 0 where it was refused

    @property
    def over_ns(self) -> int:
        """When its budget is over."""
        return self.sent_ns + self.budget_ns

    @property
    def way_ns(self) -> int:
        """What its reply took without the time at the worker."""
        return self.heard_ns - self.sent_ns - self.queue_ns - self.ran_ns


def photo_frame(pixels: np.ndarray) -> Frame:
    """A photo (BGR) as a headset sends it, still without a header of its own."""
    height = round(WIDTH_PX * pixels.shape[0] / pixels.shape[1])
    small = cv2.resize(pixels, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    done, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("OpenCV cannot encode JPEG: install opencv-python-headless with its codecs")
    header = Header(boot_id=bytes(16), task=Task.HANDS, frame_id=0, capture_ns=0, send_ns=0, budget_us=0)
    return Frame(
        header=header,
        width_px=WIDTH_PX,
        height_px=height,
        encoding=Encoding.JPEG,
        quality=QUALITY,
        payload=coded.tobytes(),
    )


@dataclass(slots=True)
class _Headset:
    road: Session
    boot_id: bytes
    encoder: Encoder = field(default_factory=Encoder)
    asked: dict[int, Asked] = field(default_factory=dict)
    pings: list[Pinged] = field(default_factory=list)
    on_reply: Callable[[], None] = lambda: None


@dataclass(slots=True, kw_only=True)
class Pinged:
    """One ping as large as a frame; what a round trip costs at that time, whatever the worker does with frames."""

    sent_ns: int
    heard_ns: int = 0  # 0: not yet


class Crowd:
    """Headsets that are connected; a context manager."""

    def __init__(self, names: list[str], *, url: str, site: str, worker: str, frame: Frame) -> None:
        self._site, self._worker, self._frame = site, worker, frame
        self.names, self.port = names, parse_url(url).port
        self._open = ExitStack()
        reactor = self._open.enter_context(Reactor(name="crowd"))
        self._headsets = {name: self._connect(name, url=url, reactor=reactor) for name in names}
        self._await(
            lambda: all(one.road.state is RoadState.READY for one in self._headsets.values()), BEGIN_S
        )

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def road(self) -> Session:
        """One headset's, to hear more on it."""
        return self._headsets[self.names[0]].road

    @property
    def unsent(self) -> int:
        """Frames that never left: a newer one came while the way was blocked."""
        return sum(_dropped(headset.road) for headset in self._headsets.values())

    def saturate(self, names: list[str], *, for_s: float) -> list[Asked]:
        """Each of these sends its next frame when the last one was answered; returns all they asked for."""
        marks = {name: len(self._headsets[name].asked) for name in names}
        until_ns = time.monotonic_ns() + round(for_s * NS_PER_S)
        turns = threading.Semaphore(0)
        waiting = list(names)
        for name in names:
            self._headsets[name].on_reply = partial(_hand_back, name, waiting=waiting, turns=turns)
            turns.release()
        while time.monotonic_ns() < until_ns:
            if turns.acquire(timeout=POLL_S * 10):
                self.send(waiting.pop(0), budget_ns=round(ANSWER_S * NS_PER_S))
        for name in names:
            self._headsets[name].on_reply = lambda: None
        return self._finished(marks)

    def offer(
        self,
        periods_s: Mapping[str, float],
        *,
        budget_ns: int,
        for_s: float,
        jitter: float,
        rng: random.Random,
        each: Callable[[], None] = lambda: None,
        frames_a_ping: float = 1.0,
    ) -> tuple[list[Asked], list[Pinged]]:
        """Each sends at its own pace, whatever it hears, and pings at times of their own; ``each`` is called before every frame."""
        marks = {name: len(self._headsets[name].asked) for name in periods_s}
        pinged = {name: len(self._headsets[name].pings) for name in periods_s}
        paces_s = {(name, False): period_s for name, period_s in periods_s.items()}
        paces_s |= {(name, True): period_s * frames_a_ping for name, period_s in periods_s.items()}
        begin_s = time.monotonic()
        agenda = [(begin_s + rng.uniform(0, period_s), turn) for turn, period_s in paces_s.items()]
        heapq.heapify(agenda)
        while agenda[0][0] < begin_s + for_s:
            due_s, turn = heapq.heappop(agenda)
            time.sleep(max(0.0, due_s - time.monotonic()))
            each()
            name, is_ping = turn
            if is_ping:
                self.ping(name)
            else:
                self.send(name, budget_ns=budget_ns)
            heapq.heappush(agenda, (due_s + paces_s[turn] * (1 + rng.uniform(-jitter, jitter)), turn))
        asked = self._finished(marks)
        return asked, [ping for name, mark in pinged.items() for ping in self._headsets[name].pings[mark:]]

    def ping(self, name: str) -> None:
        """Send a ping as large as a frame now."""
        headset = self._headsets[name]
        now_ns = time.monotonic_ns()
        header = replace(
            self._frame.header,
            boot_id=headset.boot_id,
            task=Task.PING,
            frame_id=len(headset.pings),
            send_ns=now_ns,
            budget_us=round(ANSWER_S * NS_PER_S) // NS_PER_US,
        )
        payload = headset.encoder.encode(Ping(header=header, payload=self._frame.payload))
        headset.pings.append(Pinged(sent_ns=now_ns))
        address = topic("infer", site=self._site, device=name, worker=self._worker, task="ping")
        headset.road.publish(address, payload, budget_ns=round(ANSWER_S * NS_PER_S))

    def send(self, name: str, *, budget_ns: int) -> None:
        """Send one frame now."""
        headset = self._headsets[name]
        frame_id = len(headset.asked)
        now_ns = time.monotonic_ns()
        header = replace(
            self._frame.header,
            boot_id=headset.boot_id,
            frame_id=frame_id,
            capture_ns=now_ns,
            send_ns=now_ns,
            budget_us=budget_ns // NS_PER_US,
        )
        payload = headset.encoder.encode(replace(self._frame, header=header))
        headset.asked[frame_id] = Asked(device=name, sent_ns=now_ns, budget_ns=budget_ns)
        address = topic("infer", site=self._site, device=name, worker=self._worker, task="hands")
        # one whose time is over leaves too: the worker has to notice
        headset.road.publish(address, payload, budget_ns=round(ANSWER_S * NS_PER_S))

    def _connect(self, name: str, *, url: str, reactor: Reactor) -> _Headset:
        config = SessionConfig(
            url=url,
            client_id=f"bench-{name}",
            echo_topic=topic("device-echo", site=self._site, device=name, traffic=Traffic.DATA.value),
            traffic=Traffic.DATA,
        )
        headset = _Headset(road=Session(config, reactor=reactor), boot_id=secrets.token_bytes(16))
        self._open.callback(headset.road.close)
        answers = topic_filter("result", site=self._site, device=name)
        headset.road.subscribe(answers, partial(_hear, headset))
        return headset

    def _finished(self, marks: Mapping[str, int]) -> list[Asked]:
        """What was asked since the marks, once all is answered or nothing more comes."""
        asked = [
            row for name, mark in marks.items() for row in list(self._headsets[name].asked.values())[mark:]
        ]
        self._await(lambda: all(row.replies for row in asked), ANSWER_S, must=False)
        return asked

    @staticmethod
    def _await(happened: Callable[[], bool], budget_s: float, *, must: bool = True) -> None:
        deadline_s = time.monotonic() + budget_s
        while not happened():
            if time.monotonic() > deadline_s:
                if must:
                    raise ChildProcessError("the headsets did not reach the broker: is it still running?")
                return
            time.sleep(POLL_S)


def _dropped(road: Session) -> int:
    counters = road.counters
    return counters.dropped_stale + counters.dropped_superseded + counters.dropped_full + counters.lost


def _hand_back(name: str, *, waiting: list[str], turns: threading.Semaphore) -> None:
    waiting.append(name)
    turns.release()


def _hear(headset: _Headset, delivery: Delivery) -> None:
    message = decode(bytes(delivery.payload), stream="result")
    if message.header.task is Task.PING and message.header.boot_id == headset.boot_id:
        headset.pings[message.header.frame_id].heard_ns = delivery.received_ns
        return
    row = headset.asked.get(message.header.frame_id)
    if row is None or message.header.boot_id != headset.boot_id or not isinstance(message, (Result, Refusal)):
        return
    row.replies += 1
    if row.replies > 1:
        return
    row.heard_ns = delivery.received_ns
    row.received_ns = message.timing.received_ns
    row.queue_ns = message.timing.queue_us * NS_PER_US
    row.ran_ns = (message.timing.decode_us + message.timing.run_us) * NS_PER_US
    if isinstance(message, Refusal):
        row.refusal, row.retry_after_ms = message.reason.name.lower(), message.retry_after_ms
    headset.on_reply()
