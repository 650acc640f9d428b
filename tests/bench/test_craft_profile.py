"""The benches of profiles and of the wire, on a model that is small enough for a test."""

import numpy as np
import pytest

from bench import craft_profile, craft_wire
from inference.profile import measure as profile_module
from inference.split.model import split_model
from tests.inference.made_tflite import Made

pytestmark = pytest.mark.usefixtures("photos")


@pytest.fixture
def model(tmp_path):
    """A chain that adds a constant to a picture again and again."""
    made = Made(shape=(1, 32, 32, 3), inputs=("t0",), outputs=("t4",))
    for step in range(4):
        shape = (1, 32, 32, 3)
        made.constant(f"c{step}", np.full(shape, 0.25, np.float32))
        made.operator("ADD", (f"t{step}", f"c{step}"), (f"t{step + 1}",))
    path = tmp_path / "chain.tflite"
    path.write_bytes(made.content())
    return path


def test_the_later_run_is_compared_with_what_the_profile_foretold(model, monkeypatch):
    for module in (profile_module, craft_profile):
        monkeypatch.setattr(module, "steady", lambda values: np.ones(len(values), dtype=bool))
    found = craft_profile.measure([model], samples=5, placements=3, sparse=3, fps=0)
    (row,) = found["profile"]
    assert (row["cuts_legal"], row["cuts_measured"], row["sparse_cuts"], row["placements"]) == (5, 5, 3, 3)
    assert row["median_error_pct"] >= 0
    assert row["sparse_median_error_pct"] >= 0
    assert found["aims"][0]["at_most"] == craft_profile.WORST_MEDIAN_PCT


def test_cuts_of_the_wire_have_fewer_bytes_than_all_before_them(models_dir):
    split = split_model((models_dir / "hand_landmark_lite.tflite").read_bytes())
    sizes = [cut.payload_bytes for cut in craft_wire.candidate_cuts(split.cuts)]
    assert len(sizes) >= 4
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < split.cuts[0].payload_bytes


def test_what_travels_at_a_cut_comes_back_exactly_and_is_told_in_bytes(model):
    found = craft_wire.measure([model], turns=1)
    (row,) = found["wire"]
    assert row["best"]["exact"]
    assert row["best"]["raw_bytes"] == 32 * 32 * 3 * 4
    assert row["best"]["message_bytes"] == row["best"]["raw_bytes"] + row["best"]["overhead_bytes"]
    assert max(row["best"][name] for name in craft_wire.OVERHEADS) <= craft_wire.MOST_OVERHEAD_BYTES
    assert row["jpeg_of_input"]["size_px"] == [32, 32]
