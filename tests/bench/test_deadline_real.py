"""Real runs: what is judged from raw lines, when faults come, and one short site with a broker that dies."""

import subprocess
import sys
import time

import pytest

from bench import deadline_real
from bench.deadline_blackhole import cut_row, timeline
from bench.deadline_faults import CYCLE, CYCLE_S, Cue, Fault, Window, deeds, fault_at
from bench.deadline_judge import cause_of, own_pixels
from bench.deadline_stage import prepare
from bench.deadline_starved import Starved
from bench.deadline_witness import Stall, Witness, longest_overlap_ns

MS = 1_000_000
S = 1_000_000_000


def frame(frame_id, *, outcome="fresh_on_time", path="local", scheduled_ns=0, answer_ms=20.0, **fields):
    return {
        "kind": "frame",
        "frame_id": frame_id,
        "outcome": outcome,
        "path": path,
        "scheduled_ns": scheduled_ns,
        "answer_ns": scheduled_ns + round(answer_ms * MS),
        "latency_ms": answer_ms,
        "deadline_ms": 33.0,
        **fields,
    }


def test_every_fault_of_a_cycle_begins_and_ends_inside_it():
    done = deeds(CYCLE, seconds=2 * CYCLE_S, headsets=2)
    assert len(done) == 4 * len(CYCLE)
    assert all(cue.at_s + cue.for_s < CYCLE_S for cue in CYCLE)
    assert {deed.cue.fault for deed in done} == set(Fault)
    assert [deed.at_s for deed in done] == sorted(deed.at_s for deed in done)
    stalled = [deed.cue.headset for deed in done if deed.cue.fault is Fault.STALL and deed.begins]
    assert stalled == [1, 0]


def test_a_frame_belongs_to_the_newest_fault_of_its_own_link_or_of_the_site():
    site = Window(fault=Fault.BROKER_KILLED, begin_ns=0, end_ns=0, headset=None)
    other = Window(fault=Fault.STALL, begin_ns=1 * S, end_ns=2 * S, headset="hs-2")
    assert fault_at([site, other], headset="hs-1", at_ns=2 * S) == "broker_killed"
    assert fault_at([site, other], headset="hs-2", at_ns=2 * S) == "stall"
    assert fault_at([site, other], headset="hs-1", at_ns=4 * S) == "none"


def test_a_late_frame_is_the_hosts_doing_only_where_the_witness_or_the_kernel_saw_it():
    late = frame(0, outcome="late", answer_ms=36.0)
    seen = [Stall(begin_ns=30 * MS, end_ns=35 * MS)]
    assert cause_of(late, stalls=seen, starved=[], first_ns=0) == "host_stall"
    assert cause_of(late, stalls=[], starved=seen, first_ns=0) == "starved"
    assert cause_of(late, stalls=[], starved=[], first_ns=0) == "woken_late"
    assert cause_of(late, stalls=seen, starved=seen, first_ns=40 * MS) == "nothing_yet"
    assert cause_of(frame(0, outcome="none"), stalls=seen, starved=seen, first_ns=0) == "unexplained"


def test_a_frame_is_beyond_every_path_only_where_each_try_took_longer_than_its_deadline():
    def tried(*runs_ms, **fields):
        attempts = [
            {"path": "local", "start_ms": start, "end_ms": end, "result": "ok"} for start, end in runs_ms
        ]
        return frame(0, outcome="carried_on_time", attempts=attempts, captured=True, host_late=True, **fields)

    late_begin, slow = tried((10.0, 40.0)), tried((0.5, 34.0))
    untried, unfinished = tried(), tried((5.0, None))
    found = own_pixels([late_begin, slow, untried, unfinished])
    assert (found["missed"], found["beyond_every_path"], found["beyond_and_host_late"]) == (4, 2, 2)
    assert found["local_run_ms"]["p50"] == 31.75


def test_a_thread_that_stands_ready_and_gets_no_core_is_starved():
    burn = "import os\nos.sched_setaffinity(0, {0})\nwhile True: pass"
    both = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2)]
    try:
        with Starved({"one": both[0].pid}) as starved:
            end_s = time.monotonic() + 10
            while not starved.stalls("one") and time.monotonic() < end_s:
                time.sleep(0.02)
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert starved.stalls("one")[0].end_ns - starved.stalls("one")[0].begin_ns > MS


def test_the_longest_stall_that_touches_a_time_is_found():
    stalls = [Stall(begin_ns=0, end_ns=5), Stall(begin_ns=10, end_ns=12)]
    assert longest_overlap_ns(stalls, 4, 11) == 5
    assert longest_overlap_ns(stalls, 6, 9) == 0


def test_a_witness_saw_how_late_it_was_woken():
    with Witness(threads=1) as witness:
        end_s = time.monotonic() + 10
        while not witness.seen and time.monotonic() < end_s:
            time.sleep(0.002)
    assert witness.facts()["wake_lateness_ms"]["p50"] is not None


def test_a_cut_is_described_by_the_frames_scheduled_in_it():
    frames = [frame(0, path="offload", scheduled_ns=0), frame(1, scheduled_ns=2 * S, outcome="late")]
    frames.append(frame(2, path="offload", scheduled_ns=5 * S))
    switches = [
        {"kind": "switch", "t_ns": at_s * S, "after": after, "reason": "told so"}
        for at_s, after in ((1, "local"), (4, "offload"), (9, "local"))
    ]
    row = cut_row([*frames, *switches], cut_ns=S, back_ns=3 * S, end_ns=6 * S)
    assert (row["offloaded_in_the_second_before"], row["frames"], row["unanswered"]) == (1, 1, 1)
    assert row["offload_again_after_s"] == pytest.approx(2.02)
    assert (row["switches_down"], row["switches_up"]) == (1, 1)
    assert [(switch["after_s"], switch["to"]) for switch in row["switches"]] == [
        (0.0, "local"),
        (1.0, "offload"),
    ]


def test_a_timeline_holds_the_frames_around_a_cut_in_their_order():
    frames = [frame(number, path="offload", scheduled_ns=number * S) for number in (5, 4, 3, 2, 1, 0)]
    rows = timeline([*frames, {"kind": "switch", "t_ns": 4 * S}], cut_ns=4 * S, end_ns=5 * S)
    assert [row["after_s"] for row in rows] == [-2, -1, 0]
    assert rows[0].keys() == {"after_s", "latency_ms", "path", "outcome"}


def test_a_site_whose_broker_dies_is_judged_frame_by_frame(models_dir, photos, mosquitto_binary, tmp_path):
    play = deadline_real.Play(
        deadlines_ms={"hs-1": 100.0, "hs-2": 100.0},
        seconds=4.0,
        promised=True,
        cycle=(Cue(at_s=1.0, fault=Fault.BROKER_KILLED, for_s=0.0),),
        cycle_s=4.0,
    )
    found = deadline_real.run(prepare(tmp_path), play)
    assert found["checker_findings"] == []
    assert found["broker_restarts"] == 1
    assert found["bad_replies"]["replies"] > 0
    for row in found["rows"]:
        assert row["frames"] >= 90
        assert sum(row["outcomes"].values()) == row["frames"]
        assert row["by_fault"]["broker_killed"]["frames"] > 0
