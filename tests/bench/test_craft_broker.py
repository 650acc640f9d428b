"""The placements that are measured over the broker are five, of every kind, and cuts that the model has."""

from bench.craft_broker import LANDMARK, ROWS, WITHOUT_INT8, _int8_row
from headway.split_check import kind_of
from inference.split.model import split_model


def test_the_measured_placements_are_legal_and_of_every_kind(models_dir):
    split = split_model((models_dir / f"{LANDMARK}.tflite").read_bytes())
    legal = {cut.position for cut in split.cuts}
    placements = [row.placement(split) for row in (*ROWS, WITHOUT_INT8, _int8_row(split))]
    assert all({placement.start, placement.end} <= legal for placement in placements)
    assert len({kind_of(placement, split) for placement in placements[: len(ROWS)]}) == 4
