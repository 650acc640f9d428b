"""A worker's parts: proved before they are used, exact when they are, refused with what was expected otherwise."""

import json
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
import zstandard

from cloud_worker.errors import CannotAnswerError
from cloud_worker.models import hands_kitchen
from cloud_worker.part_models import part_models
from cloud_worker.proof_plan import ProofLimits, Verdict
from cloud_worker.proofs import NICENESS, Proofs, prove_in_child
from cloud_worker.split_answerer import MAX_OPEN, SplitAnswerer
from inference.parity.check import KernelPath, ParityReport
from inference.runtimes.registry import open_runtime
from inference.split.live_tensors import Edge
from inference.split.packing import Method
from inference.split.part_payload import NOTHING
from inference.split.placed import open_part
from inference.tasks.landmark import hand_crop
from inference.tasks.roi import Roi
from schemas.documents import MAX_PLACEMENTS
from schemas.messages import Part, PartCoding, RefusalReason, Task
from schemas.placements import Placement
from tests.cloud_worker.builders import header, request
from tests.cloud_worker.conftest import until

U_SHAPE = Placement(start=20, end=59)
SOUND = Verdict()
MIDDLES = [(20, end) for end in range(42, 58, 4)] + [(24, end) for end in range(42, 63, 4)]


@pytest.fixture(scope="module")
def runtime():
    return open_runtime("litert")


@pytest.fixture(scope="module")
def models(models_dir, runtime):
    return part_models([models_dir / "hand_landmark_full.tflite"], runtime=runtime, threads=1)


@pytest.fixture(scope="module")
def model(models):
    return next(iter(models.values()))


@pytest.fixture(scope="module")
def crop(hand_photos):
    image = cv2.cvtColor(cv2.imread(str(hand_photos["handSrc.jpg"])), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    roi = Roi(cx=width / 2, cy=height / 2, width=float(height), height=float(height))
    return hand_crop(image, roi)


@pytest.fixture
def sound(models):
    """Proofs that every placement passes at once."""
    proofs = proofs_by(models, lambda _model, _placement: SOUND)
    proofs.start()
    yield proofs
    proofs.stop()


def proofs_by(models, prove, **fields):
    return Proofs(models, prove=prove, clock_ns=time.monotonic_ns, **fields)


def answerer(proofs, runtime):
    return SplitAnswerer(proofs, runtime=runtime, threads=1, max_subjects=2, clock_ns=lambda: 0)


def live(model, runtime, crop, placement, *, subjects=1, coding=PartCoding.RAW):
    """What a headset sends of a crop at a placement."""
    name = model.split.flow.tensors[model.split.flow.inputs[0]].name
    edge = Edge(model.split, model.split.part_inputs(placement.start, placement.end))
    if placement.start == 0:
        values = {name: crop[np.newaxis]}
    else:
        head = open_part(model.split, 0, placement.start, runtime=runtime)
        values = head.run({name: np.multiply(crop, np.float32(1 / 255), dtype=np.float32)[np.newaxis]})
        head.close()
    return edge.pack([values] * subjects, coding=coding)


def message(head, sent):
    return Part(header=head, subjects=sent.subjects, coding=sent.coding, payload=sent.payload)


def ask(model, placement, sent):
    return request(message=message(header(placement_id=placement.id, model_digest=model.digest), sent))


def refusal(split, asked):
    with pytest.raises(CannotAnswerError) as caught:
        split.answer(asked)
    return caught.value


def prove(proofs, model, placement):
    proofs.want(model.digest, placement)
    until(lambda: proofs.is_proved(model.digest, placement), what="the proof")


@pytest.mark.parametrize("coding", PartCoding)
@pytest.mark.parametrize("placement", [U_SHAPE, Placement(start=0, end=63), Placement(start=0, end=42)])
def test_a_proved_part_gives_the_bytes_of_the_whole_models_tensors(
    placement, coding, model, runtime, crop, sound
):
    prove(sound, model, placement)
    split = answerer(sound, runtime)
    sent = live(model, runtime, crop, placement, subjects=2, coding=coding)
    answer = split.answer(ask(model, placement, sent))
    part = open_part(model.split, 0, placement.end, runtime=runtime)
    expected = part.run({"input_1": np.multiply(crop, np.float32(1 / 255), dtype=np.float32)[np.newaxis]})
    names = model.split.part_outputs(placement.start, placement.end)
    back = Edge(model.split, names).unpack(answer.part)
    assert (answer.model_digest, answer.part.coding, len(back)) == (model.digest, coding, 2)
    for row in back:
        assert {name: row[name].tobytes() for name in names} == {
            name: expected[name].tobytes() for name in names
        }
    split.close()


def test_an_unproved_placement_is_refused_until_its_proof_is_there(model, models, runtime, crop):
    gate, told = threading.Event(), threading.Event()
    proofs = proofs_by(models, lambda _model, _placement: SOUND if gate.wait(20) else Verdict(why="no gate"))
    proofs.on_proved = told.set
    proofs.start()
    split = answerer(proofs, runtime)
    asked = ask(model, U_SHAPE, live(model, runtime, crop, U_SHAPE))
    for _ in range(3):
        refused = refusal(split, asked)
        assert refused.reason is RefusalReason.UNKNOWN_PLACEMENT
        assert refused.retry_after_ms > 0
        assert "being proved here" in refused.detail
    assert proofs.placements() == {}
    gate.set()
    assert told.wait(20)
    assert proofs.placements() == {model.digest.hex(): (U_SHAPE.id,)}
    assert split.answer(asked).part.payload
    split.close()
    proofs.stop()


def test_a_placement_that_failed_its_proof_is_refused_for_good_with_the_reason(model, models, runtime, crop):
    proofs = proofs_by(models, lambda _model, _placement: Verdict(why="its results differ by up to 3"))
    proofs.start()
    split = answerer(proofs, runtime)
    asked = ask(model, U_SHAPE, live(model, runtime, crop, U_SHAPE))
    until(lambda: "differ" in refusal(split, asked).detail, what="the failed proof")
    assert refusal(split, asked).retry_after_ms == 0
    assert proofs.placements() == {}
    proofs.stop()


def test_a_proof_that_breaks_is_to_be_tried_again_and_the_next_is_still_made(model, models):
    def prove_or_break(_model, placement):
        return SOUND if placement == U_SHAPE else 1 / 0

    proofs = proofs_by(models, prove_or_break)
    proofs.start()
    broken = Placement(start=0, end=63)
    proofs.want(model.digest, broken)
    prove(proofs, model, U_SHAPE)
    not_yet = proofs.want(model.digest, broken)
    assert "ZeroDivisionError" in not_yet.detail
    assert not_yet.retry_after_ms > 0
    proofs.stop()


def test_more_placements_than_a_presence_may_name_push_out_the_least_used(model, models):
    limits = ProofLimits(per_minute=MAX_PLACEMENTS + 1, per_minute_in_all=MAX_PLACEMENTS + 1)
    proofs = proofs_by(models, lambda _model, _placement: SOUND, limits=limits)
    proofs.start()
    positions = [cut.position for cut in model.split.cuts]
    pairs = [Placement(start=s, end=e) for s in positions[:2] for e in positions[2:40]][: MAX_PLACEMENTS + 1]
    for placement in pairs:
        prove(proofs, model, placement)
        assert proofs.is_proved(model.digest, pairs[0])
    assert len(proofs.placements()[model.digest.hex()]) == MAX_PLACEMENTS
    assert not proofs.is_proved(model.digest, pairs[1])
    proofs.stop()


BOMB = zstandard.ZstdCompressor().compress(bytes(1 << 26))
BOMB_HEAD = struct.pack("<BI", Method.PACKED, len(BOMB))

# what comes instead of one hand's values -> refused as, and what is said of it
WRONG = {
    "nobody's": (lambda sent: replace(sent, subjects=0), RefusalReason.MALFORMED, "expected are 0"),
    "short": (
        lambda sent: replace(sent, payload=sent.payload[:-1]),
        RefusalReason.MALFORMED,
        "B of values came, expected are",
    ),
    "of two hands, one short": (
        lambda sent: replace(sent, subjects=2),
        RefusalReason.MALFORMED,
        "B of values came, expected are",
    ),
    "of more hands than are looked at": (
        lambda sent: replace(sent, subjects=3),
        RefusalReason.TOO_LARGE,
        "allowed are 2",
    ),
    "raw and called packed": (
        lambda sent: replace(sent, coding=PartCoding.PACKED),
        RefusalReason.MALFORMED,
        "packed",
    ),
    "a bomb": (
        lambda sent: replace(sent, coding=PartCoding.PACKED, payload=BOMB_HEAD + BOMB),
        RefusalReason.MALFORMED,
        "does not hold the",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_values_that_the_part_does_not_read_are_refused(name, model, runtime, crop, sound):
    wrong, reason, said = WRONG[name]
    prove(sound, model, U_SHAPE)
    split = answerer(sound, runtime)
    refused = refusal(split, ask(model, U_SHAPE, wrong(live(model, runtime, crop, U_SHAPE))))
    assert refused.reason is reason
    assert said in refused.detail
    split.close()


def test_an_ask_for_a_placement_that_is_proved_by_now_is_answered_with_nothing(model, runtime, sound):
    """It crossed the presence that names the placement; to call it malformed would accuse an honest headset."""
    prove(sound, model, U_SHAPE)
    split = answerer(sound, runtime)
    answer = split.answer(ask(model, U_SHAPE, NOTHING))
    assert (answer.model_digest, answer.part, answer.run_ns) == (model.digest, NOTHING, 0)
    split.close()


def test_a_worker_that_cannot_unpack_says_how_to_send(model, runtime, crop, sound, monkeypatch):
    prove(sound, model, U_SHAPE)
    split = answerer(sound, runtime)
    sent = live(model, runtime, crop, U_SHAPE, coding=PartCoding.PACKED)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    refused = refusal(split, ask(model, U_SHAPE, sent))
    assert refused.reason is RefusalReason.UNSUPPORTED_TASK
    assert "send them raw" in refused.detail
    split.close()


def test_positions_models_and_ids_that_cannot_be_are_refused_without_a_proof(model, models, runtime, crop):
    proofs = proofs_by(models, lambda _model, _placement: pytest.fail("nothing is to be proved"))
    split = answerer(proofs, runtime)
    tensors = live(model, runtime, crop, U_SHAPE)
    beyond = refusal(split, ask(model, Placement(start=20, end=6400), tensors))
    assert beyond.reason is RefusalReason.UNKNOWN_PLACEMENT
    assert "6400 is no legal cut" in beyond.detail
    backwards = header(placement_id=59 << 16 | 20, model_digest=model.digest)
    assert "cannot be" in refusal(split, request(message=message(backwards, tensors))).detail
    stranger = header(placement_id=U_SHAPE.id, model_digest=b"\x01" * 32)
    refused = refusal(split, request(message=message(stranger, tensors)))
    assert refused.reason is RefusalReason.UNKNOWN_MODEL
    assert refusal(split, request()).reason is RefusalReason.UNSUPPORTED_TASK


def test_a_slot_keeps_a_bounded_number_of_parts_open(model, runtime, crop, sound):
    split = answerer(sound, runtime)
    for start, end in MIDDLES:
        placement = Placement(start=start, end=end)
        prove(sound, model, placement)
        assert split.answer(ask(model, placement, live(model, runtime, crop, placement))).part.payload
    assert len(MIDDLES) > MAX_OPEN == len(split._open)
    split.close()
    assert not split._open


def test_the_real_proof_runs_in_a_child_and_offers_the_placement(models_dir):
    kitchen = hands_kitchen(models_dir, runtime="litert", max_hands=1, max_pixels=1 << 20, clock_ns=lambda: 0)
    proofs = kitchen.parts
    digest = kitchen.digests[Task.HANDS]
    assert set(kitchen.kernels) >= {digest.hex()}
    proofs.start()
    proofs.want(digest, U_SHAPE)
    until(
        lambda: (
            proofs.is_proved(digest, U_SHAPE) or "being proved" not in proofs.want(digest, U_SHAPE).detail
        ),
        what="the proof",
    )
    assert proofs.placements() == {digest.hex(): (U_SHAPE.id,)}
    proofs.stop()


def test_a_listener_that_breaks_does_not_end_the_proofs(model, models):
    proofs = proofs_by(models, lambda _model, _placement: SOUND)
    proofs.on_proved = lambda: 1 / 0
    proofs.start()
    prove(proofs, model, U_SHAPE)
    prove(proofs, model, Placement(start=0, end=63))
    proofs.stop()


def test_a_stopped_worker_begins_no_proof_that_still_waits(model, models):
    begun, gate, proved = threading.Event(), threading.Event(), []

    def hold(_model, placement):
        proved.append(placement)
        begun.set()
        gate.wait(20)
        return SOUND

    proofs = proofs_by(models, hold)
    proofs.start()
    proofs.want(model.digest, U_SHAPE)
    assert begun.wait(20)
    proofs.want(model.digest, Placement(start=0, end=63))
    proofs.stop()
    gate.set()
    proofs._thread.join(20)
    assert not proofs._thread.is_alive()
    assert proved == [U_SHAPE]


def answered(**report):
    row = ParityReport(**{"pairs": 1, "exact": 1, **report})
    return json.dumps({"answer": [asdict(row)]}) + "\n"


def raises(error):
    raise error


CHILDREN = {
    "timed out": (
        lambda _cmd: raises(subprocess.TimeoutExpired("x", 1, output=b"")),
        "gave no answer",
        False,
    ),
    "no child": (lambda _cmd: raises(BlockingIOError(11, "try again")), "could be started", False),
    "no import": (lambda cmd: done(cmd, 1, stderr="ImportError: no room"), "ImportError: no room", False),
    "crashed": (lambda cmd: done(cmd, -11), "SIGSEGV", False),
    "refused": (lambda cmd: done(cmd, 0, answered(refused="no such operator")), "no such operator", True),
    "differs": (lambda cmd: done(cmd, 0, answered(exact=0, max_difference=3.0)), "by up to 3", True),
    "folded differs": (lambda cmd: done(cmd, 0, answered(stock_difference=0.5)), "constants folded", True),
    "other kernels": (
        lambda cmd: done(cmd, 0, answered(fingerprints=("f" * 64,))),
        "restart the worker",
        True,
    ),
}


def done(command, code, stdout="", stderr=""):
    return subprocess.CompletedProcess(command, code, stdout=stdout, stderr=stderr)


@pytest.mark.parametrize("name", CHILDREN)
def test_what_became_of_the_proving_child_says_whether_another_proof_is_worth_it(name, model, monkeypatch):
    answer, text, final = CHILDREN[name]
    asked = []

    def run(command, *, input, **_options):  # noqa: A002 - the name that subprocess gives it
        asked.append(json.loads(input))
        return answer(command)

    monkeypatch.setattr("inference.parity.child.subprocess.run", run)
    verdict = prove_in_child(model, U_SHAPE, where=KernelPath())
    assert text in verdict.why
    assert verdict.final is final
    assert asked[0]["niceness"] == NICENESS > 0


def test_files_that_cannot_be_cut_are_left_out_and_the_others_kept(models_dir, runtime, tmp_path, model):
    junk = tmp_path / "hand_landmark_full.tflite"
    junk.write_bytes(b"junk")
    found = part_models(
        [junk, tmp_path / "absent.tflite", models_dir / "hand_landmark_full.tflite"],
        runtime=runtime,
        threads=1,
    )
    assert {digest: part.kernel for digest, part in found.items()} == {model.digest: model.kernel}
