"""The hand task in parts: at every placement the hands are those of the whole model, byte for byte."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from inference.errors import GraphError, TaskError
from inference.live_tensors import PIXEL_SCALE, Edge
from inference.placed import open_part
from inference.runtimes.registry import open_runtime
from inference.split import split_model
from inference.tasks.hands import HandTask
from inference.tasks.hands_split import open_split_hands
from schemas.codec import Encoder, decode
from schemas.messages import Header, Task, Tensor, TensorFrame
from schemas.placements import Placement


@pytest.fixture(scope="module")
def runtime():
    return open_runtime("litert")


@pytest.fixture(scope="module")
def split(models_dir):
    return split_model((models_dir / "hand_landmark_full.tflite").read_bytes())


@pytest.fixture(scope="module")
def task(models_dir, runtime):
    return HandTask(
        palm=runtime.load(models_dir / "palm_detection_full.tflite"),
        landmark=runtime.load(models_dir / "hand_landmark_full.tflite"),
    )


@pytest.fixture(scope="module")
def photo(hand_photos):
    image = cv2.cvtColor(cv2.imread(str(hand_photos["handSrc.jpg"])), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (640, round(640 * image.shape[0] / image.shape[1])))


@pytest.fixture
def hands_at(task, split, runtime):
    opened = []

    def make(start, end):
        opened.append(
            open_split_hands(
                task,
                split=split,
                placement=Placement(start=start, end=end),
                runtime=runtime,
                clock_ns=time.perf_counter_ns,
            )
        )
        return opened[-1]

    yield make
    for hands in opened:
        hands.close()


def over_the_wire(tensors):
    header = Header(boot_id=bytes(16), task=Task.HANDS, frame_id=0, capture_ns=0, send_ns=0, budget_us=0)
    return decode(Encoder().encode(TensorFrame(header=header, tensors=tensors))).tensors


def middle(split, runtime, placement, tensors, *, subjects):
    """What a worker does with them."""
    start, end = placement.start, placement.end
    came = Edge(split, split.part_inputs(start, end)).unpack(over_the_wire(tensors), subjects=subjects)
    part = open_part(split, start, end, runtime=runtime)
    back = Edge(split, split.part_outputs(start, end))
    returned = [tensor for n, values in enumerate(came) for tensor in back.pack(n, part.run(values))]
    part.close()
    return over_the_wire(tuple(returned))


def same(result, expected):
    return [(h.landmarks.tobytes(), h.presence, h.handedness, h.roi) for h in result.hands] == [
        (h.landmarks.tobytes(), h.presence, h.handedness, h.roi) for h in expected.hands
    ]


@pytest.mark.parametrize("place", ["head-here", "tail-here", "both-here", "all-there"])
def test_hands_in_parts_are_the_hands_of_the_whole(place, hands_at, task, split, runtime, photo):
    last = len(split.flow.operators)
    start, end = {
        "head-here": (20, last),
        "tail-here": (0, 42),
        "both-here": (20, 59),
        "all-there": (0, last),
    }[place]
    expected = task.run(photo)
    assert expected.hands
    hands = hands_at(start, end)
    looked = hands.look(photo)
    returned = middle(split, runtime, hands.placement, looked.tensors, subjects=len(looked.rois))
    result = hands.finish(looked, returned)
    assert same(result, expected)
    assert (result.next_rois, result.palm_ran, result.rejected) == (expected.next_rois, True, 0)
    if start == 0:
        assert [tensor.data.dtype for tensor in looked.tensors] == [np.uint8]
    assert sum(tensor.data.nbytes for tensor in looked.tensors) == hands.up_bytes


def test_two_hands_travel_under_their_numbers_and_do_not_mix(hands_at, task, split, runtime, photo):
    two = np.concatenate([photo, photo[:, ::-1]], axis=1)
    first = task.run(two, rois=(), search=True)
    rois = (first.next_rois[0], replace(first.next_rois[0], cx=first.next_rois[0].cx + 40.0))
    expected = task.run(two, rois=rois)
    hands = hands_at(20, 59)
    looked = hands.look(two, rois=rois)
    assert {tensor.name.split("/")[0] for tensor in looked.tensors} == {"0", "1"}
    returned = middle(split, runtime, hands.placement, looked.tensors, subjects=2)
    assert same(hands.finish(looked, returned[::-1]), expected)


def test_a_frame_without_hands_needs_no_worker(hands_at):
    hands = hands_at(20, 59)
    looked = hands.look(np.zeros((48, 64, 3), np.uint8))
    assert looked.tensors == ()
    result = hands.finish(looked, ())
    assert (result.hands, result.palm_ran) == ((), True)


def test_positions_that_are_no_cuts_are_refused_with_the_nearest(hands_at):
    with pytest.raises(GraphError, match="no legal cut: choose another, the nearest is 63"):
        hands_at(20, 64)


WRONG = {
    "missing": lambda tensors: tensors[1:],
    "twice": lambda tensors: (*tensors, tensors[0]),
    "unknown": lambda tensors: (replace(tensors[0], name="7/x"), *tensors[1:]),
    "shape": lambda tensors: (replace(tensors[0], data=tensors[0].data.reshape(-1)), *tensors[1:]),
    "dtype": lambda tensors: (replace(tensors[0], data=tensors[0].data.astype(np.float16)), *tensors[1:]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_this_placements_is_refused_with_what_is_expected(wrong, hands_at, split, runtime, photo):
    hands = hands_at(20, 59)
    looked = hands.look(photo)
    returned = middle(split, runtime, hands.placement, looked.tensors, subjects=1)
    with pytest.raises(TaskError, match="expected"):
        hands.finish(looked, WRONG[wrong](returned))


def test_pixels_of_another_scale_are_refused(split):
    edge = Edge(split, split.part_inputs(0, 42))
    name = f"0/{split.part_inputs(0, 42)[0]}"
    pixels = Tensor(name=name, data=np.zeros((1, 224, 224, 3), np.uint8), scale=PIXEL_SCALE)
    assert edge.unpack([pixels], subjects=1)[0]["input_1"].dtype == np.float32
    with pytest.raises(TaskError, match="expected are pixels of scale"):
        edge.unpack([replace(pixels, scale=1.0)], subjects=1)
