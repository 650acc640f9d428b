"""Real runs: what is judged from raw lines, when faults come, and one short site with a broker that dies."""

import time

import pytest

from bench import deadline_real
from bench.deadline_blackhole import cut_row
from bench.deadline_faults import CYCLE, CYCLE_S, Cue, Fault, Window, deeds, fault_at
from bench.deadline_judge import cause_of
from bench.deadline_stage import prepare
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
    done = deeds(CYCLE, seconds=2 * CYCLE_S)
    assert len(done) == 4 * len(CYCLE)
    assert all(cue.at_s + cue.for_s < CYCLE_S for cue in CYCLE)
    assert {deed.cue.fault for deed in done} == set(Fault)
    assert [deed.at_s for deed in done] == sorted(deed.at_s for deed in done)


def test_a_frame_belongs_to_the_newest_fault_of_its_own_link_or_of_the_site():
    site = Window(fault=Fault.BROKER_KILLED, begin_ns=0, end_ns=0, headset=None)
    other = Window(fault=Fault.STALL, begin_ns=1 * S, end_ns=2 * S, headset="hs-2")
    assert fault_at([site, other], headset="hs-1", at_ns=2 * S) == "broker_killed"
    assert fault_at([site, other], headset="hs-2", at_ns=2 * S) == "stall"
    assert fault_at([site, other], headset="hs-1", at_ns=4 * S) == "none"


def test_a_late_frame_is_the_hosts_doing_only_where_the_witness_saw_it():
    late = frame(0, outcome="late", answer_ms=36.0)
    seen = [Stall(begin_ns=30 * MS, end_ns=35 * MS)]
    assert cause_of(late, seen) == "host_stall"
    assert cause_of(late, []) == "woken_late"
    assert cause_of(frame(0, outcome="none"), seen) == "unexplained"


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
    switches = [{"kind": "switch", "t_ns": 1 * S}, {"kind": "switch", "t_ns": 4 * S}]
    row = cut_row([*frames, *switches], cut_ns=S, back_ns=3 * S, end_ns=6 * S)
    assert (row["offloaded_in_the_second_before"], row["frames"], row["unanswered"]) == (1, 1, 1)
    assert row["offload_again_after_s"] == pytest.approx(2.02)
    assert (row["switches_down"], row["switches_up"]) == (1, 1)


def test_a_site_whose_broker_dies_is_judged_frame_by_frame(models_dir, photos, mosquitto_binary, tmp_path):
    cycle = (Cue(at_s=1.0, fault=Fault.BROKER_KILLED, for_s=0.0),)
    row = deadline_real.run(prepare(tmp_path), deadline_ms=100.0, seconds=4.0, cycle=cycle, cycle_s=4.0)
    assert row["checker_findings"] == []
    assert row["broker_restarts"] == 1
    assert row["frames"] >= 3 * 90
    assert sum(row["outcomes"].values()) == row["frames"]
    assert row["by_fault"]["broker_killed"]["frames"] > 0
