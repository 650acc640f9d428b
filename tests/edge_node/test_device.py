"""The simulated chip, its heat, and what a headset tells of itself."""

import random

import pytest
from edge_bench import MS, Bench
from hypothesis import given
from hypothesis import strategies as st

from edge_node.accelerator import Accelerator, interpolate
from edge_node.decide import Path
from edge_node.device_class import DEVICE_CLASSES, FRACTIONS, Portion, Segment, Thermal
from edge_node.telemetry import FrameTally, Moment, percentile
from edge_node.vitals import HeatModel, Vitals, read_host
from schemas.codec import Encoder, decode, mirror

SIMULATED = [name for name, device in DEVICE_CLASSES.items() if device.simulated]


@pytest.mark.parametrize("name", SIMULATED)
def test_every_simulated_class_has_every_segment_hot_and_cold_with_rising_quantiles(name):
    device = DEVICE_CLASSES[name]
    assert set(device.durations_ms) == {(s, t) for s in Segment for t in Thermal}
    for (segment, thermal), quantiles in device.durations_ms.items():
        assert len(quantiles) == len(FRACTIONS)
        assert list(quantiles) == sorted(quantiles)
        assert quantiles[4] / quantiles[2] == pytest.approx(1.3, abs=0.02)
        if thermal is Thermal.THROTTLED:
            assert quantiles[2] > device.durations_ms[segment, Thermal.NOMINAL][2]


@given(st.floats(0, 1))
def test_a_drawn_duration_lies_within_the_table(fraction):
    table = DEVICE_CLASSES["xr-slow"].durations_ms[Segment.PALM, Thermal.NOMINAL]
    assert table[0] <= interpolate(table, fraction=fraction) <= table[-1]
    assert interpolate(table, fraction=0.5) == table[2]


def test_the_drawn_durations_have_the_median_of_the_class():
    chip = Accelerator(DEVICE_CLASSES["xr-slow"], rng=random.Random(5))
    drawn = sorted(
        chip.release(
            [Portion(Segment.LANDMARK_FLOAT)], thermal=Thermal.NOMINAL, started_ns=0, ended_ns=0
        ).at_ns
        for _ in range(2000)
    )
    table = DEVICE_CLASSES["xr-slow"].durations_ms[Segment.LANDMARK_FLOAT, Thermal.NOMINAL]
    assert drawn[1000] / MS == pytest.approx(table[2], rel=0.02)
    assert drawn[1980] / MS == pytest.approx(table[4], rel=0.05)


def test_a_job_of_two_segments_takes_as_long_as_both():
    chip = Accelerator(DEVICE_CLASSES["xr-slow"], rng=random.Random(5))
    release = chip.release(
        [Portion(Segment.PALM), Portion(Segment.LANDMARK_INT8)],
        thermal=Thermal.NOMINAL,
        started_ns=100,
        ended_ns=200,
    )
    table = DEVICE_CLASSES["xr-slow"].durations_ms
    palm, landmark = (table[segment, Thermal.NOMINAL] for segment in (Segment.PALM, Segment.LANDMARK_INT8))
    assert (palm[0] + landmark[0]) * MS < release.at_ns < (palm[-1] + landmark[-1]) * MS
    assert not release.host_late


def test_a_run_longer_than_drawn_comes_when_it_comes_and_is_flagged():
    chip = Accelerator(DEVICE_CLASSES["xr-slow"], rng=random.Random(5))
    release = chip.release([Portion(Segment.PALM)], thermal=Thermal.NOMINAL, started_ns=0, ended_ns=90 * MS)
    assert (release.at_ns, release.host_late) == (90 * MS, True)


def test_the_host_itself_is_not_simulated():
    chip = Accelerator(DEVICE_CLASSES["host"], rng=random.Random(5))
    release = chip.release([Portion(Segment.PALM)], thermal=Thermal.NOMINAL, started_ns=0, ended_ns=7)
    assert (release.at_ns, release.host_late) == (7, False)


def test_work_warms_a_headset_until_it_throttles_and_rest_lets_it_recover():
    heat = HeatModel(DEVICE_CLASSES["xr-slow"].heat)
    hot = [heat.step(elapsed_s=10, busy_fraction=1.0, radio_fraction=0.0) for _ in range(200)]
    assert hot[0].thermal is Thermal.NOMINAL
    assert hot[-1].thermal is Thermal.THROTTLED
    assert [v.temperature_c for v in hot] == sorted(v.temperature_c for v in hot)
    cold = [heat.step(elapsed_s=10, busy_fraction=0.0, radio_fraction=0.0) for _ in range(200)]
    assert cold[-1].thermal is Thermal.NOMINAL
    charges = [v.battery_fraction for v in (*hot, *cold)]
    assert charges == sorted(charges, reverse=True)
    assert 0 < charges[-1] < charges[0] <= 1


def test_small_steps_end_where_one_large_step_ends():
    small, large = (HeatModel(DEVICE_CLASSES["xr-slow"].heat) for _ in range(2))
    for _ in range(100):
        small.step(elapsed_s=1, busy_fraction=0.5, radio_fraction=0.5)
    large.step(elapsed_s=100, busy_fraction=0.5, radio_fraction=0.5)
    assert small.now.temperature_c == pytest.approx(large.now.temperature_c)
    assert small.now.battery_fraction == pytest.approx(large.now.battery_fraction)


def test_this_machine_says_something_sensible():
    vitals = read_host()
    assert 0 <= vitals.battery_fraction <= 1


def moment(now_ns, **fields):
    known = {
        "wall_ms": 5,
        "mode": Path.LOCAL,
        "switches": 3,
        "rtt_ns": 4 * MS,
        "worker": "w-1",
        "model": "factory",
        "uplink_bytes": 1000,
        "downlink_bytes": 100,
        "vitals": Vitals(battery_fraction=0.5, temperature_c=40.0, thermal=Thermal.THROTTLED),
        "simulated": True,
    }
    return Moment(now_ns=now_ns, **{**known, **fields})


def test_a_window_counts_what_landed_in_it_and_the_next_one_begins_empty():
    b = Bench()
    tally = FrameTally(boot_id=b"\x01" * 16, now_ns=0)
    for _ in range(3):
        b.frame()
        b.wait(10)
        b.local_done()
    b.frame(captured=False, skipped=True)
    for line in b.lines:
        tally.land(line)
    telemetry = tally.close_window(moment(1_000 * MS))
    outcomes = telemetry.outcomes
    assert (outcomes.scheduled, outcomes.captured, outcomes.skipped) == (4, 3, 1)
    assert (outcomes.fresh_on_time, outcomes.carried_on_time) == (3, 1)
    assert telemetry.fps == pytest.approx(4.0)
    assert telemetry.latency_p99_us == 10_000
    assert (telemetry.switches, telemetry.throttled, telemetry.simulated) == (3, True, True)
    assert decode(Encoder().encode(telemetry)) == telemetry
    assert mirror(telemetry, "hs-1").answered == {"local": 3, "offload": 0, "split": 0}
    after = tally.close_window(moment(2_000 * MS))
    assert after.outcomes.scheduled == after.switches == after.uplink_bytes == 0
    summary = tally.summary(b.journey.answers.ledger.totals)
    assert summary["scheduled"] == summary["fresh_on_time"] + summary["carried_on_time"] == 4
    assert summary["latency_ms"] == {"p50": 10.0, "p99": 10.0}
    assert summary["paths"] == {"local": 3, "offload": 0, "split": 0, "carried": 1}


def test_a_percentile_of_nothing_is_zero():
    assert percentile([], 0.5) == 0
    assert percentile([3, 1, 2], 0.5) == 2
