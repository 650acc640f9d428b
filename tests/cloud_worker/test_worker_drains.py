"""SIGTERM under load: a worker process with more requests than it can run leaves nobody without a reply."""

import itertools
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from schemas.documents import WorkerPresence, parse_document
from schemas.messages import Refusal, RefusalReason, Result
from schemas.topics import topic
from tests.cloud_worker.builders import header
from tests.cloud_worker.conftest import SITE, Headset, headset_on
from tests.cloud_worker.test_worker_process import photo_frame, worker_process

HEADSETS, SECOND_US = 4, 1_000_000
LOAD_S = 1.5


@dataclass(slots=True)
class Sender:
    """A headset that sends frames that have all the time in the world, until it hears the goodbye."""

    headset: Headset
    is_told: list[float] = field(default_factory=list)  # when it heard the goodbye
    sent: list[int] = field(default_factory=list)

    def send(self, photo) -> None:
        if not self.is_told:
            frame_id = len(self.sent)
            self.sent.append(frame_id)
            self.headset.send(replace(photo, header=header(frame_id=frame_id, budget_us=20 * SECOND_US)))

    def replies_to(self, frame_id: int) -> list[Result | Refusal]:
        return [reply for reply in list(self.headset.replies) if reply.header.frame_id == frame_id]


def _watch(sender: Sender) -> None:
    def see(delivery) -> None:
        if not parse_document(WorkerPresence, delivery.payload).online:
            sender.is_told.append(time.monotonic())

    sender.headset._road.subscribe(topic("worker-presence", site=SITE, worker="w-1"), see, qos=1)


def test_every_request_sent_before_the_goodbye_was_heard_gets_exactly_one_reply(
    mosquitto, models_dir, hand_photos, tmp_path
):
    photo, _ = photo_frame(hand_photos["Threshold_inRange_Tutorial_Result_input.jpeg"])
    with ExitStack() as stack:
        process, _ready = stack.enter_context(
            worker_process("--models", str(models_dir), folder=tmp_path, url=mosquitto.url)
        )
        senders = [
            Sender(stack.enter_context(headset_on(mosquitto.url, device=f"h-{n}"))) for n in range(HEADSETS)
        ]
        for sender in senders:
            _watch(sender)
        begin_s, told = time.monotonic(), False
        for sender in itertools.cycle(senders):
            sender.send(photo)
            elapsed_s = time.monotonic() - begin_s
            if elapsed_s > LOAD_S and not told:
                process.send_signal(signal.SIGTERM)
                told = True
            if all(one.is_told for one in senders):
                break
            assert elapsed_s < 20, "the goodbye was never heard"
            time.sleep(0.003)
        assert process.wait(15) == 0
        replies = [
            reply for sender in senders for frame_id in sender.sent for reply in sender.replies_to(frame_id)
        ]
        unlucky = [
            (sender.headset.device, frame_id, len(sender.replies_to(frame_id)))
            for sender in senders
            for frame_id in sender.sent
            if len(sender.replies_to(frame_id)) != 1
        ]
    assert not unlucky
    reasons = [reply.reason for reply in replies if isinstance(reply, Refusal)]
    assert RefusalReason.DRAINING in reasons
    assert sum(isinstance(reply, Result) for reply in replies) > 0
