"""Pure core: what a headset knows of the world outside while it decides about frames.

Keeps the chosen worker, the round trips, the probes that are out, and whether the session can be trusted.
Sends through the port it was given; times are passed in.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from edge_node.decide import PartView, Policy, Rung
from edge_node.departures import Departures
from edge_node.device_class import Thermal
from edge_node.estimates.clock import Legs
from edge_node.flight import Flight
from edge_node.frames import Captured
from edge_node.jobs import Engine
from edge_node.offload import FrameOut
from edge_node.probes import Probes
from edge_node.proof_asks import ProofAsks, part_wanted
from edge_node.replies import PartOut, RemoteReply
from edge_node.routes import Routes
from edge_node.vitals import Vitals
from edge_node.workers import AUTO, REST_NS, WorkerBook
from inference.split.part_payload import PartPayload
from inference.tasks.roi import Roi
from schemas.documents import Load, SplitConfig
from schemas.messages import Task

NS_PER_US, NS_PER_MS = 1_000, 1_000_000
STAYING = frozenset({"local"})  # policies under which no frame leaves, so that nobody asks what would be
WEIGHING = frozenset({"deadline"})  # policies that weigh several workers


class Uplink(Protocol):
    """What carries frames and pings: ``offload.Offloader`` or a stand-in."""

    def send_frame(self, out: FrameOut, *, worker: str) -> int:
        """Send a frame; its bytes, 0 where it could not be put on the way."""

    def send_part(self, out: PartOut, *, worker: str) -> int:
        """Send the live tensors of a frame, or ask for a placement; the bytes, 0 where it could not be put on the way."""

    def send_ping(self, ping_id: int, *, worker: str, budget_ns: int) -> int:
        """Send a probe; its bytes, 0 where it could not be put on the way."""


class Remote:
    """The outside as one headset sees it."""

    def __init__(self, uplink: Uplink, *, workers: WorkerBook) -> None:
        self._uplink = uplink
        self.workers = workers
        self.routes = Routes()
        self._departures = Departures()
        self.ready = False
        self.thermal = Thermal.NOMINAL
        self.vitals: Vitals | None = None  # until they were read
        self.refusals: Counter[str] = Counter()
        self.reply_timeout_ns = 0  # after how long a reply counts as missing; set by ``use``
        self.replaced = 0  # requests that gave their place at a worker to a newer one
        self._config = SplitConfig()
        self._qualities = qualities_of(self._config)
        self._stays = self._weighs_workers = False
        self._probes = Probes(uplink, workers=workers, routes=self.routes)
        self._probed: tuple[bool, int | None] | None = None  # whether probes were wanted, and when one is due
        self._asks = ProofAsks(uplink, workers=workers)

    def use(self, config: SplitConfig, policy: Policy) -> None:
        """Choose, probe and wait by this configuration."""
        del policy
        self._config = config
        self._qualities = qualities_of(config)
        self.reply_timeout_ns = round(config.reply_timeout_ms * NS_PER_MS)
        self._stays = config.policy in STAYING
        self._weighs_workers = config.policy in WEIGHING and config.worker == AUTO
        self._asks.use()
        self._probed = None
        self._probes.use(config)

    @property
    def pings_lost(self) -> int:
        """Probes whose answers did not come."""
        return self._probes.lost

    @property
    def pinged_bytes(self) -> int:
        """Bytes that all probes took."""
        return self._probes.sent_bytes

    @property
    def picture_bytes(self) -> int:
        """About what the next picture would take."""
        return self.routes.picture_bytes(self._config.jpeg_quality)

    def worker(self, *, now_ns: int) -> str | None:
        """The worker to ask now."""
        return self.workers.choose(self._config.worker, now_ns=now_ns)

    def on_load(self, load: Load, *, now_ns: int) -> None:
        """A worker told everybody how busy it is."""
        queue_ns = self.workers.on_load(load)
        if queue_ns is not None:
            run_ns = load.run_p50_us * NS_PER_US
            self.routes.on_load(load.worker, queue_ns=queue_ns, run_ns=run_ns, now_ns=now_ns)

    def rest(self, worker: str | None, *, now_ns: int) -> None:
        """A worker did not answer: prefer others for a while."""
        self.workers.rest(worker, now_ns=now_ns)

    def rungs(self, worker: str | None, *, now_ns: int) -> tuple[Rung, ...]:
        """What to expect of pictures sent now, to this worker first, then to others the policy may weigh; none without.

        Of one worker the best quality comes first.
        """
        if worker is None or self._stays:
            return ()
        rungs = self.routes.rungs(worker, self._qualities, now_ns=now_ns)
        if self._weighs_workers and self.workers.several:
            for other in self._others(now_ns=now_ns):
                rungs += self.routes.rungs(other, self._qualities, now_ns=now_ns)
        return rungs

    def _others(self, *, now_ns: int) -> tuple[str, ...]:
        """Workers that frames could go to instead of the one they go to."""
        return self.workers.to_weigh(self._config.worker, now_ns=now_ns)[1:]

    def rtt_ns(self, worker: str | None) -> int | None:
        """The newest transport round trip to a worker; None where there is none."""
        return None if worker is None else self.routes.rtt_ns(worker)

    def legs(self, worker: str | None) -> Legs | None:
        """Where the newest reply of a worker spent its time; None where no reply told."""
        return None if worker is None else self.routes.legs(worker)

    def lose(self, flight: Flight, *, now_ns: int) -> None:
        """The reply to a frame counts as missing: its worker rests."""
        if flight.worker is not None:
            self.routes.lose(flight.worker, flight.frame_id, now_ns=now_ns)
        self.rest(flight.worker, now_ns=now_ns)

    def part(self, engine: Engine, *, leads: bool = True, now_ns: int) -> PartView | None:
        """Who can run the worker's part of this engine's placement; None where it was not cut.

        ``leads``: whoever that is shall be asked for everything else as well.
        """
        wanted = part_wanted(engine)
        if wanted is None:
            return None
        return self.workers.choose_part(self._config.worker, wanted, leads=leads, now_ns=now_ns)

    def may_ask(self, *, others_out: bool, now_ns: int) -> bool:
        """Whether a proof may be asked for now; ``others_out``: replies to frames are awaited."""
        return self._asks.is_due(now_ns=now_ns, others_out=others_out)

    def ask(self, flight: Flight, unproved: Sequence[tuple[Engine, str]], *, now_ns: int) -> None:
        """Ask for the proof of one of these engines' placements; each comes with whom to ask."""
        if self._asks.send(flight, unproved, now_ns=now_ns):
            self._departures.note(now_ns)  # it takes a place in line like any other

    def send_part(
        self, flight: Flight, engine: Engine, *, live: PartPayload, worker: str, now_ns: int
    ) -> bool:
        """Send a frame's live tensors to a worker."""
        wanted = part_wanted(engine)
        if wanted is None:
            return False
        out = PartOut(
            frame_id=flight.frame_id,
            wanted=wanted,
            live=live,
            capture_ns=flight.scheduled_ns,
            deadline_ns=flight.deadline_ns,
            trace_id=flight.trace_id,
        )
        payload_bytes = self._uplink.send_part(out, worker=worker)
        if payload_bytes:
            self._departures.note(now_ns)
            flight.payload_bytes = payload_bytes
            self.routes.part_left(worker, flight.frame_id, engine, payload_bytes=payload_bytes, now_ns=now_ns)
        return payload_bytes > 0

    def send(
        self,
        flight: Flight,
        captured: Captured,
        *,
        worker: str,
        rois: tuple[Roi, ...],
        quality: int | None = None,
        now_ns: int,
    ) -> bool:
        """Send a frame to a worker, as JPEG of this quality or the configured one; not while it asked for a pause."""
        if not self.workers.may_ask(worker, now_ns=now_ns):
            return False
        quality = quality or self._config.jpeg_quality
        payload_bytes = self._uplink.send_frame(
            FrameOut(
                frame_id=flight.frame_id,
                image=captured.image,
                rois=rois,
                capture_ns=flight.scheduled_ns,
                deadline_ns=flight.deadline_ns,
                trace_id=flight.trace_id,
                quality=quality,
                width_px=self._config.frame_width_px,
            ),
            worker=worker,
        )
        if payload_bytes:
            self._departures.note(now_ns)
            self.routes.picture_left(
                worker, flight.frame_id, payload_bytes=payload_bytes, quality=quality, now_ns=now_ns
            )
        flight.payload_bytes = payload_bytes
        return payload_bytes > 0

    def note(self, reply: RemoteReply, *, policy: Policy, now_ns: int) -> bool:
        """Learn from a reply: its round trip, or that the worker refused.

        Gives whether a newer request of ours took the place of this one: that is no word against the worker.
        """
        probe = reply.task is Task.PING
        if probe:
            self._probed = None
            if not self._probes.heard(reply.frame_id):
                return False  # it was counted as lost already
        if reply.ask:
            self._asks.hear(reply, now_ns=now_ns)
            return False
        replaced = not probe and self._departures.was_replaced(reply)
        self.routes.hear(reply, replaced=replaced, now_ns=now_ns)
        self.replaced += replaced
        if reply.refusal and not replaced:
            self._note_refusal(reply, now_ns=now_ns)
            policy.on_loss(f"the worker refused: {reply.refusal}")
        elif not reply.refusal:
            policy.on_rtt(reply.rtt_ns, probe=probe)
        return replaced

    def _note_refusal(self, reply: RemoteReply, *, now_ns: int) -> None:
        """A worker that says when to ask again knows best; any other rests while there is somebody else."""
        self.refusals[reply.refusal] += 1
        if reply.retry_after_ms:
            self.workers.pause(reply.worker, now_ns=now_ns, for_ns=reply.retry_after_ms * NS_PER_MS)
        else:
            self.workers.rest(reply.worker, now_ns=now_ns, for_ns=REST_NS)

    def probe(self, policy: Policy, *, now_ns: int) -> int | None:
        """Count lost probes and send those that are due; says when it has something to do again."""
        wanted, several = policy.wants_probes(), self._weighs_workers and self.workers.several
        if self._probed is not None and not several:
            was_wanted, due_ns = self._probed
            if wanted is was_wanted and (due_ns is None or now_ns < due_ns):
                return due_ns
        others: tuple[str, ...] = ()
        if several and self._probes.may_ask_others(now_ns):
            others = self._others(now_ns=now_ns)
        due_ns = self._probes.tick(policy, ready=self.ready, others=others, now_ns=now_ns)
        self._probed = (wanted, due_ns)
        return due_ns


def qualities_of(config: SplitConfig) -> tuple[int, ...]:
    """JPEG qualities that frames may leave with, the best first."""
    return (config.jpeg_quality, *sorted(config.jpeg_qualities, reverse=True))
