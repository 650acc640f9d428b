"""The onnxruntime path of the hand task, on stand-in models with the shapes of the real ones."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloud_worker.answerers import box_of, roi_of
from cloud_worker.errors import WorkerConfigError
from cloud_worker.main import WorkerOptions, make_kitchen
from inference.tasks.roi import Roi
from schemas.messages import RoiBox, Task
from tests.cloud_worker.builders import frame, request

WHOLE = RoiBox(center_x=0.5, center_y=0.5, width=0.75, height=1.0, rotation_rad=0.0)


def constants(path: Path, *, side: int, outputs: dict[str, np.ndarray]) -> None:
    """A model that takes (1, side, side, 3) float32 and answers the same arrays whatever it sees."""
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, side, side, 3])
    nodes, values, kept = [], [], []
    for name, array in outputs.items():
        kept.append(numpy_helper.from_array(array.astype(np.float32), f"{name}_value"))
        # the input takes part, times zero, so that it is really read
        nodes += [
            helper.make_node("ReduceSum", ["input"], [f"{name}_sum"], keepdims=0),
            helper.make_node("Mul", [f"{name}_sum", "zero"], [f"{name}_none"]),
            helper.make_node("Add", [f"{name}_value", f"{name}_none"], [name]),
        ]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    kept.append(numpy_helper.from_array(np.float32(0), "zero"))
    graph = helper.make_graph(nodes, "stand-in", [image], values, kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


@pytest.fixture
def onnx_models(tmp_path: Path) -> Path:
    points = np.tile(np.linspace(20, 200, 21, dtype=np.float32)[:, None], (1, 3)).reshape(1, 63)
    constants(
        tmp_path / "palm_detection_full.onnx",
        side=192,
        outputs={"boxes": np.zeros((1, 2016, 18)), "scores": np.full((1, 2016, 1), -50.0)},
    )
    constants(
        tmp_path / "hand_landmark_full.onnx",
        side=224,
        outputs={
            "Identity": points,
            "Identity_1": np.full((1, 1), 0.9),
            "Identity_2": np.full((1, 1), 0.2),
            "Identity_3": points,
        },
    )
    return tmp_path


def test_hands_are_answered_through_onnxruntime_in_a_region_that_the_headset_tracks(onnx_models):
    kitchen = make_kitchen(options(onnx_models, runtime="onnxruntime"))
    answerer = kitchen.make_answerers()[Task.HANDS]
    answer = answerer.answer(request(message=frame(rois=(WHOLE,))))
    answerer.close()
    assert set(kitchen.runtimes) == {"onnx"}
    assert answer.model_digest == kitchen.digests[Task.HANDS]
    (hand,) = answer.hands
    assert hand.presence == pytest.approx(0.9)
    # the region is the 48x48 square in the middle of 64x48 pixels; point 20 of 224 lies 20/224 into it
    assert hand.landmarks[0, 1] == pytest.approx(20 / 224, abs=0.01)
    assert hand.landmarks[0, 0] == pytest.approx((8 + 48 * 20 / 224) / 64, abs=0.01)
    assert len(answer.next_rois) == 1


def options(folder: Path | None, *, runtime: str) -> WorkerOptions:
    return WorkerOptions(
        worker="w-1",
        site="lab",
        broker_url="mqtt://127.0.0.1:1",
        state_dir=Path("unused"),
        models_dir=folder,
        runtime=runtime,
    )


def test_a_folder_without_models_of_the_runtime_is_refused_with_the_file_names(tmp_path):
    with pytest.raises(WorkerConfigError, match=r"hand_landmark_full\.onnx.*--models"):
        make_kitchen(options(tmp_path, runtime="onnxruntime"))
    with pytest.raises(WorkerConfigError, match="--models DIR"):
        make_kitchen(options(None, runtime="litert"))


def test_a_file_that_is_no_model_is_refused_when_the_slot_opens_it(tmp_path):
    for name in ("palm_detection_full.tflite", "hand_landmark_full.tflite"):
        (tmp_path / name).write_bytes(b"no model")
    kitchen = make_kitchen(options(tmp_path, runtime="litert"))
    with pytest.raises(WorkerConfigError, match="cannot use the models"):
        kitchen.make_answerers()


def test_regions_survive_the_way_to_fractions_and_back():
    roi = Roi(cx=100.0, cy=50.0, width=80.0, height=60.0, rotation_rad=0.3)
    back = roi_of(box_of(roi, width=640, height=360), width=640, height=360)
    assert (back.cx, back.cy) == pytest.approx((roi.cx, roi.cy))
    assert (back.width, back.height, back.rotation_rad) == pytest.approx((80.0, 60.0, 0.3))
