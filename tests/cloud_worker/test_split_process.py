"""The real thing: a worker process proves a placement it is asked for, offers it, and answers it byte for byte."""

from contextlib import closing

import numpy as np

from inference.runtimes.registry import open_runtime
from inference.split.live_tensors import Edge
from inference.split.model import split_model
from inference.split.part_payload import PartPayload
from inference.split.placed import open_part
from schemas.documents import WorkerPresence, parse_document
from schemas.messages import Part, PartCoding, Refusal, RefusalReason, Result
from schemas.placements import Placement
from schemas.topics import topic
from tests.cloud_worker.builders import header
from tests.cloud_worker.conftest import SITE, headset_on, until
from tests.cloud_worker.test_worker_process import SECOND, finish, worker_process

PLACEMENT = Placement(start=20, end=59)


def test_a_placement_is_refused_then_proved_then_offered_and_answered_exactly_raw_and_packed(
    mosquitto, models_dir, tmp_path
):
    split = split_model((models_dir / "hand_landmark_full.tflite").read_bytes())
    runtime = open_runtime("litert")
    noise = np.random.default_rng(1).random((1, 224, 224, 3), np.float32)
    with closing(open_part(split, 0, PLACEMENT.start, runtime=runtime)) as head:
        live = head.run({"input_1": noise})
    with closing(open_part(split, PLACEMENT.start, PLACEMENT.end, runtime=runtime)) as part:
        expected = part.run(live)
    up = Edge(split, split.part_inputs(PLACEMENT.start, PLACEMENT.end))
    sent = [up.pack([live], coding=coding) for coding in (PartCoding.RAW, *PartCoding)]
    seen: list[WorkerPresence] = []
    with (
        worker_process("--models", str(models_dir), folder=tmp_path, url=mosquitto.url) as (process, ready),
        headset_on(mosquitto.url) as headset,
    ):
        digest = bytes.fromhex(ready["models"]["hands"])
        headset._road.subscribe(
            topic("worker-presence", site=SITE, worker="w-1"),
            lambda delivery: seen.append(parse_document(WorkerPresence, delivery.payload)),
            qos=1,
        )
        asks = [
            Part(
                header=header(
                    frame_id=number, placement_id=PLACEMENT.id, model_digest=digest, budget_us=20 * SECOND
                ),
                subjects=each.subjects,
                coding=each.coding,
                payload=each.payload,
            )
            for number, each in enumerate(sent, 1)
        ]
        refused = headset.ask(asks[0])
        until(lambda: seen and seen[-1].placements, what="the presence with the placement")
        answers = [headset.ask(ask) for ask in asks[1:]]
        finish(process)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.header.frame_id) == (RefusalReason.UNKNOWN_PLACEMENT, 1)
    assert refused.retry_after_ms > 0
    online = next(said for said in reversed(seen) if said.online)
    assert online.placements == {digest.hex(): (PLACEMENT.id,)}
    assert set(online.kernels) >= {digest.hex()}
    names = split.part_outputs(PLACEMENT.start, PLACEMENT.end)
    for answered, coding in zip(answers, PartCoding, strict=True):
        assert isinstance(answered, Result)
        assert (answered.header.model_digest, answered.header.placement_id) == (digest, PLACEMENT.id)
        assert (answered.part_subjects, answered.part_coding) == (1, coding)
        back = PartPayload(subjects=1, coding=coding, payload=answered.part_payload)
        (row,) = Edge(split, names).unpack(back)
        assert {name: row[name].tobytes() for name in names} == {
            name: expected[name].tobytes() for name in names
        }
