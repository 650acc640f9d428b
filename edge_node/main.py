"""Composition root of a headset process: builds every part, runs the frame loop, takes it all down again.

The only file of this room that reads clocks and randomness, makes sessions and starts the threads: the
frame loop on the calling thread, the reactor, the local slot, the event writer and the updater.
"""

import random
import secrets
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import cv2

from broker.external import check_login
from broker.reactor import Reactor
from broker.road import Road, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from edge_node.agent import Identity, Later
from edge_node.device_class import DEVICE_CLASSES
from edge_node.engines import EngineMaker
from edge_node.frames import Source, SourcePlace
from edge_node.headset import Headset, Parts
from edge_node.long_lived import set_aside
from edge_node.recording import Recording
from edge_node.settings import NodeSettings
from edge_node.sources import open_source
from edge_node.state_lock import held
from edge_node.thread_priority import prompt_thread, stand_beside
from inference.runtimes.registry import open_runtime
from inference.tasks.hands import HandsConfig
from schemas.topics import topic

# Threads hold the interpreter for whole milliseconds otherwise, and frames wait for it.
SWITCH_INTERVAL_S = 0.0005
RUNTIME = "litert"
RING_SPREAD = 10_007  # a prime, so that headsets start far apart in a shared ring


@dataclass(frozen=True, slots=True, kw_only=True)
class Roads:
    """The two sessions of a node."""

    control: Road
    data: Road


def run_node(settings: NodeSettings, *, on_ready: Callable[[Headset], None]) -> dict[str, object]:
    """Run one headset until it is done or told to stop; returns its summary.

    ``on_ready`` gets the headset before its first frame, to stop it from a signal handler.

    Raises:
        EdgeError: a setting, a source or a folder that cannot be used.
        DuplicateError: another process with this id is online.
        BrokerRefused: the broker does not let this headset in.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    cv2.setNumThreads(1)
    for url in dict.fromkeys((settings.broker_url, settings.data_url or settings.broker_url)):
        check_login(url, username=settings.username, password=settings.password, protocol=settings.protocol)
    with held(settings.state):
        return _run_held(settings, on_ready=on_ready)


def _run_held(settings: NodeSettings, *, on_ready: Callable[[Headset], None]) -> dict[str, object]:
    runtime = open_runtime(RUNTIME)
    maker = EngineMaker(
        runtime,
        models=settings.models,
        config=HandsConfig(max_hands=settings.max_hands),
        variant=settings.variant,
    )
    factory = maker.factory()
    source = open_source(settings.source, _place(settings))
    try:
        with Reactor(name=settings.device) as reactor:
            reactor.call_soon(stand_beside)
            identity = _identity(settings, runtimes={runtime.name: runtime.version})
            headset = Headset(
                settings,
                identity=identity,
                parts=Parts(
                    source=source,
                    maker=maker,
                    factory=factory,
                    clock_ns=time.monotonic_ns,
                    wall_ms=lambda: time.time_ns() // 1_000_000,
                    rng=random.Random(settings.seed ^ zlib.crc32(settings.device.encode())),  # noqa: S311 - draws durations and jitter
                    # the system's randomness would let another thread run in the middle of a frame
                    random_bytes=random.Random(secrets.randbits(64)).randbytes,  # noqa: S311 - names are no secrets
                    runtime=runtime.name,
                ),
            )
            roads = _open_roads(settings, identity, headset, reactor=reactor)
            headset.open(control=roads.control, data=roads.data, later=_later_on(reactor))
            on_ready(headset)
            recording = _recording(settings, source)
            try:
                with set_aside(), prompt_thread() as priority:
                    summary = headset.run() | {"frame_thread": priority.value}
            finally:
                headset.close()
        if recording is not None:
            recording.finish()
        return summary
    finally:
        source.close()


def _later_on(reactor: Reactor) -> Later:
    """Timers of the reactor, from any thread."""

    def begin(delay_s: float, call: Callable[[], None]) -> None:
        reactor.call_later(delay_s, call)

    return lambda delay_s, call: reactor.call_soon(partial(begin, delay_s, call))


def _recording(settings: NodeSettings, source: Source) -> Recording | None:
    if settings.record is None or settings.event_file is None:
        return None
    return Recording(source, events=settings.event_file, out=settings.record, fps=settings.fps)


def _place(settings: NodeSettings) -> SourcePlace:
    spread = zlib.crc32(settings.device.encode()) % RING_SPREAD
    offset = spread if settings.offset is None else settings.offset
    return SourcePlace(state=settings.state, fps=settings.fps, offset=offset, seed=settings.seed)


def _identity(settings: NodeSettings, *, runtimes: dict[str, str]) -> Identity:
    return Identity(
        site=settings.site,
        device=settings.device,
        boot_id=secrets.token_bytes(16),
        device_class=settings.device_class,
        software=metadata.version("headway"),
        simulated=DEVICE_CLASSES[settings.device_class].simulated,
        runtimes=runtimes,
    )


def _open_roads(settings: NodeSettings, identity: Identity, headset: Headset, *, reactor: Reactor) -> Roads:
    control = Session(
        _session_config(settings, identity, traffic=Traffic.CONTROL),
        reactor=reactor,
        birth=headset.agent.birth,
        session_counter=_counter(settings.state),
    )
    data = Session(_session_config(settings, identity, traffic=Traffic.DATA), reactor=reactor)
    return Roads(control=control, data=data)


def _counter(state: Path) -> Path:
    return state / "session"


def _session_config(settings: NodeSettings, identity: Identity, *, traffic: Traffic) -> SessionConfig:
    url = settings.broker_url if traffic is Traffic.CONTROL else settings.data_url or settings.broker_url
    return SessionConfig(
        url=url,
        # the boot stands in the id: two processes of one headset must not throw each other out for ever
        client_id=f"{settings.device}-{traffic.value[0]}-{identity.boot_id.hex()[:8]}",
        echo_topic=topic("device-echo", site=settings.site, device=settings.device, traffic=traffic.value),
        traffic=traffic,
        username=settings.username,
        password=settings.password,
        protocol=settings.protocol,
    )
