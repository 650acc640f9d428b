"""A whole headset over a loopback broker: whatever the worker does, every frame gets exactly one answer."""

import json
import subprocess
import sys
import time

import cv2
import pytest
from edge_bench import hands_at
from edge_site import ACTS, DEVICE, SITE, WORKER, Blind, Seer, engine, site, until

from edge_node.decide import Path
from edge_node.errors import DuplicateError
from inference.errors import ModelRunError
from schemas.codec import decode
from schemas.documents import Command, DevicePresence, Resync, SplitConfig, canonical_bytes
from schemas.topics import pool_filter, topic

OFFLOAD = SplitConfig(policy="offload", reply_timeout_ms=40, deadline_ms=100)


def check(here, result, lines):
    """One line per scheduled frame, in order, and counts that add up."""
    assert sorted(line["frame_id"] for line in lines) == list(range(result["scheduled"]))
    outcomes = [line["outcome"] for line in lines]
    for word in ("fresh_on_time", "carried_on_time", "late", "none"):
        assert outcomes.count(word) == result[word]
    for line in lines:
        on_time = line["answer_ns"] - line["scheduled_ns"] <= line["deadline_ms"] * 1e6
        if line["outcome"] == "fresh_on_time":
            assert on_time
            assert line["result_frame_id"] == line["frame_id"]
        elif line["outcome"] == "carried_on_time":
            assert on_time
            assert line["result_frame_id"] != line["frame_id"]
        elif line["outcome"] == "late":
            assert not on_time


def was_seen(act, here):
    """Whether the worker did it, and this is what the headset made of it."""
    if act in {"ok", "twice"}:
        return here.headset._journey.answers.ledger.totals.paths[Path.OFFLOAD] > 0
    if act == "refuse":
        return here.headset._journey.remote.refusals["busy"] > 0
    return any(request.header.frame_id >= 5 for request in here.worker.requests)


@pytest.mark.parametrize("act", sorted(ACTS))
def test_whatever_a_worker_does_every_frame_gets_one_answer(tmp_path, act):
    with site(tmp_path) as here:
        here.start(split=OFFLOAD, script=lambda frame: act if frame >= 5 else "ok")
        # on a busy host the first frames may stay here, and a reply may come too late to count
        until(lambda: was_seen(act, here), what=act)
        begun = here.headset._journey.answers.ledger.totals.scheduled
        until(lambda: here.headset._journey.answers.ledger.totals.scheduled > begun + 20, what="more frames")
        result = here.stop()
        lines = here.lines()
    check(here, result, lines)
    assert result["none"] == 0


def test_duplicates_and_foreign_replies_are_counted_and_dropped(tmp_path):
    script = ["twice", "garbled", "other_boot"]
    with site(tmp_path) as here:
        here.start(split=OFFLOAD, seconds=1.0, script=lambda frame: script[frame % 3])
        here.join()
        counts = here.stop()["dropped_replies"]
    assert counts["dropped_unasked"] > 0
    assert counts["dropped_old_boot"] > 0
    assert any(name.startswith("malformed") for name in counts)


@pytest.mark.parametrize("policy", ["offload", "rtt-threshold"])
def test_frames_for_the_pool_are_answered_by_whoever_took_them(tmp_path, policy):
    split = SplitConfig(
        policy=policy, worker="any", rtt_threshold_ms=80, probe_interval_ms=20, reply_timeout_ms=90
    )
    with site(tmp_path) as here:
        here.start(split=split)
        here.worker.road.subscribe(pool_filter(SITE, "hands"), here.worker.receive)
        until(lambda: here.headset._journey.answers.ledger.totals.paths[Path.OFFLOAD] > 5, what="answers")
        result = here.stop()
        lines = here.lines()
    check(here, result, lines)
    assert {line["worker"] for line in lines if line["path"] == "offload"} == {WORKER}


def test_a_reply_of_a_worker_that_was_not_asked_does_not_harm_the_right_one(tmp_path, monkeypatch):
    def after_a_stranger(worker, message):
        payload = worker.encoder.encode(worker.result(message.header))
        stranger = topic("result", site=SITE, device=DEVICE, worker="w-9", task="hands")
        worker.road.publish(stranger, payload)
        worker.ok(message)

    monkeypatch.setitem(ACTS, "after_a_stranger", after_a_stranger)
    with site(tmp_path) as here:
        here.start(split=OFFLOAD, script=lambda _frame: "after_a_stranger")
        until(lambda: here.headset._journey.answers.ledger.totals.paths[Path.OFFLOAD] > 5, what="answers")
        result = here.stop()
        lines = here.lines()
    assert result["dropped_replies"]["dropped_unasked"] > 5
    assert {line["worker"] for line in lines if line["path"] == "offload"} == {WORKER}


def test_a_link_that_vanishes_sends_every_frame_to_the_headset(tmp_path):
    with site(tmp_path) as here:
        here.start(split=OFFLOAD, seconds=1.5)
        until(lambda: len(here.worker.requests) > 10)
        here.broker.stop()
        here.join()
        result = here.stop()
        lines = here.lines()
    check(here, result, lines)
    assert result["none"] == 0
    assert lines[-1]["path"] in {"local", "carried"}
    assert any(line["state"] == "dead" for line in here.lines("link"))


def test_the_threshold_policy_goes_up_after_good_probes_and_down_when_replies_stop(tmp_path):
    split = SplitConfig(
        policy="rtt-threshold", rtt_threshold_ms=80, probe_interval_ms=20, reply_timeout_ms=90
    )
    answers = {"now": "ok"}
    with site(tmp_path) as here:
        here.start(split=split, script=lambda _frame: answers["now"])
        until(lambda: len(here.worker.requests) > 5, what="going up")
        answers["now"] = "silent"
        until(lambda: here.headset._journey.switches >= 2, what="going down")
        result = here.stop()
        lines = here.lines()
        switches = here.lines("switch")
    check(here, result, lines)
    assert result["none"] == 0
    assert switches[0]["after"] == "offload"
    assert switches[1]["after"] == "local"


def test_presence_is_born_with_the_boot_and_says_goodbye(tmp_path):
    with site(tmp_path) as here:
        here.start()
        until(lambda: here.manager.presence)
        born = DevicePresence.model_validate(here.manager.presence[0])
        boot = here.identity.boot_id.hex()
        here.stop()
        until(lambda: not here.manager.presence[-1]["online"])
        gone = DevicePresence.model_validate(here.manager.presence[-1])
    assert born.online
    assert born.boot_id == gone.boot_id == boot
    assert born.session == gone.session


def test_a_resync_brings_presence_and_report_again(tmp_path):
    with site(tmp_path) as here:
        here.start()
        until(lambda: here.manager.presence and here.manager.reports)
        before = len(here.manager.presence), len(here.manager.reports)
        order = Resync(epoch=1, jitter_ms=1)
        here.manager.road.publish(topic("resync", site=SITE), canonical_bytes(order), qos=1)
        until(lambda: len(here.manager.presence) > before[0] and len(here.manager.reports) > before[1])


def test_a_refused_second_process_ends_without_speaking_for_the_first(tmp_path):
    with site(tmp_path) as here:
        here.start()
        until(lambda: here.manager.presence)
        here.manager.say("device-command", Command(command_id="c-0", kind="refuse", boot_id="1" * 32))
        boot = here.identity.boot_id.hex()
        here.manager.say("device-command", Command(command_id="c-1", kind="refuse", boot_id=boot))
        here.join()
        assert isinstance(here.error, DuplicateError)
        here.headset.close()
        here.headset = None
        time.sleep(0)  # nothing is sent after close
        assert all(presence["online"] for presence in here.manager.presence)


def test_a_command_explains_and_a_resend_for_another_boot_is_ignored(tmp_path):
    with site(tmp_path) as here:
        replies = []
        here.start()
        here.manager.road.subscribe(
            topic("device-reply", site=SITE, device=DEVICE),
            lambda d: replies.append(json.loads(bytes(d.payload))),
        )
        until(lambda: here.manager.presence)
        births = len(here.manager.presence)
        here.manager.say("device-command", Command(command_id="c-1", kind="resend", boot_id="2" * 32))
        here.manager.say("device-command", Command(command_id="c-2", kind="explain"))
        until(lambda: replies)
        assert replies[0]["command_id"] == "c-2"
        assert replies[0]["body"]["policy"] == "local"
        assert len(here.manager.presence) == births


def test_telemetry_is_published_every_second_as_flatbuffer_and_json(tmp_path):
    with site(tmp_path) as here:
        packed, mirrored = [], []
        here.broker.road("watcher").subscribe(
            topic("telemetry", site=SITE, device=DEVICE), lambda d: packed.append(decode(bytes(d.payload)))
        )
        here.broker.road("watcher2").subscribe(
            topic("telemetry-json", site=SITE, device=DEVICE),
            lambda d: mirrored.append(json.loads(bytes(d.payload))),
        )
        here.start(seconds=2.2)
        here.join()
        here.stop()
        until(lambda: len(packed) >= 2 and len(mirrored) >= 2)
    assert packed[0].outcomes.scheduled > 0
    assert packed[0].fps > 0
    assert mirrored[0]["model"] == "factory"
    assert mirrored[0]["simulated"] is False


def test_a_source_without_hands_gives_answers_without_hands(tmp_path):
    with site(tmp_path) as here:
        here.start(factory=engine(Blind()), seconds=0.5)
        here.join()
        result = here.stop()
        lines = here.lines()
    assert result["none"] == 0
    assert all(line["hands"] == [] for line in lines)


class Moody:
    """Sees now and then; in between it fails as ``errors`` say, one after the other."""

    def __init__(self, errors):
        self.errors = errors
        self.runs = 0

    def run(self, image_rgb, *, rois=()):
        self.runs += 1
        if self.runs % 2 == 0 and self.errors:
            raise self.errors.pop(0)
        return hands_at(0.5)


def test_the_slot_survives_every_failure_of_a_model(tmp_path):
    errors = [cv2.error("no such shape"), ValueError("no number"), MemoryError(), ModelRunError("it fails")]
    with site(tmp_path) as here:
        here.start(factory=engine(Moody(list(errors))), with_worker=False)
        use = here.headset._journey.perception.use
        until(lambda: use.failures >= len(errors) - 1, what="the failed jobs")  # one failed in the first look
        before = use.jobs
        until(lambda: use.jobs > before + 3, what="jobs after the failed ones")
        assert use.last_error == "it fails"
        result = here.stop()
        lines = here.lines()
    check(here, result, lines)


def test_a_slot_that_is_too_slow_for_the_rate_carries_the_rest(tmp_path):
    with site(tmp_path) as here:
        here.start(factory=engine(Seer(run_s=0.045)), seconds=1.2, with_worker=False)
        here.join()
        result = here.stop()
        lines = here.lines()
    check(here, result, lines)
    assert result["none"] == 0
    assert result["carried_on_time"] > 0


def test_running_a_headset_loads_neither_the_office_nor_its_database():
    code = (
        "import sys, edge_node.main, edge_node.cli, edge_node.capture, edge_node.qualify;"
        "print([m for m in ('sqlalchemy', 'fastapi', 'fleet_manager', 'cloud_worker') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
