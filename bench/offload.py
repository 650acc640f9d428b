"""What the road costs: ``python -m bench.offload --seconds 240 --out bench/results/offload.json`` (``make bench``).

headset -> broker -> worker -> headset, four paths interleaved frame by frame, so that whatever disturbs the
machine disturbs all: the floor (raw TCP through a relay process), bare paho, our session, and our session with
codec against the real null worker. Paced: each path at 30 fps, one after the other within a frame's time.
Fast: one request in flight, the next at once.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from bench.answer import REPLY_BYTES
from bench.machine import machine_facts
from bench.paths import Way, open_paths, random_payload
from broker.mosquitto import EmbeddedMosquitto, find_mosquitto
from headway.setup import cache_dir
from observability import log

KB = 1000
SIZES_KB = (20, 50, 150, 900)
MODES = ("paced", "fast")
PACKAGES = ("headway", "paho-mqtt", "flatbuffers", "numpy")
FRAME_S = 1 / 30
PACED_SHARE = 0.75  # of the time; fast needs less for as many samples
WARM_UP = 15  # round trips of each path that are not counted
WORST_ADDED_MS = 1.0
WORST_AGAINST_PAHO = 1.1
AIMED_KB = (50, 150)

Samples = dict[str, list[int]]


def measure(
    ways: dict[str, Way], payload: bytes, *, seconds: float, paced: bool, tick: Progress, task: TaskID
) -> tuple[Samples, dict[str, int]]:
    """Round trips in ns of each way, and how many got no reply."""
    for way in ways.values():
        for _ in range(WARM_UP):
            way.round_trip_ns(payload)
    samples: Samples = {name: [] for name in ways}
    lost = dict.fromkeys(ways, 0)
    started_s = last_s = time.perf_counter()
    for number, due_s in enumerate(_moments(started_s, seconds=seconds, slots=len(ways), paced=paced)):
        names = _turn(list(ways), number // len(ways))
        name = names[number % len(ways)]
        if (pause_s := due_s - time.perf_counter()) > 0:
            time.sleep(pause_s)
        took_ns = ways[name].round_trip_ns(payload)
        if took_ns is None:
            lost[name] += 1
        else:
            samples[name].append(took_ns)
        now_s = time.perf_counter()
        if now_s - last_s > 0.5:
            tick.advance(task, now_s - last_s)
            last_s = now_s
    return samples, lost


def _moments(started_s: float, *, seconds: float, slots: int, paced: bool) -> Iterator[float]:
    """When each round trip is due: paced, every path gets its turn once in a frame's time."""
    number = 0
    while time.perf_counter() - started_s < seconds:
        yield started_s + number * FRAME_S / slots if paced else 0.0
        number += 1


def _turn(names: list[str], by: int) -> list[str]:
    """The order of the paths in one round; it rotates, so that none always follows the same other."""
    start = by % len(names)
    return names[start:] + names[:start]


def quantile_ms(samples: list[int], fraction: float) -> float | None:
    """A quantile in ms; None without samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    return round(ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] / 1e6, 3)


def summary(samples: Samples, lost: dict[str, int]) -> dict[str, object]:
    """One size in one mode: quantiles of each path, ours against floor and paho."""
    paths = {
        name: {
            "n": len(times),
            "lost": lost[name],
            "p50_ms": quantile_ms(times, 0.5),
            "p99_ms": quantile_ms(times, 0.99),
        }
        for name, times in samples.items()
    }
    against = {
        "without_codec": _against(samples, ours="session"),
        "with_codec": _against(samples, ours="codec"),
    }
    return {"paths": paths, **against}


def _against(samples: Samples, *, ours: str) -> dict[str, float | None]:
    own, floor, paho = (quantile_ms(samples[name], 0.5) for name in (ours, "floor", "paho"))
    if own is None or not floor or not paho:
        return {"ratio_p50": None, "added_ms_p50": None, "against_paho_p50": None}
    return {
        "ratio_p50": round(own / floor, 2),
        "added_ms_p50": round(own - floor, 3),
        "against_paho_p50": round(own / paho, 2),
    }


def aims(results: dict[str, dict[str, dict[str, Any]]]) -> list[dict[str, object]]:
    """What was aimed for, paced and without codec, and whether it was reached."""
    rows = []
    for size_kb in AIMED_KB:
        own = results[f"{size_kb}KB"]["paced"]["without_codec"]
        for word, limit in (("added_ms_p50", WORST_ADDED_MS), ("against_paho_p50", WORST_AGAINST_PAHO)):
            value = own[word]
            rows.append(
                {
                    "size": f"{size_kb}KB",
                    "what": word,
                    "at_most": limit,
                    "measured": value,
                    "met": value is not None and value <= limit,
                }
            )
    return rows


def run(*, seconds: float, progress: Progress) -> dict[str, object]:
    """Measure every size in every mode."""
    share = {"paced": PACED_SHARE, "fast": 1 - PACED_SHARE}
    results: dict[str, dict[str, dict[str, Any]]] = {}
    load_before = os.getloadavg()[0]
    started_s = time.perf_counter()
    binary = find_mosquitto(cache_dir(os.environ))
    with (
        tempfile.TemporaryDirectory(prefix="headway-bench-") as folder,
        EmbeddedMosquitto(binary, Path(folder)) as broker,
        open_paths(broker.url) as ways,
    ):
        task = progress.add_task("round trips", total=seconds)
        for size_kb in SIZES_KB:
            payload = random_payload(size_kb * KB, seed=size_kb)
            results[f"{size_kb}KB"] = {}
            for mode in MODES:
                progress.update(task, description=f"{size_kb} KB {mode}")
                budget_s = seconds * share[mode] / len(SIZES_KB)
                measured = measure(
                    ways, payload, seconds=budget_s, paced=mode == "paced", tick=progress, task=task
                )
                results[f"{size_kb}KB"][mode] = summary(*measured)
        facts = {**machine_facts(PACKAGES), "mosquitto": broker.version}
    return {
        "machine": facts,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "seconds": round(time.perf_counter() - started_s, 1),
        "reply_bytes": REPLY_BYTES,
        "paced_fps": 30,
        "results": results,
        "aims": aims(results),
    }


def tell(report: dict[str, Any]) -> None:
    """The figures as lines for people."""
    for size, modes in report["results"].items():
        for mode, row in modes.items():
            cells = "  ".join(f"{n} {p['p50_ms']}/{p['p99_ms']}" for n, p in row["paths"].items())
            print(f"{size:>6} {mode:<5} p50/p99 ms: {cells}  added {row['without_codec']['added_ms_p50']}")
    for aim in report["aims"]:
        word = "met" if aim["met"] else "MISSED"
        print(f"aim {aim['size']} paced {aim['what']} <= {aim['at_most']}: {aim['measured']} {word}")


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure; 40 is a quick look.")] = 240.0,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("bench/results/offload.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure headset -> broker -> worker -> headset against raw TCP and bare paho."""
    log.configure("bench", level="warning")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        report = run(seconds=seconds, progress=progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n")
    if as_json:
        json.dump(report, sys.stdout)
        print()
    else:
        tell(report)
        print(f"bench: figures are in {out}")


if __name__ == "__main__":
    typer.run(main)
