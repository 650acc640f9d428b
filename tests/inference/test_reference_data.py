"""What only reference data can prove: figures against MediaPipe itself, real models and quantisations of others.

Behaviour has its tests elsewhere, on photos and models that every machine has or makes.
"""

import json
import shutil
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from inference.cli import model as model_commands
from inference.commands import evaluate as evaluate_hands
from inference.errors import QuantiseRefusedError
from inference.evaluation.oracle import read_videos
from inference.evaluation.scoring import hand_distance, tally_image
from inference.gate.agreement import compare
from inference.gate.answers import answers
from inference.quantize.float_ends import FloatEnds
from inference.quantize.photo_sources import photo_paths, read_photo, read_shown
from inference.quantize.search import QuantiseConfig, quantise
from inference.quantize.tasks import quantise_task, sample_photos
from inference.runtimes.registry import open_runtime
from inference.tasks.hands import Hand, HandsResult, HandTask
from inference.tasks.roi import Roi
from inference.tasks.tracking import HandTracker
from inference.tflite.graph import read_graph
from inference.tflite.write import add_signature, fold_float16, operator_counts
from tests.conftest import reference_data_or_skip_module

reference_data_or_skip_module(
    "MediaPipe's own answers on 25 photos and a video, foreign models, a quantisation that is really broken"
)

MS = 1_000_000
HANDS = quantise_task("hands")
ENDS = FloatEnds(stem=5, tail=9)
FEW = ("mp_four_06aa70cc.jpg", "mp_none_00c84257.jpg", "mp_call_143f8b21.jpg")
MODELS = (
    "mlperf_tiny/vww_96_float.tflite",
    "mlperf_tiny/vww_96_int8.tflite",
    "mlperf_tiny/kws_ref_model.tflite",
    "mlperf_tiny/ad01_int8.tflite",
    "mlperf_tiny/pretrainedResnet.tflite",
    "mlperf_tiny/str_ww_ref_model.tflite",
    "yolox_nano_float16_quantize.tflite",
    "yolox_nano_int8_quantize.tflite",
)


@pytest.fixture(scope="module")
def run(models_dir):
    evaluate = typer.Typer()
    evaluate.command("hands")(evaluate_hands.hands)

    def call(*arguments):
        done = CliRunner().invoke(evaluate, [*map(str, arguments), "--models", str(models_dir), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def oracle(shared_data):
    return shared_data / "oracle" / "hands.json"


def _copied(names, shared_data, folder):
    for name in names:
        shutil.copy(shared_data / "hands" / name, folder)
    return folder


def test_float_finds_what_the_reference_found_in_every_photo(run, shared_data, oracle):
    figures = run("--images", shared_data / "hands", "--oracle", oracle, "--float-only")["float"]
    assert figures["n_images"] == 25
    assert figures["recall"] >= 0.97
    assert figures["precision"] >= 0.97
    assert figures["median"] <= 0.012


def test_another_landmark_model_is_compared_on_the_same_regions(
    run, shared_data, oracle, models_dir, tmp_path
):
    few = _copied(FEW, shared_data, tmp_path)
    lite = models_dir / "hand_landmark_lite.tflite"
    int8 = run("--images", few, "--oracle", oracle, "--int8", lite)["int8"]
    assert int8["n_matched"] == 3
    compared = int8["against_float"]
    assert compared["n_regions"] == 6
    assert 0 < compared["median"] < 0.06
    assert compared["n_empty_regions"] > 20
    assert compared["false_presences"] <= compared["false_presences_float"] + 2


def test_int8_that_is_made_finds_what_the_reference_found(run, shared_data, oracle, tmp_path, monkeypatch):
    # The search for the float ends has its own tests; here they are given, to save its time.
    monkeypatch.setattr("inference.quantize.search.QuantiseConfig", partial(QuantiseConfig, ends=ENDS))
    photos = _copied((*FEW, "mp_four_0c960166.jpg", "mp_rock_026fd791.jpg"), shared_data, tmp_path)
    int8 = run("--images", photos, "--oracle", oracle)["int8"]
    assert (int8["recall"], int8["precision"]) == (1, 1)
    assert int8["against_float"]["n_photos"] == int8["n_held_back"] == 5 - len(int8["calibrated_with"])
    assert int8["against_float"]["median"] <= 0.015


def test_a_real_video_is_scored_in_tracking_mode(run, shared_data, oracle, tmp_path):
    few = _copied(FEW, shared_data, tmp_path)
    document = json.loads((shared_data / "oracle" / "video_tracking.json").read_text())
    name = "video/mps_hand_landmarker_test_video.mp4"
    video = document["videos"][name]
    short = tmp_path / "video.json"
    short.write_text(json.dumps({"videos": {name: {**video, "frames": video["frames"][:20]}}}))
    paths = ("--images", few, "--oracle", oracle, "--video", shared_data / "video", "--video-oracle", short)
    figures = run(*paths, "--float-only")["video"]["float"]
    assert figures["n_images"] == figures["n_hands"] == 20
    assert (figures["recall"], figures["precision"]) == (1, 1)
    assert figures["median"] <= 0.012


def test_handedness_and_depth_are_those_of_the_reference(palm_model, landmark_model, shared_data, oracle):
    task = HandTask(palm=palm_model, landmark=landmark_model)
    reference = json.loads(oracle.read_text())["images"]
    compared = 0
    for name in ("hands/mp_four_06aa70cc.jpg", "hands/mp_none_00c84257.jpg", "hands/handSrc.jpg"):
        image = read_photo(shared_data / name)
        size = np.array([image.shape[1], image.shape[0]])
        for expected in reference[name]["hands"]:
            points = np.array(expected["landmarks"])
            hand = min(
                task.run(image).hands,
                key=lambda h: hand_distance(points[:, :2] * size, h.landmarks[:, :2] * size),
            )
            likely = hand.handedness if hand.label == "Left" else 1 - hand.handedness
            assert hand.label == expected["handedness"]
            assert likely == pytest.approx(expected["score"], abs=0.01)
            assert hand.landmarks[:, 2] == pytest.approx(points[:, 2], abs=0.003)
            compared += 1
    assert compared == 4


@pytest.fixture(scope="module")
def video(shared_data):
    """The first 60 frames of a real video with reference hands."""
    (reference,) = [
        v
        for v in read_videos(shared_data / "oracle" / "video_tracking.json", folder=shared_data / "video")
        if v.path.name.startswith("mps_")
    ]
    capture = cv2.VideoCapture(str(reference.path))
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(60)]
    capture.release()
    return frames, reference


def test_carrying_errs_less_than_repeating_on_a_real_video(video):
    _, reference = video
    errors = {"carried": [], "repeated": []}
    tracker, size = HandTracker(), np.array([reference.width, reference.height])
    for i, hands in enumerate(reference.frames[:-3]):
        at_ns, later_ns = i * 40 * MS, (i + 3) * 40 * MS
        rois = tuple(Roi(cx=h.mean(0)[0], cy=h.mean(0)[1], width=200, height=200) for h in hands)
        results = [
            Hand(landmarks=np.c_[h / size, np.zeros(21)].astype(np.float32), presence=1, handedness=1, roi=r)
            for h, r in zip(hands, rois, strict=True)
        ]
        tracker.update(HandsResult(hands=tuple(results), next_rois=rois), captured_ns=at_ns)
        for name, t in (("repeated", at_ns), ("carried", later_ns)):
            moved = [h.landmarks[:, :2] * size for h in tracker.carry(at_ns=t).hands]
            errors[name] += tally_image(reference.frames[i + 3], moved).distances
    assert len(errors["carried"]) >= len(errors["repeated"]) > 150
    assert np.mean(errors["carried"]) < 0.8 * np.mean(errors["repeated"])


def test_tracking_follows_the_reference_frame_by_frame(video, palm_model, landmark_model):
    frames, reference = video
    task, tracker = HandTask(palm=palm_model, landmark=landmark_model), HandTracker()
    size = np.array([reference.width, reference.height])
    distances = []
    for i, frame in enumerate(frames):
        at_ns = (i + 1) * 40 * MS
        rois = tracker.rois(at_ns=at_ns)
        result = task.run(frame, rois=rois, search=not rois)
        assert tracker.update(result, captured_ns=at_ns)
        tally = tally_image(reference.frames[i], [h.landmarks[:, :2] * size for h in result.hands])
        assert len(tally.distances) == tally.n_reference == tally.n_found
        distances += tally.distances
    assert np.median(distances) <= 0.012


def test_int8_agrees_on_photos_of_many_people_and_plain_int8_is_refused(shared_data, models_dir):
    runtime = open_runtime("litert")
    model, lite = models_dir / "hand_landmark_full.tflite", models_dir / "hand_landmark_lite.tflite"
    names = sorted((shared_data / "hands").iterdir())
    photos = sample_photos(
        [read_photo(path) for path in names[:8:2] + names[-2:]],
        HANDS,
        model=runtime.load(model),
        helpers={"palm": runtime.load(models_dir / "palm_detection_full.tflite")},
        seed=0,
    )
    config = QuantiseConfig(
        ends=ENDS, min_gain=0.0, min_gain_without=0.0, speed_turns=3, max_calibration_inputs=20
    )
    made = quantise(model, photos=photos, rules=HANDS.rules, runtime=runtime, config=config)
    rows = {row.name: row for row in made.agreement}
    assert rows["landmarks"].median <= 0.015
    assert rows["landmarks"].p90 <= 0.035
    assert all(row.flips == 0 for row in rows.values())
    plain = replace(config, ends=FloatEnds(stem=0, tail=0))
    with pytest.raises(QuantiseRefusedError, match=r"dead_scores: presence is never below 0\.5"):
        quantise(lite, photos=photos, rules=HANDS.rules, runtime=runtime, config=plain)


def test_a_real_broken_quantisation_with_collapsed_boxes_is_refused(shared_data, tmp_path):
    """Its scores are right and all its boxes collapse: a gate that looks at scores alone lets it through."""
    models = shared_data / "models"
    for path in sorted((shared_data / "objects").glob("*.jpg"))[:3]:
        shutil.copy(path, tmp_path)
    arguments = ["verify", models / "yolox_nano_int8_quantize.tflite", "--task", "detect", "--no-speed"]
    arguments += ["--against", models / "yolox_nano_float16_quantize.tflite", "--images", tmp_path, "--json"]
    done = CliRunner().invoke(model_commands, [str(word) for word in arguments])
    assert done.exit_code == 1, done.output
    verdict = json.loads(done.stdout)
    assert verdict["outputs"]["scores"]["passed"]
    assert "collapsed_boxes" in {reason["word"] for reason in verdict["reasons"]}


def test_a_real_detector_agrees_with_its_conversion(shared_data):
    photos = [read_photo(path) for path in sorted((shared_data / "objects").glob("*.jpg"))[:2]]
    task, models = quantise_task("detect"), shared_data / "models"
    original = open_runtime("onnx").load(models / "yolox_nano.onnx")
    converted = open_runtime("litert").load(models / "yolox_nano_float16_quantize.tflite", threads=2)
    shown = sample_photos(photos, task, model=original, helpers={}, seed=0)
    samples = [array for photo in shown for array in photo.found]
    rows = compare(answers(original, samples), answers(converted, samples), task.rules)
    assert [row.reasons for row in rows] == [(), ()]


def test_stretches_of_a_real_video_are_photos_of_their_own(shared_data):
    groups = list(read_shown(photo_paths(shared_data / "video" / "mps_hand_landmarker_test_video.mp4")))
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert {frame.shape for group in groups for frame in group} == {(360, 640, 3)}


@pytest.mark.parametrize("name", MODELS)
def test_a_foreign_model_rewritten_answers_byte_for_byte_the_same(name, shared_data, tmp_path):
    path = shared_data / "models" / name
    graph = read_graph(path)
    rewritten = add_signature(fold_float16(graph))
    (tmp_path / "rewritten.tflite").write_bytes(rewritten.content)
    assert rewritten.signature is not None
    assert "int8" not in name or operator_counts(rewritten) == operator_counts(graph)
    runtime, rng = open_runtime("litert"), np.random.default_rng(5)
    before, after = runtime.load(path), runtime.load(tmp_path / "rewritten.tflite")
    inputs = [
        rng.random(spec.shape, np.float32)
        if spec.dtype == "float32"
        else rng.integers(0, 100, spec.shape).astype(spec.dtype)
        for spec in before.inputs()
    ]
    assert [array.tobytes() for array in before.run(inputs)] == [
        array.tobytes() for array in after.run(inputs)
    ]


def test_a_foreign_int8_model_is_read_as_float32_and_not_quantised_again(shared_data):
    path, runtime = shared_data / "models" / "mlperf_tiny" / "vww_96_int8.tflite", open_runtime("litert")
    model = runtime.load(path)
    sample = np.random.default_rng(0).random(model.inputs()[0].shape, np.float32)
    (scores,) = answers(model, [sample, sample])
    assert scores.dtype == np.float32
    assert scores.shape == (2, 2)
    assert np.allclose(scores.sum(axis=1), 1, atol=0.02)
    with pytest.raises(QuantiseRefusedError, match="quantised already"):
        quantise(path, photos=[], rules=HANDS.rules, runtime=runtime)


def test_a_foreign_onnx_model_answers_as_declared_and_the_same_bytes_twice(shared_data):
    model = open_runtime("onnx").load(shared_data / "models" / "yolox_nano.onnx")
    noise = [np.random.default_rng(7).random(spec.shape).astype(spec.dtype) for spec in model.inputs()]
    first, second = model.run(noise), model.run(noise)
    assert [(r.shape, r.dtype.name) for r in first] == [(s.shape, s.dtype) for s in model.outputs()]
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]
    model.close()
