"""Composition root of a worker process: builds every part, keeps it open until told to stop.

The only file of this room that reads clocks and randomness, and that makes sessions. One reactor thread
drives both sessions; slots run models on their own threads.
"""

import gc
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

from broker.external import check_login
from broker.reactor import Reactor
from broker.road import RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from cloud_worker.desk import Desk
from cloud_worker.errors import WorkerConfigError, WorkerError
from cloud_worker.execute import Executor, Finish, Inline
from cloud_worker.intake import Intake, IntakeConfig, Offer
from cloud_worker.models import NULL, RUNTIME_NAMES, Kitchen, hands_kitchen, null_kitchen
from cloud_worker.presence import Identity, Presence
from cloud_worker.replier import Replier
from cloud_worker.service import Service
from cloud_worker.slots import Slots
from cloud_worker.tally import Tally
from inference.runtimes.registry import RUNTIMES, row_of
from observability.metrics import DEFAULT, Registry
from schemas.messages import Task
from schemas.topics import check_id, topic

LOAD_EVERY_S = 0.5  # the stream table allows twice a second
# Replies to all headsets share one road: a burst must not push out another headset's answer.
QUEUED_REPLIES = 4096
# Slots hold the interpreter for whole milliseconds otherwise, and frames wait at the reactor for it.
SWITCH_INTERVAL_S = 0.0005
LINGER_S = 0.25  # a goodbye and the requests that cross it take less on any road that a frame's budget allows


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """One worker process."""

    worker: str
    site: str
    broker_url: str
    state_dir: Path
    data_url: str | None = None  # None: the same broker carries frames
    task: str = "hands"
    runtime: str = "litert"
    models_dir: Path | None = None
    providers: tuple[str, ...] = ()
    slots: int = 1
    queue_depth: int = 1024  # headsets in line: bounds memory, time bounds the line
    variant: str = "full"
    max_hands: int = 2
    max_pixels: int = 4096 * 2160
    null_reply_bytes: int = 1024  # runtime null: size of the answer's tensor
    drain_s: float = 5.0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: Literal[5, 311] = 5  # 311 is MQTT 3.1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The parts of a running worker that ``run_worker`` and its end need."""

    service: Service
    control: Session
    data: Session
    tally: Tally
    identity: Identity


def run_worker(
    options: WorkerOptions,
    *,
    stop: threading.Event,
    announce: Callable[[dict[str, object]], None],
    connect_timeout_s: float = 15.0,
) -> dict[str, object]:
    """Serve until ``stop`` is set; returns what happened. ``announce`` is called once, when ready.

    Raises:
        WorkerConfigError: the options cannot be run.
        WorkerError: the broker did not answer in time.
        BrokerRefused: it does not let this worker in.
    """
    kitchen = make_kitchen(options)
    for url in dict.fromkeys((options.broker_url, options.data_url or options.broker_url)):
        check_login(url, username=options.username, password=options.password, protocol=options.protocol)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with Reactor(name="worker") as reactor:
        process = build(options, kitchen, reactor=reactor, registry=DEFAULT)
        process.service.open()
        finished = False
        try:
            if _await_ready(process, timeout_s=connect_timeout_s, stop=stop):
                # What lives by now lives as long as the worker: a full collection would look at all of it again, and
                # hold up every reply for tens of milliseconds.
                gc.collect()
                gc.freeze()
                announce(_introduction(process.identity, options))
            while not stop.wait(LOAD_EVERY_S):
                process.service.beat()
        finally:
            gc.unfreeze()
            if kitchen.parts is not None:
                kitchen.parts.stop()
            finished = process.service.leave(timeout_s=options.drain_s, linger_s=LINGER_S)
    return {"worker": options.worker, "drained": finished, **asdict(process.tally.snapshot())}


def make_kitchen(options: WorkerOptions) -> Kitchen:
    """Find models and engine of the options.

    Raises:
        WorkerConfigError: names the option to change.
    """
    words = {task.name.lower(): task for task in Task if task is not Task.PING}
    if options.task not in words:
        raise WorkerConfigError(f"no task {options.task!r}: choose one of {', '.join(words)}")
    if options.runtime == NULL:
        return null_kitchen((words[options.task],), reply_bytes=options.null_reply_bytes)
    if row_of(options.runtime) not in RUNTIMES:
        raise WorkerConfigError(f"no runtime {options.runtime!r}: choose one of {', '.join(RUNTIME_NAMES)}")
    if words[options.task] is not Task.HANDS:
        raise WorkerConfigError(
            f"task {options.task!r} has no models here yet: choose hands, or --runtime null"
        )
    if options.models_dir is None:
        raise WorkerConfigError("no folder of models: pass --models DIR, or --runtime null")
    return hands_kitchen(
        options.models_dir,
        runtime=options.runtime,
        variant=options.variant,
        max_hands=options.max_hands,
        max_pixels=options.max_pixels,
        clock_ns=time.perf_counter_ns,
        providers=options.providers,
        conversions=options.state_dir / "conversions",
    )


def build(options: WorkerOptions, kitchen: Kitchen, *, reactor: Reactor, registry: Registry) -> Process:
    """Wire one worker: models first, so that nobody hears of a worker that cannot answer yet."""
    identity = _identity(options, kitchen)
    presence = Presence(
        identity,
        wall_ms=lambda: time.time_ns() // 1_000_000,
        placements=kitchen.parts.placements if kitchen.parts else dict,
    )
    control_config = _session_config(options, identity, traffic=Traffic.CONTROL)
    data_config = _session_config(options, identity, traffic=Traffic.DATA)
    tally = Tally(registry)
    # nothing is offered before the desk opens, and by then the replier below exists
    finish: Finish = lambda outcome: replier.finish(outcome)  # noqa: E731, PLW0108 - bound late
    executor = _executor(options, kitchen, finish=finish)
    counter = options.state_dir / f"{options.worker}.session"
    control = Session(control_config, reactor=reactor, birth=presence.birth, session_counter=counter)
    data = Session(data_config, reactor=reactor)
    replier = Replier(
        data,
        site=options.site,
        worker=options.worker,
        tally=tally,
        clock_ns=time.monotonic_ns,
        new_span=partial(_quick_random().randbytes, 8),
    )
    service = Service(
        identity=identity,
        control=control,
        data=data,
        desk=Desk(
            replier=replier,
            executor=executor,
            tally=tally,
            clock_ns=time.monotonic_ns,
            soon=reactor.call_soon,
        ),
        executor=executor,
        presence=presence,
        tally=tally,
        later=reactor.call_later,
        rng=_quick_random(),
    )
    if kitchen.parts is not None:
        # on the reactor, where births are made: from elsewhere it could name the session before this one
        kitchen.parts.on_proved = lambda: reactor.call_soon(service.announce)
        kitchen.parts.start()
    return Process(service=service, control=control, data=data, tally=tally, identity=identity)


def _quick_random() -> random.Random:
    """For what is no secret: the system's randomness lets another thread run, and a reply would wait for its turn."""
    return random.Random(secrets.randbits(64))  # noqa: S311 - names of spans, and jitter


def _executor(options: WorkerOptions, kitchen: Kitchen, *, finish: Finish) -> Executor:
    intake = Intake(
        IntakeConfig(
            offers={
                task: Offer(
                    kinds=kinds,
                    models=frozenset({kitchen.digests[task]} if task in kitchen.digests else ()),
                    part_models=frozenset(kitchen.parts.models if kitchen.parts else ()),
                )
                for task, kinds in kitchen.kinds.items()
            },
            slots=options.slots,
            depth=options.queue_depth,
            max_pixels=options.max_pixels,
        )
    )
    if not kitchen.takes_time:
        return Inline(intake, answerers=kitchen.make_answerers(), finish=finish, clock_ns=time.monotonic_ns)
    slots = Slots(
        intake,
        count=options.slots,
        make_answerers=kitchen.make_answerers,
        finish=finish,
        clock_ns=time.monotonic_ns,
    )
    slots.start()
    return slots


def _identity(options: WorkerOptions, kitchen: Kitchen) -> Identity:
    return Identity(
        site=check_id("site", options.site),
        worker=check_id("worker", options.worker),
        boot_id=secrets.token_bytes(16),
        software=metadata.version("headway"),
        tasks=tuple(task.name.lower() for task in kitchen.kinds),
        slots=options.slots,
        models={task.name.lower(): digest.hex() for task, digest in kitchen.digests.items()},
        runtimes=kitchen.runtimes,
        kernels=kitchen.kernels,
        data_url=options.data_url,
    )


def _session_config(options: WorkerOptions, identity: Identity, *, traffic: Traffic) -> SessionConfig:
    url = options.broker_url if traffic is Traffic.CONTROL else options.data_url or options.broker_url
    return SessionConfig(
        url=url,
        # the boot stands in the id: two workers of one name must not throw each other out for ever
        client_id=f"{options.worker}-{traffic.value[0]}-{identity.boot_id.hex()[:8]}",
        echo_topic=topic("worker-echo", site=options.site, worker=options.worker, traffic=traffic.value),
        traffic=traffic,
        queue_messages=QUEUED_REPLIES if traffic is Traffic.DATA else None,
        username=options.username,
        password=options.password,
        protocol=options.protocol,
    )


def _await_ready(process: Process, *, timeout_s: float, stop: threading.Event) -> bool:
    """Wait for both roads; False where ``stop`` came first."""
    deadline_s = time.monotonic() + timeout_s
    while not stop.wait(0.01):
        waiting = [road for road in (process.control, process.data) if road.state is not RoadState.READY]
        if not waiting:
            return True
        if time.monotonic() > deadline_s:
            cause = waiting[0].last_error or "it did not return our own echo"
            raise WorkerError(
                f"the broker at {waiting[0].config.url} is not usable ({cause}): start one with "
                f"`headway broker run`, or correct {'--broker' if waiting[0] is process.control else '--data-broker'}"
            )
    return False


def _introduction(identity: Identity, options: WorkerOptions) -> dict[str, object]:
    return {
        "worker": identity.worker,
        "site": identity.site,
        "broker": options.broker_url,
        "data_broker": options.data_url or options.broker_url,
        "boot_id": identity.boot_id.hex(),
        "tasks": list(identity.tasks),
        "models": dict(identity.models),
        "runtimes": dict(identity.runtimes),
        "kernels": dict(identity.kernels),
        "slots": identity.slots,
    }
