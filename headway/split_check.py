"""Shell: sends real frames in parts to a real worker over a real broker and compares what comes of it, byte for byte.

A headset of its own that waits for every answer: it measures what a placement costs and whether its results are those
of the whole model on the same pixels. The frames that users see never pass here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from broker.reactor import Reactor
from broker.road import RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from edge_node.frames import Image
from edge_node.offload import Offloader
from edge_node.replies import PartOut, RemoteReply
from edge_node.workers import PartWanted
from headway.errors import DemoError
from headway.report import quantiles
from inference.graph.flow import Cut
from inference.runtimes.base import Runtime
from inference.split.hands import SplitHands, open_split_hands
from inference.split.model import SplitModel
from inference.split.part_payload import PartPayload
from inference.tasks.hands import HandsConfig, HandsResult, HandTask
from inference.tasks.roi import Roi
from schemas.placements import Placement
from schemas.topics import topic

DEVICE = "split-check"
PROOF_S = 60.0  # a worker proves a placement in seconds; a full machine takes its time
REPLY_S = 10.0
READY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandModels:
    """The models of one headset, loaded, and the landmark model once more ready to be cut."""

    task: HandTask
    split: SplitModel
    digest: str
    runtime: Runtime

    @classmethod
    def load(
        cls, *, palm: Path, landmark: Path, split: SplitModel, digest: str, runtime: Runtime
    ) -> HandModels:
        """Open palm detector and landmark model for one hand."""
        task = HandTask(
            palm=runtime.load(palm), landmark=runtime.load(landmark), config=HandsConfig(max_hands=1)
        )
        return cls(task=task, split=split, digest=digest, runtime=runtime)


class PartRoad:
    """One headset's road to one worker; a context manager."""

    def __init__(self, url: str, *, site: str, worker: str) -> None:
        self._worker = worker
        self._replies: SimpleQueue[RemoteReply] = SimpleQueue()
        self._stack = ExitStack()
        reactor = self._stack.enter_context(Reactor(name=DEVICE))
        boot_id = secrets.token_bytes(16)
        self._session = Session(
            SessionConfig(
                url=url,
                client_id=f"{DEVICE}-{boot_id.hex()[:8]}",
                echo_topic=topic("device-echo", site=site, device=DEVICE, traffic=Traffic.DATA.value),
                traffic=Traffic.DATA,
            ),
            reactor=reactor,
        )
        self._stack.callback(self._session.close)
        self._offloader = Offloader(
            self._session,
            site=site,
            device=DEVICE,
            boot_id=boot_id,
            deliver=self._replies.put,
            clock_ns=time.monotonic_ns,
            new_span=lambda: secrets.token_bytes(8),
        )
        self._offloader.open()
        self._frame_id = 0

    @property
    def bytes_so_far(self) -> tuple[int, int]:
        """Bytes of messages that went up and came down."""
        return self._offloader.uplink_bytes, self._offloader.downlink_bytes

    def ask(self, wanted: PartWanted, live: PartPayload) -> RemoteReply:
        """Send live tensors and wait for the worker's word.

        Raises:
            DemoError: the broker did not take them, or no word came.
        """
        deadline_s = time.monotonic() + READY_S
        while self._session.state is not RoadState.READY:
            if time.monotonic() > deadline_s:
                raise DemoError(f"the broker does not answer ({self._session.last_error}): see its log")
            time.sleep(0.01)
        now_ns = time.monotonic_ns()
        self._frame_id += 1
        out = PartOut(
            frame_id=self._frame_id,
            wanted=wanted,
            live=live,
            capture_ns=now_ns,
            deadline_ns=now_ns + int(REPLY_S * 1e9),
            trace_id=secrets.token_bytes(16),
        )
        if not self._offloader.send_part(out, worker=self._worker):
            raise DemoError("the live tensors do not fit a message: choose a placement with fewer bytes")
        try:
            return self._replies.get(timeout=REPLY_S)
        except Empty:
            raise DemoError(f"{self._worker} said nothing within {REPLY_S:g} s: see its log") from None

    def __enter__(self) -> PartRoad:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


def measure_placement(
    road: PartRoad, models: HandModels, placement: Placement, *, frames: Sequence[Image], count: int
) -> dict[str, Any]:
    """Run ``count`` frames with a hand both ways; the row says what it cost and whether all were identical.

    Times are of one frame from its pixels to its hands, the region known, nothing else under way.

    Raises:
        DemoError: the worker does not run this placement, or too few of the frames show a hand.
    """
    hands = open_split_hands(
        models.task,
        split=models.split,
        placement=placement,
        runtime=models.runtime,
        clock_ns=time.monotonic_ns,
    )
    wanted = PartWanted(model=models.digest, kernel="", placement_id=placement.id)
    run = _Run(road, models.task, hands, wanted)
    with closing(hands):
        for image in frames:
            if len(run.took_ms) < count:
                run.take(image)
    if len(run.took_ms) < count:
        raise DemoError(
            f"{len(run.took_ms)} of the frames show a hand, {count} were wanted: use another source"
        )
    up, down = run.bytes_per_frame()
    times = quantiles(run.took_ms, (50, 99))
    return {
        "start": placement.start,
        "end": placement.end,
        "kind": kind_of(placement, models.split),
        "frames": len(run.took_ms),
        "identical": run.identical == len(run.took_ms),
        "bytes_up": up,
        "bytes_down": down,
        "p50_ms": times["p50"],
        "p99_ms": times["p99"],
        "local_p50_ms": quantiles(run.local_ms, (50,))["p50"],
    }


class _Run:
    """Frame after frame at one placement."""

    def __init__(self, road: PartRoad, task: HandTask, hands: SplitHands, wanted: PartWanted) -> None:
        self.took_ms: list[float] = []
        self.local_ms: list[float] = []  # the same frames with the whole model here
        self.identical = 0
        self._road, self._task, self._hands, self._wanted = road, task, hands, wanted
        self._rois: tuple[Roi, ...] = ()
        self._bytes = (0, 0)
        self._prove = True

    def take(self, image: Image) -> None:
        """One frame both ways; one without a hand is left out."""
        whole_ns = time.monotonic_ns()
        expected = self._task.run(image, rois=self._rois)
        whole_ns = time.monotonic_ns() - whole_ns
        rois, self._rois = self._rois, expected.next_rois
        if not (expected.hands and rois):
            return  # without a known region the palm detector would be part of the time
        started_ns = time.monotonic_ns()
        looked = self._hands.look(image, rois=rois)
        before = self._road.bytes_so_far
        part = self._answered(looked.live)
        if self._prove:  # the first answer paid for the proof and for opening the part
            self._prove = False
            return
        result = self._hands.finish(looked, self._hands.read_back(looked, part))
        self.took_ms.append((time.monotonic_ns() - started_ns) / 1e6)
        self.local_ms.append(whole_ns / 1e6)
        after = self._road.bytes_so_far
        self._bytes = (self._bytes[0] + after[0] - before[0], self._bytes[1] + after[1] - before[1])
        self.identical += same_bytes(result, expected)

    def bytes_per_frame(self) -> tuple[int, int]:
        """Bytes of the messages up and down for one frame."""
        frames = max(1, len(self.took_ms))
        return round(self._bytes[0] / frames), round(self._bytes[1] / frames)

    def _answered(self, live: PartPayload) -> PartPayload:
        """The worker's tensors; while it proves the placement it is asked again."""
        deadline_s = time.monotonic() + PROOF_S
        while (reply := self._road.ask(self._wanted, live)).refusal:
            if not (self._prove and reply.retry_after_ms and time.monotonic() < deadline_s):
                raise DemoError(f"{reply.worker} refused ({reply.refusal}): {reply.detail}")
            time.sleep(reply.retry_after_ms / 1000)
        if reply.part is None:
            raise DemoError(f"{reply.worker} answered without tensors: see its log")
        return reply.part


def same_bytes(result: HandsResult, expected: HandsResult) -> bool:
    """Whether two results have the same hands, bit for bit."""

    def bits(found: HandsResult) -> list[tuple[bytes, bytes, Roi]]:
        scores = [np.array([hand.presence, hand.handedness]).tobytes() for hand in found.hands]
        return [
            (hand.landmarks.tobytes(), score, hand.roi)
            for hand, score in zip(found.hands, scores, strict=True)
        ]

    return bits(result) == bits(expected) and result.next_rois == expected.next_rois


def kind_of(placement: Placement, split: SplitModel) -> str:
    """What a placement is called: who runs the model's beginning, middle and end."""
    head, tail = placement.start > 0, placement.end < len(split.flow.operators)
    return {
        (True, False): "headset then worker",
        (False, True): "worker then headset",
        (True, True): "headset, worker, headset",
        (False, False): "all at the worker, from tensors",
    }[head, tail]


def sensible_placement(cuts: Sequence[Cut]) -> Placement:
    """A placement with head and tail on the headset and few bytes on the way, without knowing road or chips.

    The fewest bytes in the first half of the model and the fewest in the second, the earliest of equals.
    """
    last = cuts[-1].position
    rows: tuple[Callable[[int], bool], ...] = (
        lambda position: 0 < position <= last // 2,
        lambda position: last // 2 < position < last,
    )
    start, end = (
        min((cut for cut in cuts if inside(cut.position)), key=lambda cut: (cut.payload_bytes, cut.position))
        for inside in rows
    )
    return Placement(start=start.position, end=end.position)
