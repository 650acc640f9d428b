"""The gate as a whole: verdicts on pairs of files, rules where a task has none, what photos and videos it is shown."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from inference.cli import model as commands
from inference.errors import InferenceError, QuantiseRefusedError, TaskError
from inference.gate.int8_share import int8_share, stores_half
from inference.gate.output_rules import generic_rules
from inference.gate.verdict import GateLimits, Structure, judge
from inference.packages.making import engine_of, quantisation_of
from inference.packages.verify import Pair, verify
from inference.quantize.float_ends import FloatEnds
from inference.quantize.photo_samples import PhotoSamples
from inference.quantize.photo_sources import frame_groups, photo_paths, read_shown
from inference.quantize.quantizer import Int8Writer
from inference.quantize.search import QuantiseConfig, quantise
from inference.quantize.tasks import PLAIN_IMAGES, quantise_task, sample_shown
from inference.refusals import REASONS, Reason
from inference.runtimes.base import TensorSpec
from inference.tasks.detect_inputs import BORDER, detector_edges, detector_input
from inference.tflite.graph import read_graph
from tests.inference.onnx_made import made, row

UNJUDGED = GateLimits(speed_turns=0)
STRUCTURE = Structure(int8_operators=1, operators=1, new_bytes=1, old_bytes=2)
SIDE, CELLS, CLASSES = 64, 84, 3  # 8x8 + 4x4 + 2x2 cells
runner = CliRunner()


class Answering:
    """A model that answers what a function makes of its input."""

    def __init__(self, function, inputs, outputs):
        self._function, self._inputs, self._outputs = function, inputs, outputs

    def inputs(self):
        return self._inputs

    def outputs(self):
        return self._outputs

    def run(self, inputs):
        return tuple(self._function(inputs[0]))

    def close(self):
        pass


def spec(*shape: int) -> TensorSpec:
    return TensorSpec(name=f"t{len(shape)}", shape=shape, dtype="float32")


def detector(rows: int, columns: int = 5 + CLASSES, *, first: bool = True) -> Answering:
    shape = (1, 3, SIDE, SIDE) if first else (1, SIDE, SIDE, 3)
    return Answering(lambda _x: [], (spec(*shape),), (spec(1, rows, columns),))


def detections(image):
    """Boxes, sure scores and classes that depend on the pixels."""
    rng = np.random.default_rng(int(image.sum()) % 1000)
    boxes = rng.normal(0, 3, (1, CELLS, 4))
    scores = np.where(rng.random((1, CELLS, 1 + CLASSES)) < 0.3, 0.9, 0.02)
    return [np.concatenate([boxes, scores], axis=2).astype(np.float32)]


def spoiled(function):
    """A detector whose answers are spoiled by a function."""
    edges = (spec(1, 3, SIDE, SIDE),), (spec(1, CELLS, 5 + CLASSES),)
    return Answering(lambda x: [function(detections(x)[0].copy())], *edges)


def samples(count: int = 6):
    rng = np.random.default_rng(3)
    return [rng.random((1, 3, SIDE, SIDE), np.float32) * 255 for _ in range(count)]


def words(verdict) -> set[str]:
    return {reason.word for reason in verdict.reasons}


def clipped(answer):
    answer[..., :4] = answer[..., :4].clip(0, 1)
    return answer


def dead(answer):
    answer[..., 4:] = answer[..., 4:].clip(0, 0.4)
    return answer


def poisoned(answer):
    answer[0, 0, 0] = np.nan
    return answer


@pytest.mark.parametrize(
    ("spoil", "word"), [(clipped, "collapsed_boxes"), (dead, "dead_scores"), (poisoned, "not_numbers")]
)
@pytest.mark.parametrize("rules", [quantise_task("detect").rules, ()], ids=["task", "generic"])
def test_a_spoiled_detector_is_refused_with_the_word_for_it(spoil, word, rules):
    verdict = judge(
        spoiled(lambda a: a),
        spoiled(spoil),
        samples=samples(),
        rules=rules,
        structure=STRUCTURE,
        limits=UNJUDGED,
    )
    assert word in words(verdict)


@pytest.mark.parametrize("rules", [quantise_task("detect").rules, ()], ids=["task", "generic"])
def test_a_detector_that_errs_little_is_accepted(rules):
    def near(answer):
        return answer + np.float32(0.01)

    pair = spoiled(lambda a: a), spoiled(near)
    verdict = judge(*pair, samples=samples(), rules=rules, structure=STRUCTURE, limits=UNJUDGED)
    assert verdict.accepted
    assert verdict.view()["outputs"]


def test_numbers_are_missing_in_the_original_too():
    pair = spoiled(poisoned), spoiled(lambda a: a)
    verdict = judge(
        *pair, samples=samples(), rules=quantise_task("detect").rules, structure=STRUCTURE, limits=UNJUDGED
    )
    assert words(verdict) == {"not_numbers"}
    assert "float original" in str(verdict.reasons[0])
    assert json.loads(json.dumps(verdict.view(), allow_nan=False))["outputs"]["boxes"]["median"] is None


def test_a_model_of_no_fixed_image_size_needs_its_task_named():
    loose = Answering(None, (spec(-1, 3, -1, -1),), ())
    with pytest.raises(TaskError, match="name its task"):
        PLAIN_IMAGES.sample(np.zeros((4, 4, 3), np.uint8), loose, {}, np.random.default_rng(0))


def test_models_with_other_edges_are_refused_before_they_run():
    verdict = judge(
        detector(CELLS), detector(3 * CELLS), samples=(), rules=(), structure=STRUCTURE, limits=UNJUDGED
    )
    assert words(verdict) == {"other_edges"}
    assert verdict.view()["speed_gain"] is None


def test_channels_may_lie_elsewhere_in_the_candidate():
    moved = Answering(
        lambda x: detections(x.transpose(0, 3, 1, 2)),
        (spec(1, SIDE, SIDE, 3),),
        (spec(1, CELLS, 5 + CLASSES),),
    )
    verdict = judge(
        spoiled(lambda a: a), moved, samples=samples(), rules=(), structure=STRUCTURE, limits=UNJUDGED
    )
    assert verdict.accepted
    assert all(part.max < 1e-5 for part in verdict.agreement)


def test_generic_rules_tell_scores_boxes_and_values_apart():
    rng = np.random.default_rng(0)
    one, many = rng.random((5, 1)), rng.random((5, 9))
    boxes, values = rng.normal(0, 9, (5, 7, 4)), rng.normal(0, 9, (5, 10))
    rules = generic_rules(
        [array.astype(np.float32) for array in (one, many, boxes, values)], ["a", "b", "c", "d"]
    )
    assert [rule.kind for rule in rules] == ["score", "scores", "boxes", "values"]


def test_a_reason_outside_the_table_does_not_exist():
    with pytest.raises(KeyError):
        Reason("bad_luck", "")
    reason = Reason("no_int8", "nothing")
    assert reason == "no_int8: nothing"
    assert reason.view() == {"word": "no_int8", "detail": "nothing", "fix": REASONS["no_int8"]}
    assert REASONS["no_int8"] in str(QuantiseRefusedError(reason))


def test_each_family_of_detectors_is_fed_as_it_was_trained():
    photo = np.zeros((32, 64, 3), np.uint8)
    photo[..., 0] = 200  # red
    yolox = detector_input(photo, edges=detector_edges(detector(CELLS)))
    assert yolox.shape == (1, 3, SIDE, SIDE)
    assert (yolox[0, :, 0, 0] == (0, 0, 200)).all()
    assert (yolox[0, :, -1, 0] == BORDER).all()
    yolov5 = detector_input(photo, edges=detector_edges(detector(3 * CELLS, first=False)))
    assert yolov5.shape == (1, SIDE, SIDE, 3)
    assert yolov5[0, 0, 0, 0] == pytest.approx(BORDER / 255)
    assert yolov5[0, SIDE // 2, 0] == pytest.approx((200 / 255, 0, 0))


@pytest.mark.parametrize(
    "strange", [detector(CELLS + 1), detector(CELLS, 5), Answering(None, (spec(1, 9),), ())]
)
def test_what_is_no_known_detector_is_refused(strange):
    with pytest.raises(TaskError, match="not a detector known here"):
        detector_edges(strange)


def test_stretches_of_a_video_lie_a_second_apart_and_a_short_one_is_one_photo():
    groups = frame_groups(300, 25.0)
    assert len(groups) == 6
    assert all(after[0] - before[-1] >= 25 for before, after in itertools.pairwise(groups))
    assert len(frame_groups(100, 25.0)) == 1
    assert frame_groups(1, 25.0) == [[0]]


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (64, 48))
    for number in range(40):
        writer.write(np.full((48, 64, 3), 6 * number, np.uint8))
    writer.release()
    return path


def test_a_folder_may_hold_photos_and_videos(video, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((8, 8, 3), 7, np.uint8))
    shutil.copy(video, tmp_path)
    groups = list(read_shown(photo_paths(tmp_path)))
    assert [len(group) for group in groups] == [1, 4, 4, 4, 4]
    frame = groups[2][0]
    assert frame.shape == (48, 64, 3)
    assert abs(int(frame.mean()) - 6 * frame_groups(40, 5.0)[1][0]) < 4


def test_what_is_no_photo_or_video_is_refused(tmp_path):
    with pytest.raises(InferenceError, match="holds no photo or video"):
        photo_paths(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InferenceError, match="no video ending in"):
        photo_paths(tmp_path / "a.txt")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(InferenceError, match="no video that can be read"):
        list(read_shown([broken]))


def classifier(folder: Path) -> Path:
    """A small float .onnx model of images with two outputs."""
    rng = np.random.default_rng(1)
    weights = {
        "w": rng.normal(0, 0.2, (32, 3, 5, 5)),
        "v": rng.normal(0, 0.05, (32, 32, 3, 3)),
        "f": rng.normal(0, 2.0, (32, 3)),
        "b": rng.normal(0, 0.3, (3,)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["p"]),
        helper.make_node("Flatten", ["p"], ["g"]),
        helper.make_node("Gemm", ["g", "f", "b"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["score"]),
    ]
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    content = made(
        nodes,
        inputs=[row("x", (1, 3, 24, 24))],
        outputs=[row("score", (1, 3)), row("logits", (1, 3))],
        weights=stored,
    )
    path = folder / "classifier.onnx"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return classifier(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for number in range(6):
        coarse = rng.integers(0, 255, (4, 4, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(coarse, (48, 48)))
    return folder


@pytest.fixture(scope="module")
def shown(small, pictures) -> list[PhotoSamples]:
    model = engine_of(small).load(small)
    return sample_shown(read_shown(photo_paths(pictures)), PLAIN_IMAGES, model=model, helpers={}, seed=0)


def test_an_onnx_model_is_quantised_output_by_output_and_verified(small, shown, pictures, tmp_path):
    engine = engine_of(small)
    floats = [engine.load(small).run([photo.found[0]]) for photo in shown]
    stacked = [np.concatenate(column) for column in zip(*floats, strict=True)]
    rules = generic_rules(stacked, ["score", "logits"])
    result = quantise(small, photos=shown, rules=rules, runtime=engine, config=QuantiseConfig(speed_turns=0))
    path = tmp_path / "int8.onnx"
    path.write_bytes(result.content)
    assert quantisation_of(path) in ("int8", "mixed")
    assert int8_share(result.content)[0] >= 2
    pair = Pair(candidate=path, original=small, helpers={})
    steps: list[str] = []
    verdict = verify(pair, shown=photo_paths(pictures), tell=steps.append, limits=UNJUDGED)
    assert verdict.accepted, verdict.reasons
    assert {part.name for part in verdict.agreement} == {"score", "logits"}
    assert steps[0] == "opening the candidate in a child process"
    with pytest.raises(QuantiseRefusedError, match="already_int8"):
        quantise(path, photos=shown, rules=rules, runtime=engine)


def test_a_float_onnx_model_holds_no_int8(small):
    assert int8_share(small.read_bytes()) == (0, 7)
    assert not stores_half(small.read_bytes())
    assert quantisation_of(small) == "float"


def test_the_command_refuses_what_was_quantised_to_nothing_and_says_so_in_words(small, pictures):
    arguments = ["verify", str(small), "--against", str(small), "--images", str(pictures), "--no-speed"]
    done = runner.invoke(commands, [*arguments, "--json"])
    assert done.exit_code == 1
    view = json.loads(done.stdout)
    assert not view["accepted"]
    assert {reason["word"] for reason in view["reasons"]} == {"no_int8", "not_smaller"}
    assert "refused" in runner.invoke(commands, arguments).stdout


def test_a_candidate_that_does_not_open_is_refused_by_its_child(small, pictures, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(small.read_bytes()[:500])
    done = runner.invoke(
        commands, ["verify", str(broken), "--against", str(small), "--images", str(pictures), "--json"]
    )
    assert done.exit_code == 1
    assert [reason["word"] for reason in json.loads(done.stdout)["reasons"]] == ["does_not_run"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--images", "gone"], 3, "there is no photo folder"),
        ([], 2, "name --images, --video or both"),
        (["--images", ".", "--task", "juggling"], 2, "choose one of hands, detect"),
    ],
)
def test_wrong_usage_of_verify_is_answered_with_what_to_do(small, arguments, code, said):
    done = runner.invoke(commands, ["verify", str(small), "--against", str(small), *arguments])
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


@pytest.fixture(scope="module")
def lite(models_dir) -> Path:
    return models_dir / "hand_landmark_lite.tflite"


@pytest.fixture(scope="module")
def hands(hand_photos, models_dir, lite) -> list[PhotoSamples]:
    engine = engine_of(lite)
    helpers = {"palm": engine.load(models_dir / "palm_detection_full.tflite")}
    shown = read_shown(sorted(hand_photos.values()))
    return sample_shown(shown, quantise_task("hands"), model=engine.load(lite), helpers=helpers, seed=0)


@pytest.mark.parametrize(
    ("ends", "scale", "word"),
    [
        (FloatEnds(stem=5, tail=9, heads=(1, 0, 0, 4)), 1.0, "dead_scores"),
        (FloatEnds(stem=0, tail=9), 1 / 255, "disagrees"),
    ],
    ids=["int8 score heads", "calibrated on inputs scaled wrongly"],
)
def test_a_spoiled_hand_model_is_refused(lite, hands, tmp_path, ends, scale, word):
    found = [array for photo in hands for array in photo.found]
    writer = Int8Writer(read_graph(lite), calibration=[array * np.float32(scale) for array in found[:6]])
    path = tmp_path / "spoiled.tflite"
    path.write_bytes(writer.finished(writer.write(keep_float=ends.operators(writer.count, writer.cones))))
    engine = engine_of(lite)
    verdict = judge(
        engine.load(lite),
        engine.load(path),
        samples=[array for photo in hands for array in photo.inputs][::2],
        rules=quantise_task("hands").rules,
        structure=STRUCTURE,
        limits=UNJUDGED,
    )
    assert word in words(verdict)


def test_dynamic_ranges_need_no_calibration_and_agree(lite, hands):
    config = QuantiseConfig(mode="dynamic", speed_turns=0, ends=FloatEnds(stem=5, tail=9))
    # Nearness enough to tell that the answers are the model's; how near they must be is the gate's other tests'.
    rules = [replace(rule, median=1.0, p90=1.0, flip_share=0.2) for rule in quantise_task("hands").rules]
    result = quantise(lite, photos=hands, rules=rules, runtime=engine_of(lite), config=config)
    assert result.calibration_inputs == 0
    assert result.structure.int8_operators > 20
    assert result.structure.new_bytes < lite.stat().st_size
    record = result.calibration_record()
    assert (record["mode"], record["speed_gain"]) == ("dynamic", None)


def test_a_model_of_no_known_format_is_refused(tmp_path):
    other = tmp_path / "model.pt"
    other.write_bytes(b"")
    with pytest.raises(InferenceError, match=r"ending in \.tflite or \.onnx"):
        engine_of(other)
