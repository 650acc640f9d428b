"""What deciding costs per frame, and whether the second process disturbs the frames. Shell.

``book_keeping``: a recorded minute of frames, replies, losses and local runs is played into the real journey; what is
timed is every call into it, by what it is about, nothing of the stand-ins behind its ports. ``second_process``: one headset computes its
frames on this host while the process that draws and encodes overlays is, block by block, saturated or stopped.
"""

from __future__ import annotations

import os
import platform
import random
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.deadline_drive import PARTS, Drive
from bench.deadline_real import policy_here
from bench.deadline_stage import Plan, Stage, prepare
from bench.deadline_witness import Witness
from edge_node.decide import POLICIES
from edge_node.thread_priority import prompt_thread
from headway.children import Child, start
from headway.report import quantiles

FRAMES = {"quick": 1_500, "full": 20_000}
BLOCKS = {"quick": 2, "full": 8}  # of each kind
BLOCK_S = {"quick": 3.0, "full": 15.0}
COURSES = 3
WARM_S, SETTLE_S = 3.0, 0.5  # frames in the first half second of a block are not counted
DEADLINE_MS, SLOW_DEADLINE_MS = 33.0, 100.0
MOST_US, MOST_RATIO = 150.0, 1.3
HEADSET = "hs-1"
NS_PER_S = 1e9
SEED = 4

Tell = Callable[[str], None]
Span = tuple[int, int]


def measure(*, scale: str = "quick", progress: Tell = print) -> dict[str, Any]:
    """Time both.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: a process did not begin.
    """
    progress("deciding and keeping books")
    books = [book_keeping(policy, frames=FRAMES[scale]) for policy in POLICIES if policy != "split"]
    progress("frames beside the second process")
    second = second_process(blocks=BLOCKS[scale], block_s=BLOCK_S[scale])
    chosen = next(row for row in books if row["policy"] == policy_here())
    return {
        "book_keeping": books,
        "interpreter": interpreter(),
        "second_process": second,
        "aims": [
            _aim(f"us per frame at p99, policy {chosen['policy']}", MOST_US, chosen["us_per_frame"]["p99"]),
            _aim("frame p99 with the second process saturated, over idle", MOST_RATIO, second["ratio_p99"]),
        ],
    }


def interpreter() -> dict[str, Any]:
    """Which one ran this: one that was built without a profile of itself took a seventh longer, on the same host."""
    built_with = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "version": platform.python_version(),
        "built_by_profile": "--enable-optimizations" in built_with,
        "built_shared": "--enable-shared" in built_with,
    }


def _aim(what: str, at_most: float, measured: float | None) -> dict[str, Any]:
    met = measured is not None and measured <= at_most
    return {"what": what, "at_most": at_most, "measured": measured, "met": met}


def book_keeping(policy: str, *, frames: int) -> dict[str, Any]:
    """Microseconds per frame of everything that the journey does, one policy; on a thread as a headset's frame thread is.

    The same course is driven ``COURSES`` times. ``least_us`` is of each frame's quickest time: it leaves out what others
    on this host did to one of them, a core's caches above all, and keeps what a frame costs every time. The slowest of
    all frames met the kernel's own pause: a real-time thread that never sleeps is stopped for 50 ms a second.
    """
    courses = []
    with prompt_thread() as priority:
        for _ in range(COURSES):
            drive = Drive(policy=policy, deadline_ms=DEADLINE_MS, seed=SEED)
            courses.append(drive.run(frames))
    spent = [frame for course in courses for frame in course]
    parts_us = {part: [frame[part] / 1000 for frame in spent] for part in PARTS}
    totals_us = [[sum(frame.values()) / 1000 for frame in course] for course in courses]
    return {
        "policy": policy,
        "frames": frames,
        "frame_thread": priority.value,
        "calls_per_frame": round(drive.calls / frames, 1),
        "outcomes": drive.outcomes(),
        "us_per_frame": quantiles([us for course in totals_us for us in course], (50, 99, 100)),
        "least_us": quantiles([min(times) for times in zip(*totals_us, strict=True)], (50, 99)),
        "parts_us": {part: quantiles(values_us, (50, 99)) for part, values_us in parts_us.items()},
    }


def second_process(*, blocks: int, block_s: float) -> dict[str, Any]:
    """Latencies of frames computed on this host, with and without a saturated second process, in mixed blocks."""
    plan = Plan(policy="local", deadline_ms=SLOW_DEADLINE_MS, device_class="host", linked=False)
    kinds = in_pairs(blocks, rng=random.Random(SEED))
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        site = Stage(material, {HEADSET: plan}, name="second", own_sessions=False)
        with Witness() as witness, site as stage:
            time.sleep(WARM_S)
            events = stage.folder / "drawn.jsonl"
            events.write_bytes(_whole_lines(stage.folder / f"{HEADSET}.jsonl") * 200)  # work for every block
            with _recorder(events, material.ring, stage.folder / "drawn.mp4") as recorder:
                spans = [_block(recorder, is_busy, block_s=block_s) for is_busy in kinds]
            frames = [line for line in stage.finish() if line["kind"] == "frame"]
            thread = stage.claims[HEADSET].get("frame_thread")
    return compared(frames, kinds, spans) | {
        "blocks": len(kinds),
        "variant": material.variant,
        "frame_thread": thread,
        "host": witness.facts(),
    }


def in_pairs(pairs: int, *, rng: random.Random) -> list[bool]:
    """Busy and idle blocks, one of each in every pair, in an order by chance: what the host does besides hits both."""
    return [kind for _ in range(pairs) for kind in rng.sample([True, False], 2)]


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


@contextmanager
def _recorder(events: Path, ring: Path, out: Path) -> Iterator[Child]:
    """The second process itself, stopped until a block wants it; it has our session, as it has its headset's."""
    command = [sys.executable, "-m", "bench.deadline_second", str(events), str(ring), str(out)]
    child = start("second", command, logs=events.parent, grace_s=0.0, own_session=False)
    try:
        time.sleep(WARM_S)  # it lowers its own priority and reads its lines first
        os.kill(child.pid, signal.SIGSTOP)
        yield child
    finally:
        if child.running:
            os.kill(child.pid, signal.SIGKILL)  # a stopped process hears nothing gentler
        child.stop()
        child.rest()


def _block(recorder: Child, is_busy: bool, *, block_s: float) -> Span:
    if not recorder.running:
        raise ChildProcessError(f"the second process ended:\n{recorder.tail()}")
    os.kill(recorder.pid, signal.SIGCONT if is_busy else signal.SIGSTOP)
    begin_ns = time.monotonic_ns() + round(SETTLE_S * NS_PER_S)
    time.sleep(block_s)
    return begin_ns, time.monotonic_ns()


def compared(
    frames: Sequence[Mapping[str, Any]], kinds: Sequence[bool], spans: Sequence[Span]
) -> dict[str, Any]:
    """Latencies of saturated and idle blocks, and by how much the former's p99 is above the latter's."""
    latencies: dict[bool, list[float]] = {True: [], False: []}
    for is_busy, (begin_ns, end_ns) in zip(kinds, spans, strict=True):
        latencies[is_busy] += [
            frame["latency_ms"] for frame in frames if begin_ns <= frame["scheduled_ns"] < end_ns
        ]
    busy, idle = (quantiles(latencies[is_busy], (50, 99)) for is_busy in (True, False))
    ratio = round(busy["p99"] / idle["p99"], 3) if busy["p99"] and idle["p99"] else None
    return {
        "saturated_ms": busy,
        "idle_ms": idle,
        "frames": {"saturated": len(latencies[True]), "idle": len(latencies[False])},
        "ratio_p99": ratio,
        "cores": os.cpu_count(),
    }
