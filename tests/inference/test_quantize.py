"""Quantisation of the real hand model on real photos: what it must reach, what it must refuse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import QuantiseRefusedError
from inference.gate.answers import answers
from inference.gate.int8_share import int8_operators
from inference.gate.speed import SpeedReport, measure_gain
from inference.gate.verdict import GateLimits, Structure, structural_reasons
from inference.packages.making import quantisation_of
from inference.quantize.float_ends import FloatEnds
from inference.quantize.photo_samples import PhotoSamples, canaries, split_photos
from inference.quantize.photo_sources import read_photo
from inference.quantize.search import QuantiseConfig, quantise
from inference.quantize.tasks import photo_digest, quantise_task, sample_photos
from inference.runtimes.registry import open_runtime
from inference.tflite.graph import parse_graph, read_graph
from inference.tflite.write import add_signature, fold_float16, operator_counts, pack

HANDS = quantise_task("hands")
BARE_CORNER = "Threshold_inRange_Tutorial_Result_input.jpeg"
# Speed on a shared test machine is no property of the model: the gate's own arithmetic is tested apart.
CONFIG = QuantiseConfig(
    ends=FloatEnds(stem=5, tail=9),
    min_gain=0.0,
    min_gain_without=0.0,
    speed_turns=3,
    max_calibration_inputs=20,
)


@pytest.fixture(scope="module")
def model(models_dir) -> Path:
    return models_dir / "hand_landmark_full.tflite"


@pytest.fixture(scope="module")
def lite(models_dir) -> Path:
    return models_dir / "hand_landmark_lite.tflite"


@pytest.fixture(scope="module")
def runtime():
    return open_runtime("litert")


@pytest.fixture(scope="module")
def photos(hand_photos, models_dir, model, runtime) -> list[PhotoSamples]:
    """Inputs of four real photos with a hand and of one bare corner of them."""
    images = [read_photo(path) for path in hand_photos.values()]
    images.append(np.ascontiguousarray(read_photo(hand_photos[BARE_CORNER])[:, :250]))
    helpers = {"palm": runtime.load(models_dir / "palm_detection_full.tflite")}
    return sample_photos(images, HANDS, model=runtime.load(model), helpers=helpers, seed=0)


@pytest.fixture(scope="module")
def quantised(model, photos, runtime):
    return quantise(model, photos=photos, rules=HANDS.rules, runtime=runtime, config=CONFIG)


@pytest.fixture(scope="module")
def int8_file(quantised, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "int8.tflite"
    path.write_bytes(quantised.content)
    return path


@pytest.fixture(scope="module")
def int8_edges_file(int8_file, tmp_path_factory) -> Path:
    """One convolution cut out of the int8 model: int8 goes in and int8 comes out."""
    graph = read_graph(int8_file)
    in_int8 = [
        n
        for n, op in enumerate(graph.operators)
        if op.name == "CONV_2D"
        and {graph.tensors[op.inputs[0]].dtype, graph.tensors[op.outputs[0]].dtype} == {"int8"}
    ]
    document = graph.unpack()
    plain = document.subgraphs[0]
    kept = plain.operators[in_int8[0]]
    plain.operators = [kept]
    plain.inputs, plain.outputs = kept.inputs[:1], kept.outputs
    document.signatureDefs = None
    path = tmp_path_factory.mktemp("edges") / "edges.tflite"
    path.write_bytes(pack(document))
    return path


def test_int8_agrees_with_float_on_photos_never_seen(quantised):
    rows = {row.name: row for row in quantised.agreement}
    assert rows["landmarks"].median <= 0.015
    assert rows["landmarks"].p90 <= 0.035
    assert set(rows) == {"landmarks", "landmark_depth", "presence", "handedness", "world_landmarks"}
    assert all(row.flips == 0 for row in rows.values())


def test_calibration_and_held_back_photos_share_none(quantised):
    calibration = {photo.digest for photo in quantised.split.calibration}
    held_back = {photo.digest for photo in quantised.split.held_back}
    assert calibration
    assert held_back
    assert not calibration & held_back


def test_most_operators_work_on_int8_and_the_file_shrinks(quantised, model):
    graph = parse_graph(quantised.content)
    assert int8_operators(graph) == (quantised.structure.int8_operators, quantised.structure.operators)
    assert quantised.structure.int8_operators / quantised.structure.operators > 0.7
    assert len(quantised.content) < model.stat().st_size
    assert "FULLY_CONNECTED" in operator_counts(graph)


def test_the_edges_keep_their_names_shapes_and_dtypes(quantised, model, runtime, tmp_path):
    path = tmp_path / "int8.tflite"
    path.write_bytes(quantised.content)
    original, made = runtime.load(model), runtime.load(path)
    assert original.inputs() == made.inputs()
    assert original.outputs() == made.outputs()
    assert quantisation_of(path) == "mixed"
    assert quantisation_of(model) == "float16"


def test_the_same_photos_and_seed_give_the_same_bytes(quantised, model, photos, runtime):
    shuffled = [photos[index] for index in np.random.default_rng(4).permutation(len(photos))]
    again = quantise(model, photos=shuffled, rules=HANDS.rules, runtime=runtime, config=CONFIG)
    assert again.content == quantised.content


def test_plain_int8_is_refused_for_its_dead_presence_head(lite, photos, runtime):
    plain = replace(CONFIG, ends=FloatEnds(stem=0, tail=0))
    with pytest.raises(QuantiseRefusedError) as refusal:
        quantise(lite, photos=photos, rules=HANDS.rules, runtime=runtime, config=plain)
    reasons = "\n".join(refusal.value.reasons)
    assert "dead_scores: presence is never below 0.5" in reasons
    assert "world_landmarks" in reasons


def test_everything_float_is_refused_because_nothing_is_int8(lite, photos, runtime):
    nothing = replace(CONFIG, ends=FloatEnds(stem=1000, tail=0))
    with pytest.raises(QuantiseRefusedError, match="no operator works on int8"):
        quantise(lite, photos=photos, rules=HANDS.rules, runtime=runtime, config=nothing)


def test_the_search_finds_ends_that_pass_and_keep_the_scores_float(lite, photos, runtime):
    steps: list[str] = []
    config = replace(CONFIG, ends=None, max_stem=2, max_calibration_inputs=16, max_search_inputs=16)
    result = quantise(
        lite, photos=photos, rules=HANDS.rules, runtime=runtime, config=config, tell=steps.append
    )
    assert result.ends.tail >= 4
    assert all(not row.reasons for row in result.agreement)
    assert steps[0].startswith("calibrating")
    assert steps[-1].startswith("judging")


def test_a_model_that_is_int8_already_is_refused(int8_file, photos, runtime):
    with pytest.raises(QuantiseRefusedError, match="quantised already"):
        quantise(int8_file, photos=photos, rules=HANDS.rules, runtime=runtime, config=CONFIG)


def test_too_few_distinct_photos_are_refused(model, photos, runtime):
    with pytest.raises(QuantiseRefusedError, match="at least 3"):
        quantise(model, photos=[photos[0]] * 9, rules=HANDS.rules, runtime=runtime, config=CONFIG)


def _photo(digest: str, *, found: int = 1, empty: int = 0) -> PhotoSamples:
    blank = np.zeros((1, 2, 2, 3), np.float32)
    return PhotoSamples(digest=digest, found=(blank,) * found, empty=(blank,) * empty)


def test_the_split_holds_back_photos_that_show_nothing():
    photos = [*(_photo(f"{n}") for n in range(5)), _photo("empty", found=0, empty=2)]
    split = split_photos(photos, held_back_share=0.4, rng=np.random.default_rng(0))
    assert (len(split.calibration), len(split.held_back)) == (3, 3)
    assert "empty" in {photo.digest for photo in split.held_back}


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_neither_side_of_the_split_is_ever_empty(share):
    split = split_photos(
        [_photo(f"{n}") for n in range(3)], held_back_share=share, rng=np.random.default_rng(0)
    )
    assert split.calibration
    assert split.held_back


def test_canaries_come_from_several_photos_and_one_shows_nothing():
    photos = [_photo("a", found=5), _photo("b", empty=1)]
    assert len(canaries(photos)) == 4


def test_a_photo_is_known_by_its_pixels():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert photo_digest(image) == photo_digest(image.copy())
    assert photo_digest(image) != photo_digest(image.reshape(2, 8, 3))


def _speed(gain: float, *, dot_product: bool = True) -> SpeedReport:
    return SpeedReport(
        gain=gain, base_ms=10.0, candidate_ms=10.0 / gain, turns=3, int8_dot_product=dot_product
    )


GOOD = Structure(int8_operators=5, operators=9, new_bytes=500, old_bytes=1000)


@pytest.mark.parametrize(
    ("structure", "speed", "word"),
    [
        (replace(GOOD, int8_operators=0), _speed(1.5), "no_int8"),
        (replace(GOOD, new_bytes=1000), _speed(1.5), "not_smaller"),
        (GOOD, _speed(0.95), "no_speed_gain"),
        (GOOD, _speed(0.7, dot_product=False), "no_speed_gain"),
    ],
)
def test_a_result_that_is_not_worth_shipping_is_refused(structure, speed, word):
    assert structural_reasons(GOOD, speed=_speed(1.5), limits=GateLimits()) == []
    (reason,) = structural_reasons(structure, speed=speed, limits=GateLimits())
    assert reason.word == word


@pytest.mark.parametrize("speed", [_speed(0.95, dot_product=False), None])
def test_without_a_dot_product_instruction_equal_speed_is_no_reason_nor_is_speed_unjudged(speed):
    assert structural_reasons(GOOD, speed=speed, limits=GateLimits()) == []


def test_speed_is_measured_against_the_float_model(lite, model, runtime):
    small, full = runtime.load(lite), runtime.load(model)
    crop = np.zeros((1, 224, 224, 3), np.float32)
    report = measure_gain(full, small, base_input=[crop], candidate_input=[crop], turns=9)
    assert report.gain > 1.1
    assert report.turns == 9


def test_sampled_inputs_are_what_the_model_takes(photos, model, runtime):
    spec = runtime.load(model).inputs()[0]
    arrays = [array for photo in photos for array in photo.inputs]
    assert {array.shape for array in arrays} == {spec.shape}
    assert all(array.min() >= 0 and array.max() <= 1 for array in arrays)


def test_answers_are_float32_whatever_the_edges(int8_edges_file, runtime):
    model = runtime.load(int8_edges_file)
    (taken,), (given,) = model.inputs(), model.outputs()
    assert (taken.dtype, given.dtype, quantisation_of(int8_edges_file)) == ("int8", "int8", "int8")
    steps = np.random.default_rng(0).integers(-128, 128, taken.shape).astype(np.int8)
    sample = (steps.astype(np.float32) - taken.zero_point) * np.float32(taken.scale)
    (values,) = answers(model, [sample, sample])
    assert values.dtype == np.float32
    assert values.shape == (2, *given.shape[1:])
    (raw,) = model.run([steps])
    assert len(np.unique(raw)) > 100
    assert values[0] == pytest.approx((raw[0].astype(np.float32) - given.zero_point) * given.scale, rel=1e-5)
    assert np.array_equal(values[0], values[1])


def test_an_int8_model_rewritten_answers_byte_for_byte_the_same(
    int8_file, int8_edges_file, runtime, tmp_path
):
    for number, path in enumerate((int8_file, int8_edges_file)):
        graph = read_graph(path)
        rewritten = add_signature(fold_float16(graph))
        assert operator_counts(rewritten) == operator_counts(graph)
        (tmp_path / f"{number}.tflite").write_bytes(rewritten.content)
        before, after = runtime.load(path), runtime.load(tmp_path / f"{number}.tflite")
        (spec,) = before.inputs()
        sample = (np.random.default_rng(5).random(spec.shape) * 100).astype(spec.dtype)
        assert [a.tobytes() for a in before.run([sample])] == [a.tobytes() for a in after.run([sample])]


def test_the_original_is_left_as_it_was(quantised, model):
    assert operator_counts(read_graph(model))["DEQUANTIZE"] == 102
