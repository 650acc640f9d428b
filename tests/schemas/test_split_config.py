"""Split configs: a bad value names its field and what to write, and older nodes can read what is at its default."""

import json

import pytest

from schemas.deployments import LATER_FIELDS, TIERS, SplitConfig, Weights
from schemas.documents import canonical_bytes, parse_document
from schemas.errors import MalformedMessage

PAIR, OTHER = {"head_end": 20, "tail_start": 59}, {"head_end": 4, "tail_start": 63}
BAD = [
    ({"criticality": {"hand": "critical"}}, "criticality", "'hands', 'detect', 'text' or 'speech'"),
    ({"criticality": {"hands": "urgent"}}, "criticality.hands", "'routine' or 'critical'"),
    ({"tiers": ["cloud"]}, "tiers", "'local', 'split' or 'offload'"),
    ({"tiers": []}, "tiers", "choose from local, split, offload"),
    ({"tiers": ["local", "local"]}, "tiers", "each once"),
    ({"policy": "offload", "tiers": ["local"]}, "tiers", "add it, or leave tiers out"),
    ({"jpeg_qualities": [5]}, "jpeg_qualities", "greater than or equal to 10"),
    ({"jpeg_qualities": [80]}, "jpeg_qualities", "below jpeg_quality (80)"),
    ({"jpeg_qualities": [60, 60]}, "jpeg_qualities", "write each once"),
    ({"on_time_floor": 1.5}, "on_time_floor", "less than or equal to 1"),
    ({"duplicates_per_s": -1}, "duplicates_per_s", "greater than or equal to 0"),
    ({"duplicates_burst": 1.5}, "duplicates_burst", "valid integer"),
    ({"uplink_ceiling_kbps": 0}, "uplink_ceiling_kbps", "greater than or equal to 1"),
    ({"battery_floor": 15}, "battery_floor", "less than or equal to 1"),
    ({"heat_ceiling_c": 400}, "heat_ceiling_c", "less than or equal to 120"),
    ({"weights": {"energie": 1}}, "weights.energie", "not permitted"),
    ({"weights": {"energy": -1}}, "weights.energy", "greater than or equal to 0"),
    ({"model_loss": {"local": 24}}, "model_loss.local", "less than or equal to 1"),
    ({"shadow_share": 0.2}, "shadow_share", "less than or equal to 0.01"),
    ({"policy": "dead-line"}, "policy", "'deadline'"),
    ({"placements": [PAIR]}, "placements", "name the first of them there"),
    ({"placement": PAIR, "placements": [OTHER, OTHER]}, "placements", "names 4:63 twice"),
    ({"placement": PAIR, "placements": [{**PAIR, "packed": True}]}, "placements", "packed or not"),
    ({"placement": PAIR, "placements": [OTHER] * 4}, "placements", "at most 3 items"),
    ({"placement": PAIR, "placements": [{"head_end": 5}]}, "placements.0.tail_start", "required"),
]


@pytest.mark.parametrize(("written", "field", "advice"), BAD)
def test_a_bad_value_names_its_field_and_what_to_write(written, field, advice):
    with pytest.raises(MalformedMessage) as refused:
        parse_document(SplitConfig, json.dumps(written).encode())
    assert field in str(refused.value)
    assert advice in str(refused.value)


def test_what_has_its_default_is_not_written_so_that_older_nodes_can_read_it():
    written = json.loads(canonical_bytes(SplitConfig()))
    assert not set(LATER_FIELDS) & set(written)
    spelled_out = SplitConfig(tiers=list(TIERS), weights={"quality": 1.0}, on_time_floor=0.25)
    assert canonical_bytes(spelled_out) == canonical_bytes(SplitConfig())


def test_what_differs_from_its_default_comes_back_as_it_was_written():
    config = SplitConfig(
        policy="deadline",
        deadline_ms=33,
        criticality={"hands": "critical"},
        tiers=["local", "offload"],
        jpeg_qualities=[60, 40],
        on_time_floor=0.8,
        duplicates_per_s=2,
        duplicates_burst=4,
        uplink_ceiling_kbps=20_000,
        battery_floor=0.3,
        heat_ceiling_c=42,
        weights={"cost": 2.5},
        model_loss={"local": 0.04},
        shadow_share=0,
        placement=PAIR,
        placements=[{**OTHER, "packed": True}],
    )
    written = canonical_bytes(config)
    assert set(json.loads(written)) >= set(LATER_FIELDS)
    assert parse_document(SplitConfig, written) == config
    assert config.weights == Weights(cost=2.5)
