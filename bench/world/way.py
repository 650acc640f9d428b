"""Pure core: from a headset over its link and the broker to the worker and back, with the session's own health.

The link is the real ``LinkModel``, the health the real ``Pulse``. Sizes of frames are drawn around what the walk's
pictures took at JPEG 80 and 640 px.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bench.world.agenda import Agenda, Draws
from bench.world.hands import shows
from bench.world.site import DECODE_NS, SLOTS, Broker, Worker
from broker.backoff import Backoff
from broker.pulse import Pulse, PulseLimits, Verdict
from cloud_worker.aging import Aging
from cloud_worker.request import Request
from edge_node.energy import ENCODE_NS
from edge_node.estimates.rtt import transport_rtt_ns
from edge_node.offload import FrameOut
from edge_node.picture_sizes import relative_size
from edge_node.replies import PartOut, RemoteReply
from headway.link_model import LinkModel
from headway.link_spec import Direction
from schemas.documents import WorkerPresence
from schemas.messages import Encoding, Frame, Header, Task, Timing

if TYPE_CHECKING:
    from bench.world.headset import Headset

MS = 1_000_000
BOOT = bytes(15) + b"\x01"
PING_BYTES, ECHO_BYTES, RESULT_BYTES, HEADER_BYTES = 330, 90, 900, 300
JPEG_BYTES = (9_000, 26_000)  # even between these, by frame
CHECK_NS = 25 * MS
LIMITS = PulseLimits(  # those of the session's configuration
    suspect_floor_ns=150 * MS,
    suspect_cap_ns=1000 * MS,
    dead_floor_ns=3000 * MS,
    dead_cap_ns=10_000 * MS,
    echo_active_ns=100 * MS,
    echo_idle_ns=1000 * MS,
)


class Way:
    """One headset's connection."""

    def __init__(
        self,
        agenda: Agenda,
        *,
        link: LinkModel,
        broker: Broker,
        workers: Mapping[str, Worker],
        draws: Draws,
        twice: float,
        patience_ns: int,
        name: str = "d",
    ) -> None:
        self._agenda, self._link, self._broker, self._workers = agenda, link, broker, workers
        self._draws, self._twice, self._name = draws, twice, name
        self._patience_ns = patience_ns  # so long the radio listens for a reply
        self._aging = Aging()
        self._pulse = Pulse(LIMITS)
        rng = random.Random(1)
        self._backoff = Backoff(floor_ns=200 * MS, cap_ns=5000 * MS, rng=rng)
        self._connection = 0
        self._waits: dict[
            tuple[Task, int], tuple[str, int, int]
        ] = {}  # what was asked -> whom, when, its bytes
        self.counts: Counter[str] = Counter()

    def attach(self, headset: Headset) -> None:
        """Carry for this headset from now on."""
        self._headset = headset
        self._connect()
        self._check()

    # -- the uplink's port -------------------------------------------------------------------------

    def send_frame(self, out: FrameOut, *, worker: str) -> int:
        """Put a frame on the way."""
        least, most = JPEG_BYTES
        at_80 = least + (most - least) * self._draws.share("jpeg", out.frame_id)
        jpeg_bytes = round(at_80 * relative_size(out.quality))
        left_ns = self._agenda.now_ns + ENCODE_NS
        self._waits[Task.HANDS, out.frame_id] = (worker, left_ns, jpeg_bytes + HEADER_BYTES)
        self.counts["pictures"] += 1
        budget_ns = out.deadline_ns - left_ns

        def arrive() -> None:
            self._receive(out, worker=worker, sent_ns=left_ns, budget_ns=budget_ns)

        self._agenda.at(left_ns, lambda: self._up(jpeg_bytes + HEADER_BYTES, arrive))
        return jpeg_bytes + HEADER_BYTES

    def send_part(self, out: PartOut, *, worker: str) -> int:
        """No model is cut in this world."""
        del out, worker
        return 0

    def send_ping(self, ping_id: int, *, worker: str, budget_ns: int) -> int:
        """Put a probe on the way."""
        del budget_ns
        now_ns = self._agenda.now_ns
        self._waits[Task.PING, ping_id] = (worker, now_ns, PING_BYTES)

        def arrive() -> None:
            self._aging.lost_ns((self._name, BOOT), send_ns=now_ns, received_ns=self._agenda.now_ns)
            if not self._workers[worker].is_down(self._agenda.now_ns):
                self._down(PING_BYTES, lambda: self._hear(Task.PING, ping_id, "", Timing(received_ns=now_ns)))

        return self._up(PING_BYTES, arrive)

    def note_end(self) -> None:
        """Count the time that replies were awaited which never came."""
        self.counts["awake_ns"] += self._patience_ns * len(self._waits)

    # -- there and back ----------------------------------------------------------------------------

    def _receive(self, out: FrameOut, *, worker: str, sent_ns: int, budget_ns: int) -> None:
        now_ns = self._agenda.now_ns
        lost_ns = self._aging.lost_ns((self._name, BOOT), send_ns=sent_ns, received_ns=now_ns)
        header = Header(
            boot_id=BOOT,
            task=Task.HANDS,
            frame_id=out.frame_id,
            capture_ns=out.capture_ns,
            send_ns=sent_ns,
            budget_us=max(0, budget_ns // 1000),
        )
        frame = Frame(header=header, width_px=640, height_px=360, encoding=Encoding.JPEG, quality=out.quality)
        request = Request(
            device=self._name,
            task_word="hands",
            message=frame,
            received_ns=now_ns,
            left_ns=budget_ns - lost_ns,
        )
        self._workers[worker].offer(request, reply=self._reply)

    def _reply(self, request: Request, refusal: str, queue_ns: int, run_ns: int, retry_ms: int) -> None:
        frame_id = request.header.frame_id
        timing = Timing(
            received_ns=request.received_ns,
            queue_us=queue_ns // 1000,
            decode_us=DECODE_NS // 1000 if run_ns else 0,
            run_us=run_ns // 1000,
        )

        def heard() -> None:
            self._hear(Task.HANDS, frame_id, refusal, timing, retry_ms)

        if self._draws.share("garbled", frame_id) < self._twice / 2:
            self.counts["garbled"] += 1
            return
        self._down(RESULT_BYTES, heard)
        if self._draws.share("twice", frame_id) < self._twice:
            again_ns = self._agenda.now_ns + round(60 * MS * self._draws.share("again", frame_id))
            self._agenda.at(again_ns, lambda: self._down(RESULT_BYTES, heard))

    def _hear(self, task: Task, frame_id: int, refusal: str, timing: Timing, retry_ms: int = 0) -> None:
        now_ns = self._agenda.now_ns
        asked = self._waits.pop((task, frame_id), None)
        if asked is None:
            self.counts["dropped_unasked"] += 1
            return
        worker, sent_ns, payload_bytes = asked
        self.counts["awake_ns"] += min(now_ns - sent_ns, self._patience_ns)
        result = None if refusal or task is Task.PING else shows(frame_id, rois=())
        self._headset.on_reply(
            RemoteReply(
                task=task,
                frame_id=frame_id,
                worker=worker,
                received_ns=now_ns,
                rtt_ns=transport_rtt_ns(sent_ns=sent_ns, received_ns=now_ns, timing=timing),
                capture_ns=0,
                model_digest="f" * 64,
                result=result,
                refusal=refusal,
                retry_after_ms=retry_ms,
                sent_ns=sent_ns,
                payload_bytes=payload_bytes,
                result_bytes=PING_BYTES if task is Task.PING else RESULT_BYTES,
                timing=timing,
            )
        )

    def _up(self, payload_bytes: int, arrive: Callable[[], None]) -> int:
        self.counts["uplink_bytes"] += payload_bytes
        self._carry(Direction.UP, payload_bytes, arrive)
        return payload_bytes

    def _down(self, payload_bytes: int, arrive: Callable[[], None]) -> None:
        def heard() -> None:
            self._pulse.heard(now_ns=self._agenda.now_ns)
            arrive()

        leaves_ns = self._broker.passes_ns(self._agenda.now_ns)
        if leaves_ns is not None:
            self.counts["downlink_bytes"] += payload_bytes
            self._agenda.at(leaves_ns, lambda: self._carry(Direction.DOWN, payload_bytes, heard, hop=False))

    def _carry(
        self, direction: Direction, payload_bytes: int, arrive: Callable[[], None], *, hop: bool = True
    ) -> None:
        connection = self._connection
        out_ns = self._link.release_ns(direction, self._agenda.now_ns, payload_bytes, flow=connection)
        there_ns = self._broker.passes_ns(out_ns) if hop else out_ns
        if there_ns is None:
            return

        def arrived() -> None:
            if connection == self._connection:  # what an ended connection carried is gone
                arrive()

        self._agenda.at(there_ns, arrived)

    # -- the session -------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connection += 1
        self._pulse.connected(now_ns=self._agenda.now_ns)
        self._pulse.begin()
        self._tell_presence()

    def _tell_presence(self) -> None:
        for name, worker in self._workers.items():
            self._headset.on_presence(
                WorkerPresence(
                    worker=name,
                    online=not worker.is_down(self._agenda.now_ns),
                    session=1,
                    boot_id="ab" * 16,
                    software="1.0.0",
                    tasks=("hands",),
                    models={"hands": "f" * 64},
                    slots=SLOTS,
                    sent_ms=1,
                )
            )

    def end(self) -> None:
        """The connection broke: dial again when the backoff allows it."""
        self._connection += 1
        self._headset.on_ready(False, "the session was reset")
        self._agenda.at(self._agenda.now_ns + self._backoff.next_ns(), self._dial)

    def _dial(self) -> None:
        now_ns = self._agenda.now_ns
        if self._link.is_cut(now_ns) or self._broker.passes_ns(now_ns) is None:
            self._agenda.at(now_ns + self._backoff.next_ns() + MS, self._dial)
            return
        self._backoff.reset()
        self._connect()

    def worker_changed(self) -> None:
        """The broker tells at once that a worker's connection broke, or that it is back."""
        if self._broker.passes_ns(self._agenda.now_ns) is not None:
            self._down(ECHO_BYTES, self._tell_presence)

    def _check(self) -> None:
        now_ns = self._agenda.now_ns
        verdict = self._pulse.verdict(now_ns=now_ns)
        if verdict is Verdict.DEAD:
            self._pulse.connected(now_ns=now_ns)
            self.end()
        else:
            self._headset.on_ready(verdict is Verdict.ALIVE, "the link is suspect")
        if self._pulse.echo_due(now_ns=now_ns, active=True):
            seq = self._pulse.echo_sent(now_ns=now_ns)
            self._up(ECHO_BYTES, lambda: self._down(ECHO_BYTES, lambda: self._returned(seq)))
        self._agenda.at(now_ns + CHECK_NS, self._check)

    def _returned(self, seq: int) -> None:
        self._pulse.echo_returned(seq, now_ns=self._agenda.now_ns)
