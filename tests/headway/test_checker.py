"""The independent judge: what it counts, what it notices, and that it owes nothing to what it judges."""

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway import checker
from headway.checker import OUTCOMES, check, recompute

HEADSET = "hs-1"
PERIOD_NS = 33_333_333
DEADLINE_MS = 100.0
DEADLINE_NS = 100_000_000


def frame(frame_id, *, outcome, answer_after_ns, result_frame_id):
    scheduled_ns = 5_000_000_000 + frame_id * PERIOD_NS
    return {
        "frame_id": frame_id,
        "scheduled_ns": scheduled_ns,
        "deadline_ms": DEADLINE_MS,
        "answer_ns": None if answer_after_ns is None else scheduled_ns + answer_after_ns,
        "result_frame_id": result_frame_id,
        "outcome": outcome,
    }


def fresh(frame_id, after_ns=20_000_000):
    return frame(frame_id, outcome="fresh_on_time", answer_after_ns=after_ns, result_frame_id=frame_id)


def carried(frame_id, after_ns=60_000_000):
    return frame(frame_id, outcome="carried_on_time", answer_after_ns=after_ns, result_frame_id=frame_id - 1)


def late(frame_id, after_ns=DEADLINE_NS + 1):
    return frame(frame_id, outcome="late", answer_after_ns=after_ns, result_frame_id=frame_id)


def none(frame_id, after_ns=DEADLINE_NS):
    return frame(frame_id, outcome="none", answer_after_ns=after_ns, result_frame_id=None)


def claims(frames):
    return {
        "scheduled": len(frames),
        **{name: sum(1 for line in frames if line["outcome"] == name) for name in OUTCOMES},
    }


def texts(frames, claimed):
    return [(finding.frame_id, finding.text) for finding in check(HEADSET, frames, claimed)]


@pytest.mark.parametrize("make", [fresh, carried, late, none])
def test_each_outcome_is_recomputed_from_the_times(make):
    line = make(3)
    assert recompute({**line, "outcome": "not looked at"}) == line["outcome"]


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (fresh(1, DEADLINE_NS), "fresh_on_time"),
        (fresh(1, DEADLINE_NS + 1), "late"),
        (carried(1, DEADLINE_NS), "carried_on_time"),
        (carried(1, DEADLINE_NS + 1), "late"),
        (none(1, None), "none"),
    ],
)
def test_an_answer_at_the_deadline_is_on_time_and_a_nanosecond_later_it_is_not(line, outcome):
    assert recompute(line) == outcome


@pytest.mark.parametrize(
    ("attempts", "path", "runs"),
    [
        ([("offload", "ok")], "offload", 0),
        ([("offload", "late"), ("local", "ok")], "local", 1),
        ([("offload", "missing"), ("local", "ok")], "local", 0),
        ([("offload", "refused busy"), ("local", "error")], "carried", 0),
        ([("offload", "late"), ("local", "ok")], "carried", 2),
        ([("split", "no hands")], "local", 0),
    ],
)
def test_runs_that_came_to_a_result_and_answered_nothing_are_counted_again(attempts, path, runs):
    line = carried(0) if path == "carried" else fresh(0)
    line |= {"path": path, "attempts": [{"path": way, "result": result} for way, result in attempts]}
    first = fresh(1)
    claimed = claims([line, first])
    assert texts([line | {"wasted_runs": runs}, first], claimed) == []
    wrong = f"logged {runs + 1} wasted runs, its attempts say {runs}"
    assert texts([line | {"wasted_runs": runs + 1}, first], claimed) == [(0, wrong)]


def test_a_log_that_adds_up_yields_no_finding_in_any_order():
    frames = [fresh(0), carried(1), late(2), none(3), fresh(4)]
    assert check(HEADSET, reversed(frames), claims(frames)) == []


def test_no_frame_and_no_claim_add_up():
    assert check(HEADSET, [], claims([])) == []


def test_a_wrong_outcome_is_named_with_what_the_times_say():
    frames = [fresh(0), {**late(1), "outcome": "fresh_on_time"}]
    assert (1, "logged fresh_on_time, the times say late") in texts(frames, claims(frames))


def test_a_frame_answered_twice_is_found():
    frames = [fresh(0), fresh(1), carried(1)]
    assert (1, "answered 2 times") in texts(frames, {**claims(frames), "scheduled": 2})


def test_a_missing_frame_is_found_even_when_the_counts_agree():
    frames = [fresh(0), fresh(2)]
    assert texts(frames, claims(frames)) == [(1, "scheduled but not in the log")]


@pytest.mark.parametrize("name", ["scheduled", *OUTCOMES])
def test_each_wrong_count_is_found(name):
    frames = [fresh(0), carried(1), late(2), none(3)]
    claimed = claims(frames)
    claimed[name] += 1
    assert texts(frames, claimed) == [
        (None, f"claims {claimed[name]} {name}, the log has {claimed[name] - 1}")
    ]


def test_a_claim_that_is_left_out_is_found():
    frames = [fresh(0)]
    claimed = claims(frames)
    del claimed["late"]
    assert texts(frames, claimed) == [(None, "claims None late, the log has 0")]


@pytest.mark.parametrize("broken", ["12", True, None])
def test_a_time_that_is_no_number_is_refused(broken):
    with pytest.raises(TypeError, match="number was expected"):
        recompute({**fresh(0), "scheduled_ns": broken})


# -- any log, any single mutation --------------------------------------------------------------------


@st.composite
def consistent_logs(draw, *, least=0):
    """A log whose outcomes follow from its times, in any order."""
    makers = draw(st.lists(st.sampled_from([fresh, carried, late, none]), min_size=least, max_size=20))
    frames = [make(frame_id) for frame_id, make in enumerate(makers)]
    return draw(st.permutations(frames))


def _with(frames, at, **changed):
    return [*frames[:at], {**frames[at], **changed}, *frames[at + 1 :]]


def lie_about_outcome(draw, frames, claimed, at):
    other = draw(st.sampled_from([name for name in OUTCOMES if name != frames[at]["outcome"]]))
    return _with(frames, at, outcome=other), claimed


def lie_and_recount(draw, frames, claimed, at):
    frames, _ = lie_about_outcome(draw, frames, claimed, at)
    return frames, claims(frames)


def drop_a_frame(_draw, frames, claimed, at):
    return [*frames[:at], *frames[at + 1 :]], claimed


def answer_again(_draw, frames, claimed, at):
    return [*frames, frames[at]], claimed


def claim_another_count(draw, frames, claimed, _at):
    name = draw(st.sampled_from(sorted(claimed)))
    return frames, {**claimed, name: claimed[name] + draw(st.integers(-3, 3).filter(bool))}


def move_the_answer_past_the_deadline(_draw, frames, claimed, at):
    line = frames[at]
    if line["outcome"] in ("late", "none"):
        return _with(frames, at, answer_ns=line["scheduled_ns"], result_frame_id=line["frame_id"]), claimed
    return _with(frames, at, answer_ns=line["scheduled_ns"] + DEADLINE_NS + 1), claimed


MUTATIONS = [
    lie_about_outcome,
    lie_and_recount,
    drop_a_frame,
    answer_again,
    claim_another_count,
    move_the_answer_past_the_deadline,
]


@given(frames=consistent_logs())
def test_any_log_that_follows_the_rules_is_agreed_with(frames):
    assert check(HEADSET, frames, claims(frames)) == []


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@settings(max_examples=50)
@given(data=st.data())
def test_any_single_mutation_is_found(mutate, data):
    frames = data.draw(consistent_logs(least=1))
    at = data.draw(st.integers(0, len(frames) - 1))
    mutated, claimed = mutate(data.draw, frames, claims(frames), at)
    assert check(HEADSET, mutated, claimed)


def test_the_checker_imports_nothing_of_the_project():
    tree = ast.parse(Path(checker.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)
