"""A whole headset on a loopback broker, with a worker and a manager that follow a script."""

import base64
import hashlib
import json
import random
import secrets
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from edge_bench import hands_at, worker_presence

from broker.loopback import LoopbackBroker
from broker.reactor import Reactor
from broker.road import Traffic
from edge_node.agent import Identity
from edge_node.device_class import Segment
from edge_node.errors import EdgeError
from edge_node.frames import Captured
from edge_node.headset import Headset, Parts
from edge_node.jobs import Engine
from edge_node.settings import NodeSettings
from inference.tasks.hands import HandsResult
from schemas.codec import Encoder, decode
from schemas.documents import (
    Ack,
    ChunkRequest,
    Desired,
    PackageRef,
    Reported,
    SplitConfig,
    canonical_bytes,
    parse_document,
)
from schemas.messages import HandResult, Header, Refusal, RefusalReason, Result, RoiBox, Task, Timing
from schemas.topics import CHUNK_BYTES, topic, topic_filter

SITE, DEVICE, WORKER = "demo", "hs-1", "w-1"
IMAGE = np.full((36, 64, 3), 128, dtype=np.uint8)


def until(condition, *, timeout_s=15.0, what="the condition"):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come true within {timeout_s} s")


class Still:
    """A source that shows one image for ever."""

    outages = 0

    def capture(self, frame_id):
        return Captured(image=IMAGE, ring_index=0)

    def close(self):
        pass


class Seer:
    """A perceiver that answers one hand after ``run_s``."""

    def __init__(self, run_s=0.002):
        self.run_s = run_s

    def run(self, image_rgb, *, rois=()):
        time.sleep(self.run_s)
        return hands_at(0.5)


class Blind:
    """A perceiver that never sees a hand."""

    def run(self, image_rgb, *, rois=()):
        return HandsResult(palm_ran=True)


def engine(task=None, *, label="factory"):
    return Engine(task=task or Seer(), label=label, digest="0" * 64, landmark=Segment.LANDMARK_FLOAT)


class Maker:
    """Makes stand-in engines for any package."""

    def __init__(self):
        self.made = []

    def engine(self, landmark, *, label, quantisation):
        self.made.append(label)
        return engine(label=label)

    def fitted(self, made, config):
        return made


class Worker:
    """Answers frames as ``script(frame_id)`` says: a word, or bytes to send."""

    def __init__(self, road, script=lambda _frame: "ok", *, name=WORKER):
        self.road, self.script, self.name = road, script, name
        self.encoder = Encoder()
        self.heard = Counter()
        self.requests = []
        road.subscribe(topic_filter("infer", site=SITE, worker=name), self.receive)

    def receive(self, delivery):
        message = decode(bytes(delivery.payload))
        task = message.header.task
        self.heard[task] += 1
        if task is Task.PING:
            self.send(self.result(message.header, hands=False), task="ping")
            return
        self.requests.append(message)
        ACTS[self.script(message.header.frame_id)](self, message)

    def result(self, header, *, hands=True, boot_id=None):
        echo = Header(
            boot_id=boot_id or header.boot_id,
            task=header.task,
            frame_id=header.frame_id,
            capture_ns=header.capture_ns,
            send_ns=time.monotonic_ns(),
            budget_us=0,
            model_digest=b"\x07" * 32,
            trace_id=header.trace_id,
        )
        box = RoiBox(center_x=0.5, center_y=0.5, width=0.4, height=0.4, rotation_rad=0.0)
        found = HandResult(
            landmarks=np.full((21, 3), 0.25, dtype=np.float32), presence=0.9, handedness=0.2, roi=box
        )
        timing = Timing(received_ns=time.monotonic_ns(), run_us=1)
        return Result(
            header=echo, timing=timing, hands=(found,) if hands else (), next_rois=(box,) if hands else ()
        )

    def send(self, message, *, task="hands"):
        payload = message if isinstance(message, bytes) else self.encoder.encode(message)
        self.road.publish(topic("result", site=SITE, device=DEVICE, worker=self.name, task=task), payload)

    def ok(self, message):
        self.send(self.result(message.header))

    def silent(self, message):
        pass

    def twice(self, message):
        self.ok(message)
        self.ok(message)

    def garbled(self, message):
        self.send(b"\x00" * 40)

    def other_boot(self, message):
        self.send(self.result(message.header, boot_id=b"\x01" * 16))

    def refuse(self, message):
        result = self.result(message.header)
        self.send(
            Refusal(header=result.header, timing=result.timing, reason=RefusalReason.BUSY, detail="full")
        )

    def late(self, message):
        self.road._reactor.call_later(0.15, lambda: self.ok(message))


ACTS = {
    name: getattr(Worker, name)
    for name in ("ok", "silent", "twice", "garbled", "other_boot", "refuse", "late")
}


class Manager:
    """Offers packages, answers chunk requests, keeps every report."""

    def __init__(self, road):
        self.road = road
        self.files = {}
        self.reports, self.events = [], []
        self.damage = {}  # (digest, n) -> how many copies to damage
        self.ignore = Counter()  # digest -> how many requests to ignore
        self.sent = Counter()
        self.acks = True
        self.presence = []
        road.subscribe(topic_filter("device-reported", site=SITE), self.on_report, qos=1)
        road.subscribe(topic_filter("device-chunkreq", site=SITE), self.on_request, qos=1)
        road.subscribe(topic_filter("device-event", site=SITE), self.events.append, qos=1)
        road.subscribe(
            topic_filter("device-presence", site=SITE),
            lambda d: self.presence.append(json.loads(bytes(d.payload))),
        )

    def publish_package(self, folder: Path) -> PackageRef:
        content = (folder / "manifest.json").read_bytes()
        manifest = json.loads(content)
        digest = hashlib.sha256(content).hexdigest()
        self.files[digest] = content
        for file in manifest["files"]:
            self.files[file["sha256"]] = (folder / file["name"]).read_bytes()
        return PackageRef(
            digest=digest,
            manifest_bytes=len(content),
            name=manifest["name"],
            version=manifest["version"],
            model_digest=manifest["model_digest"],
        )

    def desire(self, *, version, package=None, split=None, epoch=1, deployment="dep-1", lease_ms=None):
        document = Desired(
            device=DEVICE,
            epoch=epoch,
            version=version,
            deployment=deployment,
            package=package,
            split_config=split,
            start_before_ms=lease_ms,
            sent_ms=0,
        )
        self.say("device-desired", document, retain=True)

    def say(self, name, document, *, retain=False):
        self.road.publish(
            topic(name, site=SITE, device=DEVICE), canonical_bytes(document), qos=1, retain=retain
        )

    def on_report(self, delivery):
        report = parse_document(Reported, delivery.payload)
        self.reports.append(report)
        if self.acks and report.deployment and report.state.value in ENDS:
            self.say("device-ack", Ack(deployment=report.deployment, boot_id=report.boot_id, seq=report.seq))

    def on_request(self, delivery):
        request = parse_document(ChunkRequest, delivery.payload)
        if self.ignore[request.digest] > 0:
            self.ignore[request.digest] -= 1
            return
        bits = base64.b64decode(request.missing)
        wanted = [n for n in range(request.chunks) if bits[n // 8] >> (n % 8) & 1]
        for n in wanted[: request.window]:
            data = bytearray(self.files[request.digest][n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES])
            if self.damage.get((request.digest, n), 0) > 0:
                self.damage[request.digest, n] -= 1
                data[len(data) // 2] ^= 0xFF
            self.sent[request.digest, n] += 1
            where = topic("device-chunk", site=SITE, device=DEVICE, digest=request.digest, n=n)
            self.road.publish(where, bytes(data), qos=1)

    def states(self, deployment="dep-1"):
        names = [report.state.value for report in self.reports if report.deployment == deployment]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def ended(self, deployment="dep-1"):
        return next((r for r in self.reports if r.deployment == deployment and r.state.value in ENDS), None)


ENDS = {"committed", "failed", "expired", "superseded", "rejected", "cancelled", "rolled_back"}


class Site:
    """One loopback broker and what runs on it."""

    def __init__(self, folder):
        self.folder = folder
        self.reactor = Reactor(name="test")
        self.broker = LoopbackBroker(reactor=self.reactor)
        self.maker = Maker()
        self.headset = None
        self.result = None
        self.error = None

    def start(self, *, factory=None, script=lambda _frame: "ok", with_worker=True, **settings):
        self.worker = self.manager = None
        self.manager = Manager(self.broker.road("manager"))
        if with_worker:
            self.worker = self.add_worker(WORKER, script)
        self.boot(factory=factory, **settings)

    def add_worker(self, name, script=lambda _frame: "ok"):
        """One more worker, which is online."""
        worker = Worker(self.broker.road(name, traffic=Traffic.DATA), script, name=name)
        self.broker.road(f"{name}-control").publish(
            topic("worker-presence", site=SITE, worker=name),
            canonical_bytes(worker_presence(name)),
            qos=1,
            retain=True,
        )
        return worker

    def boot(self, *, factory=None, split=None, seconds=None, fps=60.0, source=None):
        settings = NodeSettings(
            device=DEVICE,
            site=SITE,
            broker_url="mqtt://127.0.0.1:1",
            source="none",
            state=self.folder / "state",
            models=self.folder,
            split=split or SplitConfig(policy="local"),
            seconds=seconds,
            fps=fps,
            events=self.folder / "events.jsonl",
        )
        self.identity = Identity(
            site=SITE,
            device=DEVICE,
            boot_id=secrets.token_bytes(16),
            device_class="host",
            software="1",
            simulated=False,
        )
        parts = Parts(
            source=source or Still(),
            maker=self.maker,
            factory=factory or engine(),
            clock_ns=time.monotonic_ns,
            wall_ms=lambda: time.time_ns() // 1_000_000,
            rng=random.Random(1),
            random_bytes=secrets.token_bytes,
            runtime="litert",
        )
        self.headset = Headset(settings, identity=self.identity, parts=parts)
        control = self.broker.road(f"c{self.identity.boot_id.hex()}", birth=self.headset.agent.birth)
        self.data_id = f"d{self.identity.boot_id.hex()}"
        data = self.broker.road(self.data_id, traffic=Traffic.DATA)
        self.headset.open(control=control, data=data, later=self._later)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _later(self, delay_s, call):
        self.reactor.call_soon(lambda: self.reactor.call_later(delay_s, call))

    def _run(self):
        try:
            self.result = self.headset.run()
        except EdgeError as error:
            self.error = error

    def join(self, timeout_s=30):
        self.thread.join(timeout_s)
        assert not self.thread.is_alive(), "the headset did not end"

    def stop(self):
        """End the headset; returns its summary."""
        if self.headset is not None:
            self.headset.stop()
            self.join()
            self.headset.close()
            self.headset = None
        return self.result

    def lines(self, kind="frame"):
        text = (self.folder / "events.jsonl").read_text()
        return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


@contextmanager
def site(folder):
    here = Site(folder)
    with here.reactor:
        try:
            yield here
        finally:
            here.stop()
