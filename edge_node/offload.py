"""Shell: frames, live tensors and pings out to a worker, results and refusals back in, over the data road.

``send_frame``, ``send_part`` and ``send_ping`` belong to the frame loop; ``receive`` runs on the road's thread, reads the
bytes and hands a ``RemoteReply`` on. What breaks the contract, speaks for another boot or answers nothing
that was asked is counted and goes no further. Whether a reply still matters is decided elsewhere.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import structlog

from broker.road import Delivery, Road
from edge_node.estimates.rtt import transport_rtt_ns
from edge_node.frames import Image
from edge_node.remote_hands import box_of, hands_of
from edge_node.replies import PartOut, RemoteReply
from edge_node.workers import PartWanted
from inference.errors import TaskError
from inference.split.part_payload import PartPayload
from inference.tasks.roi import Roi
from schemas.codec import Encoder, decode
from schemas.errors import EncodeError, MalformedMessage, TopicError
from schemas.messages import PART_MODEL_BYTES, Encoding, Frame, Header, Part, Ping, Refusal, Result, Task
from schemas.placements import WHOLE_TASK
from schemas.topics import POOL, parse, topic, topic_filter
from schemas.verify import check_sender

_log = structlog.get_logger("edge_node.offload")

NS_PER_US = 1000
PING_BYTES = 64
MAX_PENDING = 512
UNSAID = 0  # the capture time in a brief reply to live tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    worker: str
    sent_ns: int
    capture_ns: int
    width_px: int = 0
    height_px: int = 0
    payload_bytes: int = 0
    wanted: PartWanted | None = None
    ask: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class FrameOut:
    """What to send of one frame. ``quality`` is JPEG's 1 to 100; a wider image is shrunk to ``width_px``."""

    frame_id: int
    image: Image
    rois: tuple[Roi, ...]
    capture_ns: int
    deadline_ns: int
    trace_id: bytes
    quality: int
    width_px: int


class Offloader:
    """The way out of one headset."""

    def __init__(
        self,
        road: Road,
        *,
        site: str,
        device: str,
        boot_id: bytes,
        deliver: Callable[[RemoteReply], None],
        clock_ns: Callable[[], int],
        new_span: Callable[[], bytes],
    ) -> None:
        self._road = road
        self._site = site
        self._device = device
        self._boot_id = boot_id
        self._deliver = deliver
        self._clock_ns = clock_ns
        self._new_span = new_span
        self._encoder = Encoder()
        self._topics: dict[tuple[str, str], str] = {}
        self._pending: OrderedDict[tuple[Task, int], _Sent] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self.uplink_bytes = 0
        self.downlink_bytes = 0

    def open(self) -> None:
        """Listen for replies."""
        self._road.subscribe(topic_filter("result", site=self._site, device=self._device), self.receive)

    def send_frame(self, out: FrameOut, *, worker: str) -> int:
        """Encode a frame and put it on the road; its bytes, 0 where the road did not take it."""
        image = _shrunk(out.image, width_px=out.width_px)
        height, width = image.shape[:2]
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        good, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, out.quality])
        if not good:
            self.counts["encode_failed"] += 1
            return 0
        factor = width / out.image.shape[1]
        now_ns = self._clock_ns()
        message = Frame(
            header=self._header(
                Task.HANDS,
                frame_id=out.frame_id,
                capture_ns=out.capture_ns,
                now_ns=now_ns,
                deadline_ns=out.deadline_ns,
                trace_id=out.trace_id,
            ),
            width_px=width,
            height_px=height,
            encoding=Encoding.JPEG,
            quality=out.quality,
            rois=tuple(box_of(roi.scaled(factor), width=width, height=height) for roi in out.rois),
            payload=jpeg.data,
        )
        full = out.image.shape
        sent = _Sent(
            worker=worker, sent_ns=now_ns, capture_ns=out.capture_ns, width_px=full[1], height_px=full[0]
        )
        return self._put(message, sent, budget_ns=out.deadline_ns - now_ns)

    def send_part(self, out: PartOut, *, worker: str) -> int:
        """Put the live tensors of a frame on the road; 0 bytes where they do not fit or the road did not take them."""
        now_ns = self._clock_ns()
        header = self._header(
            Task.HANDS,
            frame_id=out.frame_id,
            capture_ns=out.capture_ns,
            now_ns=now_ns,
            deadline_ns=out.deadline_ns,
            trace_id=out.trace_id,
            wanted=out.wanted,
        )
        sent = _Sent(worker=worker, sent_ns=now_ns, capture_ns=out.capture_ns, wanted=out.wanted, ask=out.ask)
        live = out.live
        message = Part(
            header=header,
            subjects=live.subjects,
            coding=live.coding,
            payload=live.payload,
            brief_reply=True,
        )
        return self._put(message, sent, budget_ns=out.deadline_ns - now_ns)

    def send_ping(self, ping_id: int, *, worker: str, budget_ns: int) -> int:
        """Probe the way to a worker and back; the bytes sent."""
        now_ns = self._clock_ns()
        header = self._header(
            Task.PING, frame_id=ping_id, capture_ns=now_ns, now_ns=now_ns, deadline_ns=now_ns + budget_ns
        )
        sent = _Sent(worker=worker, sent_ns=now_ns, capture_ns=now_ns)
        return self._put(Ping(header=header, payload=bytes(PING_BYTES)), sent, budget_ns=budget_ns)

    def receive(self, delivery: Delivery) -> None:
        """Take in a reply; runs on the road's thread."""
        self.downlink_bytes += len(delivery.payload)
        if delivery.retain:  # a stored reply is older than any budget, and no worker may store one
            self.counts["dropped_retained"] += 1
            return
        try:
            _, ids = parse(delivery.topic)
            # the road's buffer is only ours until this handler returns; landmarks are views of it
            message = decode(bytes(delivery.payload), stream="result")
            check_sender(ids, message)
        except (MalformedMessage, TopicError) as error:
            self.counts[f"malformed_{getattr(error, 'reason', 'topic')}"] += 1
            return
        if isinstance(message, (Result, Refusal)):
            size = len(delivery.payload)
            self._match(message, worker=ids["worker"], received_ns=delivery.received_ns, result_bytes=size)
        else:
            self.counts["malformed_kind"] += 1

    def _match(self, message: Result | Refusal, *, worker: str, received_ns: int, result_bytes: int) -> None:
        header = message.header
        if header.boot_id != self._boot_id:
            self.counts["dropped_old_boot"] += 1
            return
        key = (header.task, header.frame_id)
        sent = self._pending.get(key)
        if sent is None or sent.worker not in {worker, POOL}:
            # a duplicate, so late that it was forgotten, or not asked: whoever was asked may still answer
            self.counts["dropped_unasked"] += 1
            return
        if header.capture_ns != sent.capture_ns and not (sent.wanted and header.capture_ns == UNSAID):
            # no checksum is of a header: an id that was damaged on the way must not answer another frame
            self.counts["dropped_other_capture"] += 1
            return
        self._pending.pop(key, None)  # the loop may have pushed it out this very moment
        reply = RemoteReply(
            task=header.task,
            frame_id=header.frame_id,
            worker=worker,
            received_ns=received_ns,
            rtt_ns=transport_rtt_ns(sent_ns=sent.sent_ns, received_ns=received_ns, timing=message.timing),
            capture_ns=sent.capture_ns,
            model_digest=header.model_digest.hex(),
            result=None,
            wanted=sent.wanted,
            ask=sent.ask,
            asked=sent.worker,
            sent_ns=sent.sent_ns,
            payload_bytes=sent.payload_bytes,
            result_bytes=result_bytes,
            timing=message.timing,
            replied_ns=header.send_ns,
        )
        if isinstance(message, Refusal):
            reason = message.reason.name.lower()
            reply = replace(
                reply, refusal=reason, detail=message.detail, retry_after_ms=message.retry_after_ms
            )
        elif sent.wanted is None:
            try:
                reply = replace(reply, result=hands_of(message, sent.width_px, sent.height_px))
            except TaskError:
                self.counts["malformed_hands"] += 1
                return
        elif _is_of(sent.wanted, message):
            back = PartPayload(
                subjects=message.part_subjects, coding=message.part_coding, payload=message.part_payload
            )
            reply = replace(reply, part=back, model_digest=sent.wanted.model)
        else:
            self.counts["dropped_wrong_part"] += 1
            return
        self._deliver(reply)

    def _header(
        self,
        task: Task,
        *,
        frame_id: int,
        capture_ns: int,
        now_ns: int,
        deadline_ns: int,
        trace_id: bytes = bytes(16),
        wanted: PartWanted | None = None,
    ) -> Header:
        return Header(
            boot_id=self._boot_id,
            task=task,
            frame_id=frame_id,
            capture_ns=capture_ns,
            send_ns=now_ns,
            budget_us=max(0, (deadline_ns - now_ns) // NS_PER_US),
            placement_id=WHOLE_TASK if wanted is None else wanted.placement_id,
            model_digest=bytes(32) if wanted is None else bytes.fromhex(wanted.model),
            trace_id=trace_id,
            span_id=self._new_span(),
        )

    def _put(self, message: Frame | Part | Ping, sent: _Sent, *, budget_ns: int) -> int:
        task = message.header.task
        try:
            payload = self._encoder.encode(message)
        except EncodeError as error:  # live tensors of a cut may be larger than a message
            _log.warning("a message cannot be sent", frame_id=message.header.frame_id, why=str(error))
            self.counts["encode_failed"] += 1
            return 0
        key = (sent.worker, task.name.lower())
        if key not in self._topics:
            self._topics[key] = topic(
                "infer", site=self._site, device=self._device, worker=sent.worker, task=key[1]
            )
        self._pending[task, message.header.frame_id] = replace(sent, payload_bytes=len(payload))
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
        taken = self._road.publish(self._topics[key], payload, budget_ns=max(1, budget_ns))
        if taken:
            self.uplink_bytes += len(payload)
        else:
            self._pending.pop((task, message.header.frame_id), None)
            self.counts["unsent"] += 1
        return len(payload) if taken else 0


def _is_of(wanted: PartWanted, message: Result) -> bool:
    """Whether the part that ran is the one asked for. Workers of earlier versions name the whole digest."""
    model, header = bytes.fromhex(wanted.model), message.header
    ran = model == header.model_digest or model[:PART_MODEL_BYTES] == message.part_model
    return ran and wanted.placement_id == header.placement_id


def _shrunk(image: Image, *, width_px: int) -> Image:
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
