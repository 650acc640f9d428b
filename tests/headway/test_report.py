"""The figures of the demo's report, from a handful of lines whose numbers are worked out by hand."""

import copy

import pytest

from headway.checker import OUTCOMES
from headway.report import (
    EXPECTED_REASONS,
    findings_of,
    frames_of,
    headset_report,
    missed_aims,
    outage_report,
    outage_words,
    quantiles,
    shortfalls,
)

MS = 1_000_000
DEADLINE_MS = 100.0


def line(frame_id, *, at_ms, latency_ms, path="local", result=None, outcome="fresh_on_time", **changed):
    """One frame line of hs-1; times in milliseconds after second 0 of the clock."""
    return {
        "kind": "frame",
        "headset": "hs-1",
        "frame_id": frame_id,
        "scheduled_ns": at_ms * MS,
        "answer_ns": (at_ms + latency_ms) * MS,
        "deadline_ms": DEADLINE_MS,
        "result_frame_id": frame_id if result is None else result,
        "outcome": outcome,
        "path": path,
        "latency_ms": float(latency_ms),
        "age_ms": float(latency_ms),
        "captured": True,
        "skipped": False,
        "host_late": False,
        "model": "full",
        **changed,
    }


EVENTS = [
    line(0, at_ms=0, latency_ms=10),
    line(1, at_ms=100, latency_ms=20, path="offload"),
    {"kind": "switch", "headset": "hs-1", "t_ns": 150 * MS},
    # the network is cut from 200 ms to 600 ms
    line(2, at_ms=210, latency_ms=90, path="carried", result=1, outcome="carried_on_time", age_ms=200.0),
    line(3, at_ms=300, latency_ms=130, outcome="late", host_late=True),
    line(4, at_ms=400, latency_ms=40),
    {
        **line(5, at_ms=500, latency_ms=100, path="none", outcome="none", captured=False),
        "skipped": True,
        "result_frame_id": None,
        "age_ms": 0.0,
    },
    line(6, at_ms=650, latency_ms=30),
    line(7, at_ms=700, latency_ms=25, path="offload", model="small"),
    {"kind": "switch", "headset": "hs-2", "t_ns": 150 * MS},
    {**line(0, at_ms=5, latency_ms=7), "headset": "hs-2"},
]


def test_frames_are_those_of_one_headset_in_order():
    assert [frame["frame_id"] for frame in frames_of(EVENTS[::-1], "hs-1")] == list(range(8))
    assert [frame["latency_ms"] for frame in frames_of(EVENTS, "hs-2")] == [7.0]


def test_a_headsets_entry_counts_its_own_lines():
    entry = headset_report("hs-1", EVENTS, registered_s=1.25)
    assert entry == {
        "id": "hs-1",
        "registered_s": 1.25,
        "scheduled": 8,
        "captured": 7,
        "skipped": 1,
        "fresh_on_time": 5,
        "carried_on_time": 1,
        "late": 1,
        "none": 1,
        "unanswered": 2,
        # answered: 10, 20, 25, 30, 40, 90, 130; p99 lies 0.94 of the way from 90 to 130
        "latency_ms": {"p50": 30.0, "p99": 127.6},
        # ages: 10, 20, 25, 30, 40, 130, 200; 0.94 of the way from 130 to 200
        "age_ms": {"p99": 195.8},
        "paths": {"local": 4, "offload": 2, "split": 0},
        "switches": 1,
        "model": "small",
        "host_late": 1,
    }
    assert entry["scheduled"] == sum(entry[outcome] for outcome in OUTCOMES)


def test_a_headset_without_frames_has_no_figures_rather_than_zeros():
    entry = headset_report("hs-3", EVENTS, registered_s=None)
    assert entry["scheduled"] == entry["unanswered"] == 0
    assert entry["latency_ms"] == {"p50": None, "p99": None}
    assert entry["age_ms"] == {"p99": None}
    assert entry["model"] is None


def test_an_outage_is_told_by_the_frames_scheduled_in_it():
    assert outage_report("hs-1", EVENTS, cut_ns=200 * MS, restored_ns=600 * MS) == {
        "headset": "hs-1",
        "seconds": 0.4,
        "frames": 4,
        "fresh_on_time": 1,
        "carried_on_time": 1,
        "late": 1,
        "none": 1,
        "unanswered": 2,
        "first_local_after_ms": 230.0,  # frame 3, late, at 430 ms
        "first_offload_after_ms": 125.0,  # frame 7 at 725 ms
    }


def test_an_outage_is_told_in_one_sentence_and_one_that_was_none_in_none():
    told = outage_words(outage_report("hs-1", EVENTS, cut_ns=200 * MS, restored_ns=600 * MS))
    assert told == (
        "hs-1 without network for 0.4 s: 4 frames, 1 fresh and on time, 1 carried, 2 unanswered, "
        "first local answer after 230 ms, offloading again 0.1 s after its end"
    )
    survived = outage_report("hs-1", EVENTS, cut_ns=350 * MS, restored_ns=450 * MS)
    assert "1 fresh and on time, none unanswered" in outage_words(survived)
    assert outage_words(outage_report("hs-1", EVENTS, cut_ns=None, restored_ns=None)) == ""


def test_a_headset_that_never_offloads_again_has_no_time_for_it():
    told = outage_report("hs-2", EVENTS, cut_ns=0, restored_ns=600 * MS)
    assert told["first_local_after_ms"] == 12.0
    assert told["first_offload_after_ms"] is None


@pytest.mark.parametrize(("cut_ns", "restored_ns"), [(None, None), (200 * MS, None)])
def test_an_outage_that_did_not_happen_claims_nothing(cut_ns, restored_ns):
    told = outage_report("hs-1", EVENTS, cut_ns=cut_ns, restored_ns=restored_ns)
    assert told["seconds"] == 0.0
    assert told["unanswered"] is None
    assert told["first_local_after_ms"] is None
    assert told["first_offload_after_ms"] is None


def test_quantiles_of_nothing_are_none():
    assert quantiles([], (50, 99)) == {"p50": None, "p99": None}


def test_quantiles_are_in_the_unit_of_the_values_with_two_digits():
    assert quantiles([1.0, 2.0, 4.0], (0, 50, 75, 100)) == {"p0": 1.0, "p50": 2.0, "p75": 3.0, "p100": 4.0}
    assert quantiles([1 / 3], (50,)) == {"p50": 0.33}


NAMES = ("hs-1", "hs-2", "hs-3")


@pytest.fixture
def claims():
    """What headsets whose ledgers agree with their logs say when they end."""
    return {name: headset_report(name, EVENTS, registered_s=1.0) for name in NAMES}


def test_the_checker_agrees_with_headsets_that_claim_what_they_logged(claims):
    assert findings_of(claims, EVENTS, headsets=NAMES) == []


def test_a_finding_names_headset_frame_and_difference(claims):
    events = copy.deepcopy(EVENTS)
    events[4]["outcome"] = "fresh_on_time"
    found = findings_of(claims, events, headsets=("hs-1",))
    assert found == ["hs-1 frame 3: logged fresh_on_time, the times say late"]


def test_lines_that_never_reached_the_log_are_found_by_the_headset_s_own_count(claims):
    claims["hs-1"]["scheduled"] += 5
    found = findings_of(claims, EVENTS, headsets=("hs-1",))
    assert len(found) == 1
    assert found[0].startswith("hs-1 frame None: claims ")


def test_a_headset_without_a_summary_and_torn_lines_are_findings(claims):
    del claims["hs-2"]
    events = [*EVENTS, {"kind": "torn", "headset": "hs-3", "lines": 1}]
    assert findings_of(claims, events, headsets=NAMES) == [
        "hs-2 gave no summary when it ended",
        "hs-3 lost 1 lines of its log (torn)",
    ]


# -- promises ------------------------------------------------------------------------------------------


def deployment(number, outcome, reason=None):
    return {"id": f"dep-{number}", "outcome": outcome, "reason": reason}


@pytest.fixture
def kept():
    """A report of a run that kept every promise."""
    return {
        "error": None,
        "headsets": [
            {
                "id": f"hs-{n}",
                "registered_s": 1.0,
                "scheduled": 100,
                "fresh_on_time": 99,
                "none": 0,
                "paths": {"local": 60, "offload": 39},
            }
            for n in (1, 2, 3)
        ],
        "agreement": {"landmarks": {}},
        "outage": {
            "headset": "hs-1",
            "unanswered": 0,
            "first_local_after_ms": 40.0,
            "first_offload_after_ms": 700.0,
        },
        "deployments": [
            deployment(1, "succeeded"),
            *[deployment(number, "failed", reason) for number, reason in enumerate(EXPECTED_REASONS, 2)],
        ],
        "checker": {"findings": []},
    }


def test_a_run_that_kept_every_promise_has_no_shortfall(kept):
    assert shortfalls(kept) == []


def test_what_ended_the_run_is_its_first_shortfall(kept):
    kept["error"] = "w-1 died with status 137"
    assert shortfalls(kept) == ["w-1 died with status 137"]


def test_a_headset_that_never_registered_is_a_shortfall(kept):
    kept["headsets"][2]["registered_s"] = None
    assert shortfalls(kept) == ["hs-3 never registered"]


def test_a_frame_without_an_answer_is_a_shortfall(kept):
    kept["headsets"][0]["none"] = 4
    assert shortfalls(kept) == ["hs-1 left 4 frames without an answer"]


@pytest.mark.parametrize("outcome", ["failed", "timed_out", "running"])
def test_a_group_deployment_that_did_not_succeed_is_a_shortfall(kept, outcome):
    kept["deployments"][0] = deployment(1, outcome, "timed_out")
    assert shortfalls(kept) == ["the group's deployment did not succeed"]


@pytest.mark.parametrize("reason", EXPECTED_REASONS)
def test_each_reason_that_no_bad_rollout_failed_with_is_a_shortfall(kept, reason):
    row = next(row for row in kept["deployments"] if row["reason"] == reason)
    row["reason"] = "unreachable"
    assert shortfalls(kept) == [f"no deployment failed with {reason}"]


def test_a_bad_rollout_that_succeeded_is_two_shortfalls(kept):
    kept["deployments"][3] = deployment(4, "succeeded")
    assert shortfalls(kept) == [
        f"no deployment failed with {EXPECTED_REASONS[2]}",
        "dep-4 should have failed but succeeded",
    ]


def test_a_run_without_deployments_fell_short_of_all_of_them(kept):
    kept["deployments"] = []
    assert len(shortfalls(kept)) == 1 + len(EXPECTED_REASONS)


def test_a_checker_that_disagrees_is_a_shortfall(kept):
    kept["checker"]["findings"] = ["hs-1 frame 3: answered 2 times"]
    assert shortfalls(kept) == ["the checker disagrees: hs-1 frame 3: answered 2 times"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("scheduled", 0, "hs-1 scheduled no frame"),
        ("fresh_on_time", 0, "hs-1 answered no frame from its own pixels"),
    ],
)
def test_a_headset_that_saw_nothing_is_a_shortfall(kept, name, value, said):
    kept["headsets"][0][name] = value
    assert shortfalls(kept) == [said]


def test_a_way_that_nobody_used_is_a_shortfall(kept):
    for entry in kept["headsets"]:
        entry["paths"]["offload"] = 0
    assert shortfalls(kept) == ["no frame was answered by offload"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("first_local_after_ms", "hs-1 did not go on locally in the outage"),
        ("first_offload_after_ms", "hs-1 did not offload again after the outage"),
    ],
)
def test_an_outage_not_overcome_is_a_shortfall(kept, name, said):
    kept["outage"][name] = None
    assert shortfalls(kept) == [said]


def test_a_refused_int8_is_a_shortfall_with_its_reason(kept):
    kept["agreement"] = {"refused": ["scores collapse"]}
    assert shortfalls(kept) == ["int8 was refused: scores collapse"]


# -- aims ----------------------------------------------------------------------------------------------


@pytest.fixture
def aimed():
    """A report of a run that met every aim: exactly 1 % late and 2 % skipped are still met."""
    return {
        "headsets": [{"id": "hs-1", "scheduled": 100, "late": 1, "skipped": 2}],
        "outage": {"headset": "hs-1", "unanswered": 0},
    }


def test_a_run_that_met_every_aim_missed_none(aimed):
    assert missed_aims(aimed) == []


@pytest.mark.parametrize(
    ("where", "name", "value", "said"),
    [
        ("headset", "late", 2, "hs-1 has 2.0% late frames, at most 1% were aimed at"),
        ("headset", "skipped", 3, "hs-1 has 3.0% skipped frames, at most 2% were aimed at"),
        ("outage", "unanswered", 4, "4 frames of the outage came late"),
    ],
)
def test_each_missed_aim_is_said_with_its_figure(aimed, where, name, value, said):
    part = aimed["headsets"][0] if where == "headset" else aimed["outage"]
    part[name] = value
    assert missed_aims(aimed) == [said]
