"""A journey under the policy ``deadline``: what it weighs is what leaves, and what the headset knows of itself counts."""

from dataclasses import replace

from edge_bench import CUT_ENGINE, FRAME_BYTES, KERNEL, MODEL, MS, PLACEMENT, Bench, worker_presence

from edge_node.decide import Path
from edge_node.device_class import DEVICE_CLASSES, Segment, Thermal
from edge_node.dispatch import KEPT_HERE_FRAMES
from edge_node.energy import POWERS
from edge_node.engines import CUTTING
from edge_node.jobs import JobKind
from edge_node.picture_sizes import FIRST_BYTES
from edge_node.policies.base import TOO_LATE_FOR_PARTS
from edge_node.vitals import Vitals
from schemas.messages import Task

HOT = Vitals(battery_fraction=0.5, temperature_c=45.0, thermal=Thermal.NOMINAL, throttle_in_s=3.0)
KBPS_PER_FRAME_BYTE = 8 * 30 / 1000


def pass_by(b, duration_ms):
    """Let time pass in which every probe is answered."""
    for _ in range(duration_ms):
        b.wait(1)
        while b.uplink.pings:
            b.reply(b.uplink.pings.pop(), task=Task.PING, rtt_ms=1)


def answer_frames(b, *, count):
    """Frames that are all answered, by the worker or here, whichever they went to first."""
    for _ in range(count):
        sent, parts, jobs = len(b.uplink.frames), len(b.uplink.parts), len(b.starter.jobs)
        frame = b.frame()
        pass_by(b, 6)
        if len(b.uplink.frames) > sent:
            b.reply(frame)
        if len(b.starter.jobs) > jobs:
            took_ms = 2 if b.starter.jobs[-1].kind is JobKind.HEAD else b.local_ms
            b.local_done(started_ns=b.now_ns - took_ms * MS)
        pass_by(b, 6)
        if len(b.uplink.parts) > parts and b.uplink.parts[-1].ask:
            b.part_reply(frame, refusal="unknown_placement", ask=True, retry_after_ms=2000)
        elif len(b.uplink.parts) > parts:
            b.part_reply(frame)
            pass_by(b, 2)
            b.local_done(started_ns=b.now_ns - MS)
        pass_by(b, 21)


def newest(b):
    return b.journey.decisions.rows()[-1]


def test_the_quality_that_was_decided_is_the_quality_that_leaves():
    ceiling = round(0.9 * FIRST_BYTES * KBPS_PER_FRAME_BYTE)
    b = Bench(policy="deadline", jpeg_qualities=(50,), uplink_ceiling_kbps=ceiling, shadow_share=0)
    answer_frames(b, count=35)
    assert newest(b)["quality"] == 50
    assert {out.quality for out in b.uplink.frames} == {50}
    assert {row["quality"] for row in newest(b)["considered"]} == {None, 80, 50}


def test_the_size_of_what_left_is_the_size_that_is_expected():
    b = Bench(policy="deadline")
    answer_frames(b, count=35)
    (out,) = [row for row in newest(b)["considered"] if row["path"] == "offload"]
    assert out["cost"] == FRAME_BYTES / 1e6


def test_a_proved_split_is_taken_where_pictures_may_not_leave():
    place = {"head_end": PLACEMENT.start, "tail_start": PLACEMENT.end}
    b = Bench(
        policy="deadline",
        engine=replace(CUT_ENGINE, parts=replace(CUT_ENGINE.parts, head_share=0.2)),
        placement=place,
        tiers=("local", "split"),
        weights={"energy": 20},
        local_ms=30,
    )
    assert "deadline" in CUTTING
    b.remote.workers.on_presence(worker_presence(kernels={MODEL: KERNEL}))
    answer_frames(b, count=3)
    assert [part.ask for part in b.uplink.parts] == [True]  # whoever may prove it is asked
    b.remote.workers.on_presence(
        worker_presence(kernels={MODEL: KERNEL}, placements={MODEL: (PLACEMENT.id,)})
    )
    answer_frames(b, count=50)
    assert b.uplink.frames == []
    assert newest(b)["path"] == "split"
    assert any(line.answer.path is Path.SPLIT for line in b.lines)


def test_what_the_headset_draws_and_feels_is_what_is_told():
    b = Bench(policy="deadline", device_class="xr-slow", local_ms=3)
    b.remote.vitals = HOT
    answer_frames(b, count=30)
    row = newest(b)
    assert (row["inputs"]["battery"], row["inputs"]["throttle_in_s"]) == (0.5, 3.0)
    here = row["considered"][0]
    shortest_ms, *_, longest_ms = DEVICE_CLASSES["xr-slow"].durations_ms[Segment.PALM, Thermal.NOMINAL]
    least_j, most_j = (POWERS["xr-slow"].run_j(round(ms * MS)) for ms in (shortest_ms, 3 * longest_ms))
    assert least_j < here["energy_j"] < most_j


def test_one_slow_part_does_not_keep_the_split_from_being_weighed_for_ever():
    place = {"head_end": PLACEMENT.start, "tail_start": PLACEMENT.end}
    b = Bench(policy="deadline", engine=CUT_ENGINE, placement=place, tiers=("local", "split"), local_ms=30)
    b.remote.workers.on_presence(
        worker_presence(kernels={MODEL: KERNEL}, placements={MODEL: (PLACEMENT.id,)})
    )
    for _ in range(3):
        b.perception.times.add(
            JobKind.HEAD, 90 * MS, regions=1, cut=PLACEMENT.id, thermal=Thermal.NOMINAL, encoding=False
        )
    answer_frames(b, count=2)
    assert newest(b)["considered"][1]["why_not"] == TOO_LATE_FOR_PARTS
    answer_frames(b, count=KEPT_HERE_FRAMES)
    assert newest(b)["considered"][1]["why_not"] != TOO_LATE_FOR_PARTS
