"""The parity bench: small models whole, counts that add up, budgets kept, nothing hidden."""

import pytest

from bench.craft_parity import measure
from bench.parity_subjects import ROUTES, subject
from bench.parity_work import Found, steps_within
from inference.parity.check import ParityReport
from tests.inference.made_tflite import Made


@pytest.fixture
def small(tmp_path):
    made = Made()
    made.operator("MUL", ["x", "x"], ["a"])
    made.operator("ADD", ["a", "x"], ["y"])
    path = tmp_path / "small.tflite"
    path.write_bytes(made.content())
    return path


def test_a_small_model_is_exact_on_every_route_and_a_strange_file_is_listed_as_refused(small, tmp_path):
    strange = tmp_path / "strange.tflite"
    strange.write_bytes(b"text that is no model")
    found = measure([small, strange], pairs=2)
    *rows, refused = found["parity"]
    assert [row["path"] for row in rows] == [route.words for route in ROUTES["tflite"]]
    for row in rows:
        assert (row["cuts"], row["cuts_legal"], row["exact"], row["every"]) == (2, 2, 2, 1)
        assert (row["pairs"], row["pairs_exact"]) == (2, 2)
        assert row["stock_exact"]
    assert found["one_path_exact"]
    assert found["one_path_inexact"] == found["stock_inexact_by_default"] == []
    assert "neither" in refused["refused"]
    assert found["refused"] == ["strange"]


def test_no_row_is_exact_where_nothing_could_be_checked(small, tmp_path):
    """An operator that no engine knows: every batch is refused."""
    made = Made()
    made.operator("CUSTOM", ["x"], ["y"], custom="TFLite_Detection_PostProcess")
    path = tmp_path / "broken.tflite"
    path.write_bytes(made.content())
    found = measure([small, path], pairs=1)
    assert not found["one_path_exact"]
    assert len(found["failed"]) == len(ROUTES["tflite"])
    assert all(row["exact"] == 0 for row in found["parity"] if row["refused"])


def test_a_batch_that_was_refused_counts_as_tried_and_not_exact():
    found = Found()
    found.add([(0, 3), (1, 3)], ParityReport(pairs=2, exact=1, differing=((1, 3),), fingerprints=("a", "a")))
    found.add([(2, 3)], ParityReport(pairs=1, refused="the check crashed"))
    assert found.count([(0, 3), (1, 3), (2, 3), (9, 9)]) == (3, 1)
    assert found.refused == {"the check crashed"}
    assert found.fingerprints == ("a", "a")


def test_small_models_are_done_whole_and_large_ones_share_what_is_left(small):
    first, second, third = (subject(small) for _ in range(3))
    steps = steps_within({first: 1.0, second: 30.0, third: 60.0}, 31.0)
    assert steps == {first: 1, second: 2, third: 4}
    assert steps_within({first: 1.0, second: 5.0}, float("inf")) == {first: 1, second: 1}
    assert steps_within({first: 1.0}, -5.0)[first] > 1
