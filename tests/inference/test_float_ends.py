"""The search for float operators against models whose needs are known: what it finds suffices, and little is too much."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gate.agreement import OutputAgreement
from inference.quantize.float_ends import FloatEnds, SearchBounds, cones_of, find_ends

BOUNDS = SearchBounds(max_stem=8, max_tail=12, margin=0.3, slack=1.25)


@dataclass(frozen=True)
class Step:
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


# A trunk of 20 operators, then three heads of two operators each; tensor n + 1 is written by operator n.
STEPS = (
    *(Step((n,), (n + 1,)) for n in range(20)),
    *(Step((20 if n % 2 == 0 else 20 + n,), (21 + n,)) for n in range(6)),
)
CONES = cones_of(STEPS, (22, 24, 26))


def row(margin: float) -> OutputAgreement:
    return OutputAgreement(
        name="", samples=1, median=0, p90=0, max=0, flips=0, borderline_flips=0, margin=margin, reasons=()
    )


def search(needed: set[int]):
    """Every needed operator that is not float costs its outputs their agreement."""
    asked = []

    def measure(ends):
        kept = set(ends.operators(len(STEPS), CONES))
        asked.append(kept)
        return [row(0.9 if (needed - kept) & set(cone) else 0.1) for cone in CONES]

    return find_ends(measure, count=len(STEPS), cones=CONES, bounds=BOUNDS), asked


def test_each_output_depends_on_the_trunk_and_its_own_head():
    assert tuple((*range(20), 20 + 2 * n, 21 + 2 * n) for n in range(3)) == CONES


def test_where_nothing_has_to_stay_float_nothing_does():
    ends, asked = search(set())
    assert ends == FloatEnds(stem=0, tail=0)
    assert len(asked) == 1


def test_only_the_head_that_needs_it_stays_float():
    ends, _ = search({20, 21})
    assert set(ends.operators(len(STEPS), CONES)) == {20, 21}
    assert ends.heads == (2, 0, 0)


@pytest.mark.parametrize(("needed", "stem"), [({0}, 1), ({0, 1, 2, 25}, 3)])
def test_the_stem_is_as_long_as_the_first_operators_need(needed, stem):
    ends, _ = search(needed)
    assert ends.stem == stem
    assert needed <= set(ends.operators(len(STEPS), CONES))


@given(st.sets(st.sampled_from([*range(6), *range(14, 26)])))
def test_what_is_needed_within_the_bounds_is_found(needed):
    ends, asked = search(needed)
    assert needed <= set(ends.operators(len(STEPS), CONES))
    assert len(asked) <= 20


def test_without_heads_the_whole_tail_is_float():
    assert FloatEnds(stem=2, tail=3).operators(9) == (0, 1, 6, 7, 8)
    assert FloatEnds(stem=5, tail=9).operators(4) == (0, 1, 2, 3)


def test_a_small_model_is_never_left_float_altogether():
    steps = [Step((n,), (n + 1,)) for n in range(7)]
    cones = cones_of(steps, (7,))

    def measure(ends):
        return [row(0.1 if {5, 6} <= set(ends.operators(7, cones)) else 0.9)]

    assert find_ends(measure, count=7, cones=cones, bounds=BOUNDS).operators(7, cones) == (5, 6)
