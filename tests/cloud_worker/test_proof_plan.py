"""Which placements may be proved when: final failures stay, others are tried again, and nobody gets a whole core."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.proof_plan import NS_PER_S, ProofLimits, ProofPlan, Verdict
from schemas.placements import Placement

MODEL, OTHER = b"\x01" * 32, b"\x02" * 32
LEGAL = frozenset(range(200))


def key(start, end, model=MODEL):
    return model, Placement(start=start, end=end)


def plan(**limits):
    return ProofPlan({MODEL: LEGAL, OTHER: LEGAL}, limits=ProofLimits(**limits))


def fail(proofs, what, *, now_s, final=False, why="the child timed out"):
    """Begin a proof that fails."""
    now_ns = now_s * NS_PER_S
    assert proofs.hindrance(what, now_ns=now_ns) is None
    proofs.begin(what, now_ns=now_ns)
    proofs.end(what, Verdict(why=why, final=final), now_ns=now_ns)


def test_a_placement_that_was_judged_is_never_proved_again():
    proofs = plan()
    fail(proofs, key(1, 2), now_s=0, final=True, why="its results differ")
    told = proofs.hindrance(key(1, 2), now_ns=10**6 * NS_PER_S)
    assert (told.detail, told.retry_after_ms) == ("its results differ", 0)


def test_a_proof_that_did_not_end_is_tried_again_after_pauses_that_double_up_to_a_bound():
    proofs, now_s, pauses = plan(), 0, []
    for _ in range(7):
        fail(proofs, key(1, 2), now_s=now_s)
        told = proofs.hindrance(key(1, 2), now_ns=now_s * NS_PER_S)
        assert "the child timed out" in told.detail
        pauses.append(told.retry_after_ms // 1000)
        now_s += pauses[-1]
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    proofs.begin(key(1, 2), now_ns=now_s * NS_PER_S)
    proofs.end(key(1, 2), Verdict(), now_ns=now_s * NS_PER_S)
    fail(proofs, key(1, 2), now_s=now_s)  # forgotten as proved since: its failures count anew
    assert proofs.hindrance(key(1, 2), now_ns=now_s * NS_PER_S).retry_after_ms == 5000


def test_one_model_gets_so_many_proofs_in_a_minute_and_another_model_its_own():
    proofs = plan(per_minute=3)
    for end in (2, 3, 4):
        proofs.begin(key(1, end), now_ns=end * NS_PER_S)
        proofs.end(key(1, end), Verdict(), now_ns=end * NS_PER_S)
    told = proofs.hindrance(key(1, 9), now_ns=10 * NS_PER_S)
    assert told.detail == "ask again in 52.0 s: 3 proofs of this model were begun in the last minute"
    assert told.retry_after_ms == 52_000
    assert proofs.hindrance(key(1, 9, OTHER), now_ns=10 * NS_PER_S) is None
    assert proofs.hindrance(key(1, 9), now_ns=62 * NS_PER_S) is None


def test_all_models_together_get_so_many_proofs_in_a_minute():
    proofs = plan(per_minute=3, per_minute_in_all=4)
    for end in (2, 3, 4):
        proofs.begin(key(1, end), now_ns=0)
        proofs.end(key(1, end), Verdict(), now_ns=0)
    proofs.begin(key(1, 2, OTHER), now_ns=0)
    told = proofs.hindrance(key(1, 3, OTHER), now_ns=0)
    assert told.detail == "ask again in 60.0 s: 4 proofs of all models were begun in the last minute"
    assert proofs.hindrance(key(1, 3, OTHER), now_ns=60 * NS_PER_S) is None


def test_a_full_line_says_so_and_who_is_in_it_is_told_to_wait():
    proofs = plan(waiting=2)
    proofs.begin(key(1, 2), now_ns=0)
    proofs.begin(key(1, 3), now_ns=0)
    assert "2 other proofs wait here" in proofs.hindrance(key(1, 4), now_ns=0).detail
    assert proofs.hindrance(key(1, 2), now_ns=0).detail == "operators 1 to 2 are being proved here: ask again"


def test_positions_that_are_no_cuts_cost_no_proof():
    told = plan().hindrance(key(1, 700), now_ns=0)
    assert told.detail.startswith("700 is no legal cut")
    assert told.retry_after_ms == 0


@pytest.mark.parametrize("final", [True, False])
def test_failures_are_remembered_up_to_a_bound(final):
    proofs = plan(failed=3, per_minute=100, per_minute_in_all=100)
    for end in range(2, 9):
        fail(proofs, key(1, end), now_s=0, final=final)
    assert len(proofs._failed) == 3
    assert proofs.hindrance(key(1, 2), now_ns=0) is None
    assert proofs.hindrance(key(1, 8), now_ns=0) is not None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 60), st.booleans()), max_size=200))
def test_whatever_is_asked_for_proofs_keep_to_their_budget_and_their_line(asks):
    proofs, now_ns, begun = plan(waiting=4, per_minute=6), 0, []
    waiting = []
    for step_s, end, ends_one in asks:
        now_ns += step_s * NS_PER_S
        if ends_one and waiting:
            proofs.end(waiting.pop(0), Verdict(why="no", final=False), now_ns=now_ns)
        told = proofs.hindrance(key(0, end), now_ns=now_ns)
        if told is None:
            proofs.begin(key(0, end), now_ns=now_ns)
            waiting.append(key(0, end))
            begun.append(now_ns)
        else:
            assert told.detail
            assert told.retry_after_ms > 0
        assert proofs.waiting() == len(waiting) <= 4
    for first, seventh in zip(begun, begun[6:], strict=False):
        assert seventh - first >= 60 * NS_PER_S
