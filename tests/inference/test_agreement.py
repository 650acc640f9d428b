"""The gate's arithmetic: every way an int8 model goes wrong is seen, and a good one passes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import InferenceError
from inference.gate.agreement import compare
from inference.gate.output_rules import OutputRule

N = 200
POINTS = OutputRule(
    name="points", output=0, kind="points", group=3, columns=(0, 2), median=0.015, p90=0.035, only_where=1
)
SCORE = OutputRule(name="score", output=1, kind="score", median=0.02, p90=0.1)


@pytest.fixture
def outputs():
    rng = np.random.default_rng(1)
    points = rng.uniform(20, 200, (N, 63)).astype(np.float32)
    score = np.where(np.arange(N)[:, None] % 4 == 0, 0.02, 0.97).astype(np.float32)
    return [points, score]


def _reasons(outputs, points=None, score=None, rules=(POINTS, SCORE)):
    theirs = [outputs[0] if points is None else points, outputs[1] if score is None else score]
    return [reason for row in compare(outputs, theirs, rules) for reason in row.reasons]


def test_a_model_agrees_with_itself(outputs):
    assert _reasons(outputs) == []
    assert all(row.max == 0 and row.margin == 0 for row in compare(outputs, outputs, (POINTS, SCORE)))


def test_small_differences_pass_and_are_measured(outputs):
    rows = compare(outputs, [outputs[0] + np.float32(0.5), outputs[1]], (POINTS, SCORE))
    assert rows[0].reasons == ()
    assert 0 < rows[0].median < 0.015


def test_only_samples_where_something_was_found_count_for_points(outputs):
    spoiled = outputs[0].copy()
    spoiled[::4] += 500  # the float model sees nothing there
    rows = compare(outputs, [spoiled, outputs[1]], (POINTS, SCORE))
    assert rows[0].reasons == ()
    assert rows[0].samples == N * 3 // 4


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.5, "never above"), (0.51, "never below"), (0.9, "never below"), (0.1, "never above")],
)
def test_a_dead_score_head_is_refused(outputs, value, reason):
    stuck = np.full_like(outputs[1], value)
    assert any(reason in text and text.word == "dead_scores" for text in _reasons(outputs, score=stuck))


def test_flipped_decisions_are_refused_even_when_medians_are_fine(outputs):
    flipped = outputs[1].copy()
    flipped[:5] = 1 - flipped[:5]
    assert any("5 of 200 decisions flipped" in text for text in _reasons(outputs, score=flipped))


def test_one_flip_in_a_hundred_is_within_the_rule(outputs):
    flipped = outputs[1].copy()
    flipped[:2] = 1 - flipped[:2]
    assert _reasons(outputs, score=flipped) == []


def test_flips_where_the_float_model_does_not_know_are_counted_apart(outputs):
    unsure = [outputs[0], outputs[1].copy()]
    unsure[1][:10] = 0.52
    theirs = unsure[1].copy()
    theirs[:10] = 0.49
    row = compare(unsure, [unsure[0], theirs], (replace(POINTS, only_where=None), SCORE))[1]
    assert (row.flips, row.borderline_flips, row.reasons) == (0, 10, ())


def test_collapsed_points_are_refused(outputs):
    flat = np.broadcast_to(outputs[0].mean(axis=0), outputs[0].shape).copy()
    assert any("collapsed" in text or "difference" in text for text in _reasons(outputs, points=flat))
    rule = OutputRule(name="values", output=0, kind="values", median=9, p90=9)
    assert any(
        "63 of 63 columns hardly vary" in text for text in _reasons(outputs, points=flat, rules=(rule, SCORE))
    )


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_values_that_are_not_numbers_are_refused(outputs, poison):
    bad = outputs[0].copy()
    bad[3, 4] = poison
    assert any("not numbers" in text for text in _reasons(outputs, points=bad))


def test_large_differences_are_refused_with_the_figures(outputs):
    reasons = _reasons(outputs, points=outputs[0] * np.float32(1.2))
    assert any("median difference" in text and "allowed are 0.0150" in text for text in reasons)


def test_an_output_without_a_rule_is_not_judged_by_silence(outputs):
    with pytest.raises(InferenceError, match="have no rule"):
        compare(outputs, outputs, (POINTS,))


def test_outputs_of_different_shape_are_refused(outputs):
    with pytest.raises(InferenceError, match="differ in shape"):
        compare(outputs, [outputs[0][:, :60], outputs[1]], (POINTS, SCORE))


def test_a_rule_that_no_sample_can_judge_refuses(outputs):
    nothing = [outputs[0], np.full_like(outputs[1], 0.1)]
    assert any("no held-back sample" in text for text in _reasons(nothing))


@given(st.floats(0.0, 1.0, width=32), st.integers(0, 2**32 - 1))
def test_more_noise_never_looks_better(amount, seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 224, (20, 63)).astype(np.float32)
    noise = rng.standard_normal((20, 63)).astype(np.float32)
    rule = replace(POINTS, only_where=None)
    less = compare([points], [points + noise * np.float32(amount)], (rule,))[0]
    more = compare([points], [points + noise * np.float32(amount + 1)], (rule,))[0]
    assert less.median <= more.median
    assert less.max <= more.max
