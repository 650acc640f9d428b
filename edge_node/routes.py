"""Pure core: what one headset knows of every worker it has spoken to: one ``Route`` each, oldest out.

Pictures, parts and pings are told apart, because a worker needs another time for each. Times are passed in.
"""

from collections.abc import Iterable
from functools import lru_cache

from edge_node.decide import Path, Rung
from edge_node.estimates.clock import Legs
from edge_node.estimates.forecast import Forecast
from edge_node.estimates.reply_sample import ReplySample
from edge_node.estimates.route import Route
from edge_node.estimates.work import PING
from edge_node.jobs import Engine
from edge_node.picture_sizes import FIRST_QUALITY, PictureSizes
from edge_node.replies import RemoteReply
from schemas.messages import Task, Timing

NS_PER_US = 1000
PART_HEAD_BYTES = 200  # of a message, beside its tensors
WORKERS = 64
PICTURE = Path.OFFLOAD.value


class Routes:
    """All workers of one headset."""

    def __init__(self, *, limit: int = WORKERS) -> None:
        self._limit = limit
        self._of: dict[str, Route] = {}
        self._sizes = PictureSizes()
        self._quality = FIRST_QUALITY  # of the newest picture
        self._part_bytes: dict[int, int] = {}  # of live tensors at each placement, as many as the last time

    def of(self, worker: str) -> Route:
        """What is known of a worker; begins with nothing."""
        known = self._of.get(worker)
        if known is not None:
            return known
        if len(self._of) >= self._limit:
            del self._of[next(iter(self._of))]
        self._of[worker] = Route()
        return self._of[worker]

    def picture_bytes(self, quality: int) -> int:
        """About what the next picture takes at this JPEG quality."""
        return self._sizes.expected_bytes(quality)

    def rtt_ns(self, worker: str) -> int | None:
        """The newest transport round trip to a worker; None where there is none."""
        route = self._of.get(worker)
        return None if route is None else route.rtt.last_ns

    def changes(self, worker: str) -> int:
        """How often the way to a worker became another one."""
        route = self._of.get(worker)
        return 0 if route is None else route.changes

    def legs(self, worker: str) -> Legs | None:
        """Where the newest reply of a worker spent its time; None where no reply told."""
        route = self._of.get(worker)
        return None if route is None else route.legs

    def forecast(self, worker: str, *, now_ns: int) -> Forecast:
        """What to expect of a picture as large as the last one, sent now."""
        return self.rungs(worker, (self._quality,), now_ns=now_ns)[0].forecast

    def rungs(self, worker: str, qualities: Iterable[int], *, now_ns: int) -> tuple[Rung, ...]:
        """What to expect of the next picture at each of these JPEG qualities, sent now."""
        route, way = self.of(worker), PICTURE
        rungs = []
        for quality in qualities:
            payload_bytes = self._sizes.expected_bytes(quality)
            forecast = route.forecast(payload_bytes=payload_bytes, way=way, now_ns=now_ns)
            rungs.append(
                Rung(
                    quality=quality,
                    payload_bytes=payload_bytes,
                    forecast=forecast,
                    worker=worker,
                )
            )
        return tuple(rungs)

    def part_bytes(self, engine: Engine) -> int:
        """About what the live tensors of the next frame take at this engine's cut."""
        known = self._part_bytes.get(engine.cut)
        if known is not None:
            return known
        return 0 if engine.parts is None else engine.parts.up_bytes + PART_HEAD_BYTES

    def part_forecast(self, worker: str, cut: int, *, payload_bytes: int, now_ns: int) -> Forecast:
        """What to expect of so many bytes of live tensors at this cut, sent now."""
        return self.of(worker).forecast(payload_bytes=payload_bytes, way=_split_way(cut), now_ns=now_ns)

    def picture_left(
        self,
        worker: str,
        frame_id: int,
        *,
        payload_bytes: int,
        quality: int = FIRST_QUALITY,
        now_ns: int,
    ) -> None:
        """A whole picture is on its way."""
        self._quality = quality
        self._sizes.sent(payload_bytes, quality=quality)
        way = PICTURE
        self.of(worker).on_sent(frame_id, payload_bytes=payload_bytes, way=way, now_ns=now_ns)

    def part_left(
        self, worker: str, frame_id: int, engine: Engine, *, payload_bytes: int, now_ns: int
    ) -> None:
        """The live tensors of a frame are on their way."""
        self._part_bytes[engine.cut] = payload_bytes
        way = _split_way(engine.cut)
        self.of(worker).on_sent(frame_id, payload_bytes=payload_bytes, way=way, now_ns=now_ns)

    def ping_left(self, worker: str, ping_id: int, *, payload_bytes: int, now_ns: int) -> None:
        """A probe is on its way."""
        self.of(worker).on_sent(ping_id, payload_bytes=payload_bytes, way=PING, now_ns=now_ns)

    def hear(self, reply: RemoteReply, *, replaced: bool = False, now_ns: int) -> None:
        """A worker answered or refused; one of a pool teaches what is to be expected of the pool.

        ``replaced``: it refused because a newer request of ours took the place.
        """
        if reply.timing is None:
            return
        route = self.of(reply.asked or reply.worker)
        sample = _sample(reply, reply.timing)
        if reply.refusal:
            route.on_refusal(sample, reason=reply.refusal, replaced=replaced, now_ns=now_ns)
        else:
            route.on_reply(sample, now_ns=now_ns)

    def on_load(self, worker: str, *, queue_ns: int, run_ns: int, now_ns: int) -> None:
        """A worker told everybody how long a request would wait and run; of one never spoken to nothing is kept."""
        if worker in self._of:
            self._of[worker].on_load(queue_ns, run_ns=run_ns, now_ns=now_ns)

    def lose(self, worker: str, request_id: int, *, ping: bool = False, now_ns: int) -> None:
        """A reply counts as missing."""
        self.of(worker).on_loss(request_id, ping=ping, now_ns=now_ns)


@lru_cache(maxsize=64)
def _split_way(cut: int) -> str:
    """The worker's part is another one at every cut."""
    return f"{Path.SPLIT.value} {cut}"


def _sample(reply: RemoteReply, timing: Timing) -> ReplySample:
    way = PICTURE if reply.wanted is None else _split_way(reply.wanted.placement_id)
    if reply.task is Task.PING:
        way = PING
    return ReplySample(
        frame_id=reply.frame_id,
        payload_bytes=reply.payload_bytes,
        result_bytes=reply.result_bytes,
        sent_ns=reply.sent_ns,
        heard_ns=reply.received_ns,
        queue_ns=timing.queue_us * NS_PER_US,
        decode_ns=timing.decode_us * NS_PER_US,
        run_ns=timing.run_us * NS_PER_US,
        way=way,
        worker_received_ns=timing.received_ns,
        worker_replied_ns=reply.replied_ns,
    )
