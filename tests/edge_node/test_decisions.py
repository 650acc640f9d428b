"""The newest decisions as rows: few, small, and plain enough for JSON."""

import dataclasses
import json
import math

import pytest
from edge_bench import MS, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.decide import Considered, Decision, LinkView, LocalView, PairView, PartView, Path
from edge_node.decisions import KEPT, Decisions
from edge_node.device_class import Thermal
from edge_node.estimates.clock import Legs
from edge_node.estimates.route import Route
from edge_node.flight import Flight
from edge_node.vitals import Vitals
from schemas.placements import Placement

MOST_BYTES = 64 * 1024
MOST_WAYS = 20  # local, four splits, and a picture of five qualities for each of three workers
LONGEST_ID = "w" * 32
LONGEST = Placement(start=65_534, end=65_535)
LONGEST_REASON = "r" * 200


def flight(frame_id):
    return Flight(
        frame_id=frame_id,
        scheduled_ns=0,
        deadline_ns=100 * MS,
        captured=None,
        skipped=False,
        trace_id=bytes(16),
        mode=Path.LOCAL,
    )


def offload(**fields):
    return Decision(path=Path.OFFLOAD, worker="w-1", reason="0.90 to be back in time", **fields)


# Ways as a policy weighs them, and as a row tells them.
WEIGHED = (
    Considered(
        path=Path.OFFLOAD,
        worker="w-1",
        p_on_time=0.98765432,
        quality=60,
        energy_j=0.0231234,
        payload_bytes=20_000,
        score=-0.0431234,
    ),
    Considered(path=Path.LOCAL, worker=None, p_on_time=0.95, why_not="as sure", energy_j=0.02, score=-0.12),
)
TOLD = [
    {
        "path": "offload",
        "worker": "w-1",
        "p_on_time": 0.9877,
        "why_not": "",
        "quality": 60,
        "energy_j": 0.02312,
        "cost": 0.02,
        "score": -0.0431,
    },
    {
        "path": "local",
        "worker": None,
        "p_on_time": 0.95,
        "why_not": "as sure",
        "quality": None,
        "energy_j": 0.02,
        "cost": 0.0,
        "score": -0.12,
    },
]


def test_a_row_says_what_was_known_weighed_and_decided():
    local = LocalView(p_now=0.95, p_hedged=0.123456, hedge_at_ns=1070 * MS)
    forecast = Route().forecast(payload_bytes=9_000, way=Path.OFFLOAD.value, now_ns=1000 * MS)
    view = LinkView(
        worker="w-1",
        ready=True,
        now_ns=1000 * MS,
        deadline_ns=1100 * MS,
        offload=forecast,
        local=local,
        may_duplicate=True,
        vitals=Vitals(battery_fraction=2 / 3, temperature_c=41.26, thermal=Thermal.NOMINAL),
    )
    kept = Decisions()
    kept.note(flight(7), view, offload(p_on_time=0.98765432, considered=WEIGHED), policy="deadline")
    (row,) = kept.rows()
    assert (row["frame_id"], row["policy"], row["path"], row["worker"]) == (7, "deadline", "offload", "w-1")
    assert (row["p_on_time"], row["hedge_in_ns"], row["duplicate"]) == (0.9877, 70 * MS, False)
    assert row["inputs"] == {
        "budget_ms": 100.0,
        "link_ready": True,
        "worker": "w-1",
        "reply_predicted_ms": round(forecast.predicted_ns / MS, 3),
        "link_samples": 0,
        "link_stalled": False,
        "newest_uplink_ms": None,
        "newest_worker_ms": None,
        "newest_downlink_ms": None,
        "p_local_now": 0.95,
        "p_local_hedged": 0.1235,
        "critical": False,
        "may_duplicate": True,
        "battery": 0.6667,
        "temperature_c": 41.3,
        "throttle_in_s": None,
    }
    assert row["considered"] == TOLD


def test_where_nothing_is_known_the_row_says_so():
    kept = Decisions()
    stay = Decision(path=Path.LOCAL, worker=None, reason="no worker is online")
    kept.note(flight(0), LinkView(worker=None, ready=False), stay, policy="local")
    (row,) = kept.rows()
    assert (row["p_on_time"], row["hedge_in_ns"], row["considered"]) == (None, None, [])
    assert row["inputs"]["reply_predicted_ms"] is None
    assert json.loads(json.dumps(row)) == row


def test_uplink_worker_and_downlink_are_told_apart():
    forecast = Route().forecast(payload_bytes=9_000, way=Path.OFFLOAD.value, now_ns=0)
    legs = Legs(uplink_ns=5 * MS, worker_ns=7 * MS, downlink_ns=2 * MS)
    view = LinkView(worker="w-1", ready=True, offload=dataclasses.replace(forecast, legs=legs))
    kept = Decisions()
    kept.note(flight(0), view, offload(), policy="deadline")
    (row,) = kept.rows()
    names = ("newest_uplink_ms", "newest_worker_ms", "newest_downlink_ms")
    assert [row["inputs"][name] for name in names] == [5.0, 7.0, 2.0]


def test_the_newest_are_kept_oldest_first():
    kept = Decisions()
    for frame_id in range(KEPT + 9):
        kept.note(flight(frame_id), LinkView(worker=None, ready=True), offload(), policy="offload")
    assert KEPT <= 32
    assert [row["frame_id"] for row in kept.rows()] == list(range(9, KEPT + 9))


def test_a_split_says_at_which_pair_and_other_ways_say_nothing_of_it():
    split = Considered(path=Path.SPLIT, worker="w-1", p_on_time=0.9, placement=Placement(start=20, end=59))
    here = Considered(path=Path.LOCAL, worker=None, p_on_time=0.9)
    decision = Decision(
        path=Path.SPLIT, worker="w-1", reason="r", placement=split.placement, considered=(here, split)
    )
    kept = Decisions()
    kept.note(flight(0), LinkView(worker="w-1", ready=True), decision, policy="deadline")
    (row,) = kept.rows()
    assert row["placement"] == "20:59"
    assert [told.get("placement") for told in row["considered"]] == [None, "20:59"]


def test_candidates_are_told_of_the_newest_decisions_as_far_as_they_fit():
    ways = (Considered(path=Path.LOCAL, worker=None, p_on_time=0.9),) * 30
    kept = Decisions()
    for frame_id in range(5):
        view = LinkView(worker=None, ready=True)
        kept.note(flight(frame_id), view, offload(considered=ways), policy="deadline")
    assert [len(row["considered"]) for row in kept.rows()] == [0, 0, 30, 30, 30]


CHANCE = st.one_of(st.none(), st.floats(0, 1))


@settings(deadline=None)
@given(CHANCE, CHANCE, st.integers(0, 1 << 62), st.sampled_from(list(Path)))
def test_rows_of_the_longest_words_are_json_and_below_64_kib(p_on_time, p_now, now_ns, path):
    forecast = Route().forecast(payload_bytes=1 << 30, way=Path.OFFLOAD.value, now_ns=now_ns)
    local = None if p_now is None else LocalView(p_now=p_now, p_hedged=1 / 3, hedge_at_ns=0)
    view = LinkView(
        worker=LONGEST_ID,
        ready=True,
        pairs=(PairView(placement=LONGEST, part=PartView(worker=LONGEST_ID, reason=LONGEST_REASON)),),
        now_ns=now_ns,
        deadline_ns=0,
        offload=forecast,
        local=local,
    )
    row = Considered(
        path=path,
        worker=LONGEST_ID,
        p_on_time=2 / 3,
        why_not=LONGEST_REASON,
        quality=100,
        placement=LONGEST,
        energy_j=1 / 3,
        payload_bytes=123_457,
        score=-2 / 3,
    )
    decision = Decision(
        path=path,
        worker=LONGEST_ID,
        reason=LONGEST_REASON,
        p_on_time=p_on_time,
        considered=(row,) * MOST_WAYS,
    )
    kept = Decisions()
    for frame_id in range(2 * KEPT):
        kept.note(flight((1 << 62) + frame_id), view, decision, policy="always-duplicate")
    text = json.dumps(kept.rows(), allow_nan=False)
    assert json.loads(text) == kept.rows()
    assert len(text.encode()) < MOST_BYTES


@pytest.mark.parametrize("policy", ["local", "offload", "rtt-threshold", "deadline", "p95-hedge"])
def test_a_journey_keeps_the_decisions_of_its_frames(policy):
    b = Bench(policy=policy)
    for _ in range(3):
        b.frame()
        b.wait(33)
    rows = b.journey.decisions.rows()
    assert [(row["frame_id"], row["policy"]) for row in rows] == [(number, policy) for number in range(3)]
    assert all(row["reason"] for row in rows)
    assert rows[0]["inputs"]["p_local_now"] == 1.0
    assert math.isclose(rows[0]["inputs"]["budget_ms"], 100.0)
    assert len(json.dumps(rows, allow_nan=False)) < MOST_BYTES
