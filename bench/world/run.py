"""Pure core: one run of the world, and what came of it in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.world.agenda import Agenda, Draws
from bench.world.headset import Headset, Seen
from bench.world.load import Load, Others
from bench.world.place import USUAL, Place
from bench.world.site import WORKER, Broker, Fault, Worker
from bench.world.way import Way
from edge_node.decide import Path
from edge_node.flight import Flight, frame_line
from edge_node.outcome import Outcome
from headway.link_model import LinkModel
from headway.link_spec import LinkSpec
from schemas.documents import SplitConfig

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
FINISH_NS = 2_500_000_000
NEXT_HEADSET = 1_000_003  # between the seeds of two headsets
HEADSET = "d-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From ``at_s`` on the link is this one, begun anew with a seed of its own, and the place that one."""

    at_s: float
    link: LinkSpec
    seed: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything that a run depends on."""

    link: LinkSpec
    config: SplitConfig
    device: str = "xr-fast"
    place: Place = USUAL
    frames: int = 3000
    seed: int = 1
    fps: float = 30.0
    faults: tuple[Fault, ...] = ()
    bad_replies: float = 0.0  # share that comes twice; half as many are unreadable
    load: Load | None = None  # other headsets at the first worker
    workers: int = 1  # behind the same broker
    changes: tuple[Change, ...] = ()
    practised_runs: int = 0  # which its headsets have behind them


def simulate(setting: Setting) -> tuple[Seen, Counter[str]]:
    """Run one headset through its frames; gives its flights, switches and what its way counted."""
    return simulate_site(setting, headsets=1)[0]


def simulate_site(setting: Setting, *, headsets: int) -> list[tuple[Seen, Counter[str]]]:
    """Run so many headsets at one worker, each behind a link of its own, evenly apart in time."""
    agenda, draws = Agenda(), Draws(setting.seed)
    broker = Broker(setting.faults)
    workers = {
        f"w-{number + 1}": Worker(
            agenda,
            draws=draws,
            faults=setting.faults if number == 0 else (),
            run_ms=setting.place.worker_run_ms,
        )
        for number in range(setting.workers)
    }
    worker = workers[WORKER]
    if setting.load is not None:
        Others(agenda, load=setting.load, worker=worker, draws=draws)
    pairs = [
        _enter(setting, agenda, broker=broker, workers=workers, number=number, phase=number / headsets)
        for number in range(headsets)
    ]
    _plan_faults(setting.faults, agenda, worker=worker, ways=[way for _, way in pairs])
    for headset, _ in pairs:
        headset.practise(runs=setting.practised_runs)
        headset.run_frames(frames=setting.frames)
    agenda.run(until_ns=round((setting.frames + 2) * NS_PER_S / setting.fps) + FINISH_NS)
    for headset, way in pairs:
        headset.journey.finish(now_ns=agenda.now_ns)
        headset.note_end()
        way.note_end()
    return [(headset.seen, way.counts) for headset, way in pairs]


def _enter(
    setting: Setting,
    agenda: Agenda,
    *,
    broker: Broker,
    workers: Mapping[str, Worker],
    number: int,
    phase: float,
) -> tuple[Headset, Way]:
    seed = setting.seed + number * NEXT_HEADSET
    draws = Draws(seed)
    link = LinkModel(setting.link, seed=seed)
    way = Way(
        agenda,
        link=link,
        broker=broker,
        workers=workers,
        draws=draws,
        twice=setting.bad_replies,
        patience_ns=round(setting.config.reply_timeout_ms * NS_PER_MS),
        name=f"d-{number + 1}",
    )
    headset = Headset(
        agenda,
        way=way,
        device=setting.device,
        config=setting.config,
        draws=draws,
        fps=setting.fps,
        host=setting.place.host,
        phase=phase,
    )
    for change in setting.changes:
        become = partial(_become, change, agenda, link=link, headset=headset, workers=workers)
        agenda.at(round(change.at_s * NS_PER_S), become)
    return headset, way


def _become(
    change: Change, agenda: Agenda, *, link: LinkModel, headset: Headset, workers: Mapping[str, Worker]
) -> None:
    link.become(change.link, now_ns=agenda.now_ns, seed=change.seed)
    headset.host = change.place.host
    for worker in workers.values():
        worker.run_ms = change.place.worker_run_ms


def _plan_faults(faults: tuple[Fault, ...], agenda: Agenda, *, worker: Worker, ways: list[Way]) -> None:
    for fault in faults:
        at_ns = round(fault.at_s * NS_PER_S)
        if fault.kind == "worker-kill":
            agenda.at(at_ns, worker.reset)
        for way in ways:
            if fault.kind == "broker-kill":
                agenda.at(at_ns, way.end)
            if fault.kind == "worker-kill":
                agenda.at(at_ns, way.worker_changed)
                agenda.at(fault.end_ns + 1, way.worker_changed)


def lines(seen: Seen) -> list[dict[str, object]]:
    """The event lines of a run, as a real headset writes them."""
    return [frame_line(flight, headset=HEADSET) for flight in seen.flights]


def summary(setting: Setting, seen: Seen, counts: Counter[str]) -> dict[str, float]:
    """A run in numbers; shares are of scheduled frames."""
    flights = seen.flights
    outcomes = Counter(flight.answer.outcome for flight in flights if flight.answer)
    latencies_ms = np.array([f.answer.latency_ns for f in flights if f.answer]) / 1e6
    ages_ms = np.array([f.answer.age_ns for f in flights if f.answer]) / 1e6
    frames = len(flights)
    found = {
        "frames": frames,
        "hit": outcomes[Outcome.FRESH_ON_TIME] / frames,
        "carried": outcomes[Outcome.CARRIED_ON_TIME] / frames,
        "unanswered": outcomes[Outcome.LATE] + outcomes[Outcome.NONE],
        "by_worker": sum(map(_is_remote, flights)) / frames,
        "local_runs": seen.counts["local_runs"] / frames,
        "switches_per_min": len(seen.switches) / (frames / setting.fps / 60),
        "uplink_bytes_per_s": counts["uplink_bytes"] / (frames / setting.fps),
        "age_p50_ms": float(np.percentile(ages_ms, 50)),
    }
    for percent in (50, 95, 99, 99.9):
        found[f"p{percent:g}_ms"] = float(np.percentile(latencies_ms, percent))
    return {name: round(value, 5) for name, value in found.items()}


def _is_remote(flight: Flight) -> bool:
    answer = flight.answer
    return answer is not None and answer.path is Path.OFFLOAD and answer.outcome is Outcome.FRESH_ON_TIME
