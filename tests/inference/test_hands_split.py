"""The hand task in parts: at every placement the hands are those of the whole model, byte for byte."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from inference.errors import GraphError, TaskError
from inference.runtimes.registry import open_runtime
from inference.split.hands import open_split_hands
from inference.split.live_tensors import Edge
from inference.split.model import split_model
from inference.split.part_payload import NOTHING, PartPayload
from inference.split.placed import open_part
from inference.tasks.hands import HandTask
from schemas.codec import Encoder, decode
from schemas.messages import Header, Part, PartCoding, Task
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

    def make(start, end, coding=PartCoding.RAW):
        opened.append(
            open_split_hands(
                task,
                split=split,
                placement=Placement(start=start, end=end),
                runtime=runtime,
                clock_ns=time.perf_counter_ns,
                coding=coding,
            )
        )
        return opened[-1]

    yield make
    for hands in opened:
        hands.close()


def over_the_wire(live):
    header = Header(boot_id=bytes(16), task=Task.HANDS, frame_id=0, capture_ns=0, send_ns=0, budget_us=0)
    message = Part(header=header, subjects=live.subjects, coding=live.coding, payload=live.payload)
    came = decode(Encoder().encode(message))
    return PartPayload(subjects=came.subjects, coding=came.coding, payload=came.payload)


def middle(split, runtime, placement, live):
    """What a worker does with them."""
    start, end = placement.start, placement.end
    came = Edge(split, split.part_inputs(start, end)).unpack(over_the_wire(live))
    part = open_part(split, start, end, runtime=runtime)
    back = Edge(split, split.part_outputs(start, end)).pack(
        [part.run(values) for values in came], coding=live.coding
    )
    part.close()
    return over_the_wire(back)


def same(result, expected):
    return [(h.landmarks.tobytes(), h.presence, h.handedness, h.roi) for h in result.hands] == [
        (h.landmarks.tobytes(), h.presence, h.handedness, h.roi) for h in expected.hands
    ]


@pytest.mark.parametrize("coding", PartCoding)
@pytest.mark.parametrize("place", ["head-here", "tail-here", "both-here", "all-there"])
def test_hands_in_parts_are_the_hands_of_the_whole(place, coding, hands_at, task, split, runtime, photo):
    last = len(split.flow.operators)
    start, end = {
        "head-here": (20, last),
        "tail-here": (0, 42),
        "both-here": (20, 59),
        "all-there": (0, last),
    }[place]
    expected = task.run(photo)
    assert expected.hands
    hands = hands_at(start, end, coding)
    looked = hands.look(photo)
    back = middle(split, runtime, hands.placement, looked.live)
    assert (looked.live.coding, back.coding) == (coding, coding)
    result = hands.finish(looked, hands.read_back(looked, back))
    assert same(result, expected)
    assert (result.next_rois, result.palm_ran, result.rejected) == (expected.next_rois, True, 0)
    if coding is PartCoding.RAW:
        assert (len(looked.live.payload), len(back.payload)) == (hands.up_bytes, hands.down_bytes)
    if start == 0:
        assert hands.up_bytes == 224 * 224 * 3  # pixels, a quarter of the model's float input


def test_two_hands_travel_one_after_the_other_and_do_not_mix(hands_at, task, split, runtime, photo):
    two = np.concatenate([photo, photo[:, ::-1]], axis=1)
    first = task.run(two, rois=(), search=True)
    rois = (first.next_rois[0], replace(first.next_rois[0], cx=first.next_rois[0].cx + 40.0))
    expected = task.run(two, rois=rois)
    hands = hands_at(20, 59)
    looked = hands.look(two, rois=rois)
    assert (looked.live.subjects, len(looked.live.payload)) == (2, 2 * hands.up_bytes)
    back = middle(split, runtime, hands.placement, looked.live)
    assert same(hands.finish(looked, hands.read_back(looked, back)), expected)


def test_a_frame_without_hands_needs_no_worker(hands_at):
    hands = hands_at(20, 59)
    looked = hands.look(np.zeros((48, 64, 3), np.uint8))
    assert (looked.live.subjects, looked.live.payload) == (0, b"")
    assert hands.read_back(looked, NOTHING) == ()
    result = hands.finish(looked, ())
    assert (result.hands, result.palm_ran) == ((), True)


def test_positions_that_are_no_cuts_are_refused_with_the_nearest(hands_at):
    with pytest.raises(GraphError, match="no legal cut: choose another, the nearest is 63"):
        hands_at(20, 64)


def packed_as(payload):
    return lambda back: replace(back, coding=PartCoding.PACKED, payload=payload)


WRONG = {
    "nothing": lambda _back: NOTHING,
    "short": lambda back: replace(back, payload=bytes(back.payload)[:-1]),
    "of two hands": lambda back: replace(back, subjects=2, payload=bytes(back.payload) * 2),
    "no packed values": packed_as(b"\x01"),
    "of another coding": lambda back: replace(back, coding=PartCoding.PACKED),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_this_placements_is_refused_with_what_is_expected(wrong, hands_at, split, runtime, photo):
    hands = hands_at(20, 59)
    looked = hands.look(photo)
    back = middle(split, runtime, hands.placement, looked.live)
    with pytest.raises(TaskError, match="expected"):
        hands.read_back(looked, WRONG[wrong](back))


def test_pixels_become_the_models_input_as_the_headset_would_make_it(split):
    edge = Edge(split, split.part_inputs(0, 42))
    pixels = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), np.uint8)
    (row,) = edge.unpack(edge.pack([{"input_1": pixels}]))
    assert row["input_1"].tobytes() == np.multiply(pixels, np.float32(1 / 255), dtype=np.float32).tobytes()
