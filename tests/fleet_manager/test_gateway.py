"""The office on a loopback broker with scripted headsets: registration, deployments, chunks, refusals."""

import threading

import pytest
from fleet_scene import SITE, Office, ScriptedDevice, eventually, presence

from broker.road import RoadState
from fleet_manager.refusals import MAX_PAUSE_MS
from schemas.codec import Encoder
from schemas.documents import (
    ChunkRequest,
    DeploymentSpec,
    Desired,
    Event,
    ManagerPresence,
    Reported,
    WorkerPresence,
    canonical_bytes,
)
from schemas.messages import Header, Mode, Task, Telemetry
from schemas.states import FailureReason, UpdateState
from schemas.topics import row, topic


def spec(**fields) -> DeploymentSpec:
    group = fields.pop("group", None)
    device = fields.pop("device", None)
    return DeploymentSpec.model_validate({"target": {"group": group, "device": device}, **fields})


def test_the_office_says_goodbye_when_it_closes_and_stays_gone(tmp_path, loopback):
    heard: list[ManagerPresence] = []
    loopback.road("watcher").subscribe(
        topic("manager-presence", site=SITE, manager="office"),
        lambda delivery: heard.append(ManagerPresence.model_validate_json(bytes(delivery.payload))),
        qos=1,
    )
    office = Office(tmp_path, loopback)
    eventually(lambda: [said.online for said in heard] == [True])
    office.gateway.close()
    eventually(lambda: [said.online for said in heard] == [True, False])
    assert (heard[0].session, heard[0].epoch) == (heard[1].session, heard[1].epoch)
    loopback.cut("office")  # before its road is closed
    eventually(lambda: heard[-1].session == heard[0].session + 1)
    assert not any(said.online for said in heard[1:])
    office.road.close()
    office.store.close()


def test_a_birth_registers_a_headset(office, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    seen = office.seen("hs-1")
    assert seen.admission.value == "admitted"
    assert seen.presence.boot_id == device.boot
    assert [entry.kind for entry in office.service.journal("hs-1")] == ["registered-admitted"]


def test_a_group_gets_a_model_and_a_split_config_and_every_member_succeeds(office, loopback):
    devices = [ScriptedDevice(loopback, "hs-1"), ScriptedDevice(loopback, "hs-2", boot="b" * 32)]
    other = ScriptedDevice(loopback, "hs-3", boot="c" * 32)
    for name in ("hs-1", "hs-2", "hs-3"):
        office.seen(name)
    office.service.create_group("line-a")
    office.service.add_member("line-a", "hs-1")
    office.service.add_member("line-a", "hs-2")
    model = office.publish()
    begun = office.service.deploy(
        spec(group="line-a", model="hands", split_config={"policy": "rtt-threshold", "rtt_threshold_ms": 15})
    )
    ended = office.ended(begun.id)
    assert ended.outcome.value == "succeeded"
    assert [result.outcome.value for result in ended.results] == ["succeeded", "succeeded"]
    for device in devices:
        assert set(device.fetched) == {model.ref.digest, model.ref.model_digest}
        eventually(lambda device=device: device.acks)
        assert device.acks[0].deployment == begun.id
        assert office.service.device(device.id).settled.package == model.ref
    assert other.desired == []


@pytest.mark.parametrize(
    "reason", [FailureReason.DIGEST_MISMATCH, FailureReason.GOLDEN_MISMATCH, FailureReason.UNLOADABLE]
)
def test_a_bad_rollout_fails_with_its_own_reason_and_does_not_ride_along_later(office, loopback, reason):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    good = office.publish()
    office.ended(office.service.deploy(spec(device="hs-1", model="hands:1")).id)
    office.publish(version="2", model=b"broken" * 40_000)
    device.ends, device.reason = UpdateState.FAILED, reason
    ended = office.ended(office.service.deploy(spec(device="hs-1", model="hands:2")).id)
    assert (ended.outcome.value, ended.reason) == ("failed", reason.value)
    assert "as scripted" in ended.detail
    device.ends, device.reason = UpdateState.COMMITTED, None
    office.ended(office.service.deploy(spec(device="hs-1", split_config={"policy": "local"})).id)
    assert device.desired[-1].package == good.ref
    assert device.desired[-1].split_config.policy == "local"


def test_versions_of_desired_documents_only_grow_across_a_restart(tmp_path, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    first = Office(tmp_path, loopback)
    first.seen("hs-1")
    first.ended(first.service.deploy(spec(device="hs-1", split_config={"policy": "local"})).id)
    first.close()
    second = Office(tmp_path, loopback)
    second.seen("hs-1")
    second.ended(second.service.deploy(spec(device="hs-1", split_config={"policy": "offload"})).id)
    second.close()
    seen = [(desired.epoch, desired.version) for desired in device.desired]
    assert seen[0][0] == seen[1][0]
    assert [version for _, version in seen] == [1, 2]


def test_an_offline_member_ends_timed_out_and_the_deployment_failed(office, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    gone = ScriptedDevice(loopback, "hs-2", boot="b" * 32)
    office.seen("hs-1")
    office.seen("hs-2")
    gone.say("device-presence", gone.born(online=False))
    office.seen("hs-2", "offline")
    gone.road.close()
    office.service.create_group("line-a")
    for name in ("hs-1", "hs-2"):
        office.service.add_member("line-a", name)
    begun = office.service.deploy(spec(group="line-a", split_config={"policy": "local"}))
    eventually(lambda: office.service.deployment(begun.id).results[0].outcome.value == "succeeded")
    office.clock.skip(60_000)
    ended = office.ended(begun.id)
    assert (ended.outcome.value, ended.reason) == ("failed", "offline")
    assert [result.outcome.value for result in ended.results] == ["succeeded", "timed_out"]
    assert device.desired[-1].start_before_ms == begun.deadline_ms


def test_an_empty_group_succeeds_with_a_warning(office):
    office.service.create_group("empty")
    begun = office.service.deploy(spec(group="empty", split_config={"policy": "local"}))
    assert begun.outcome.value == "succeeded"
    assert begun.detail.startswith("warning: ")


def test_a_newer_deployment_supersedes_the_running_one(office, loopback):
    device = ScriptedDevice(loopback, "hs-1", fetches=False)
    office.seen("hs-1")
    first = office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    second = office.service.deploy(spec(device="hs-1", split_config={"policy": "offload"}))
    assert office.service.deployment(first.id).reason == "superseded"
    eventually(lambda: len(device.desired) == 2)
    device.report(UpdateState.COMMITTED)
    assert office.ended(second.id).outcome.value == "succeeded"


def test_a_second_headset_with_an_online_id_is_refused(office, loopback):
    first = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    second = ScriptedDevice(loopback, "hs-1", boot="b" * 32)
    eventually(lambda: any(c.kind == "refuse" for c in second.commands))
    refusal = next(c for c in second.commands if c.kind == "refuse")
    assert refusal.boot_id == second.boot
    assert office.service.device("hs-1").presence.boot_id == first.boot
    assert "refused-duplicate" in [entry.kind for entry in office.service.journal("hs-1")]


def telemetry_of(boot: str) -> bytes:
    header = Header(
        boot_id=bytes.fromhex(boot), task=Task.PING, frame_id=1, capture_ns=0, send_ns=1, budget_us=1
    )
    message = Telemetry(header=header, wall_ms=1, window_ms=1000, mode=Mode.OFFLOAD, fps=30.0)
    return bytes(Encoder().encode(message))


def test_a_refusal_that_was_lost_is_said_again_while_the_refused_headset_is_heard(office, loopback):
    first = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    deaf, boot = loopback.road("deaf"), "b" * 32

    def refusals() -> int:
        assert all(c.boot_id == boot for c in first.commands if c.kind == "refuse")
        return sum(c.kind == "refuse" for c in first.commands)

    born = canonical_bytes(presence("hs-1", boot=boot))
    deaf.publish(topic("device-presence", site=SITE, device="hs-1"), born, qos=1)
    eventually(lambda: refusals() == 1)
    for said in (2, 3):
        office.clock.skip(MAX_PAUSE_MS)
        deaf.publish(topic("telemetry", site=SITE, device="hs-1"), telemetry_of(boot))
        eventually(lambda said=said: refusals() == said)
    office.clock.skip(MAX_PAUSE_MS)
    deaf.publish(topic("telemetry", site=SITE, device="hs-1"), telemetry_of(first.boot))
    event = Event(device="hs-1", boot_id=boot, seq=1, kind="overheated", sent_ms=1)
    deaf.publish(topic("device-event", site=SITE, device="hs-1"), canonical_bytes(event), qos=1)
    eventually(lambda: refusals() == 4)
    assert office.service.device("hs-1").presence.boot_id == first.boot
    kinds = [entry.kind for entry in office.service.journal("hs-1")]
    assert (kinds.count("claimed-twice"), kinds.count("refused-duplicate")) == (1, 1)


def test_a_refusal_that_the_road_did_not_take_is_said_when_it_does(office, loopback, monkeypatch):
    first = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    say, full = office.road.publish, threading.Event()
    full.set()

    def publish(name, payload, **how):
        return not (full.is_set() and b'"refuse"' in payload) and say(name, payload, **how)

    monkeypatch.setattr(office.road, "publish", publish)
    second = ScriptedDevice(loopback, "hs-1", boot="b" * 32)
    eventually(lambda: office.metrics.counter("fleet_commands_refused_by_road", kind="refuse") >= 2)
    full.clear()
    eventually(lambda: any(c.kind == "refuse" for c in second.commands))
    assert office.service.device("hs-1").presence.boot_id == first.boot


def test_what_a_challenger_or_a_refused_headset_tells_is_not_the_first_ones_story(office, loopback):
    first = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    second = ScriptedDevice(loopback, "hs-1", boot="b" * 32)
    told = Event(device="hs-1", boot_id=second.boot, seq=1, kind="overheated", sent_ms=1)
    # over the first one's road: the second closes its own as soon as it is refused
    first.say("device-event", told)
    eventually(lambda: any(c.kind == "refuse" for c in second.commands))
    first.say("device-event", told)
    eventually(lambda: office.ignored("event_of_another_boot") == 2)
    first.say("device-event", told.model_copy(update={"boot_id": first.boot, "kind": "cooled"}))
    eventually(lambda: "cooled" in [entry.kind for entry in office.service.journal("hs-1")])
    assert "overheated" not in [entry.kind for entry in office.service.journal("hs-1")]


def test_a_headset_that_came_back_takes_its_id_over_from_a_silent_one(office, loopback):
    silent = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    loopback.vanish(silent.road.client_id)
    second = ScriptedDevice(loopback, "hs-1", boot="b" * 32)
    eventually(lambda: any(c.kind == "resend" and c.boot_id == silent.boot for c in second.commands))
    second.report(UpdateState.IDLE, model="float")
    eventually(lambda: office.ignored("report_of_challenger"))
    office.clock.skip(2000)
    eventually(lambda: office.service.device("hs-1").presence.boot_id == second.boot)
    assert office.service.device("hs-1").reported.model == "float"
    assert not any(c.kind == "refuse" for c in second.commands)


def test_an_id_is_not_lost_to_a_question_that_the_road_did_not_take(office, loopback, monkeypatch):
    first = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    say, full = office.road.publish, threading.Event()
    full.set()

    def publish(name, payload, **how):
        return not (full.is_set() and name.endswith("/command")) and say(name, payload, **how)

    monkeypatch.setattr(office.road, "publish", publish)
    second = ScriptedDevice(loopback, "hs-1", boot="b" * 32)

    def refused_by_road():
        return office.metrics.counter("fleet_commands_refused_by_road", kind="resend")

    eventually(refused_by_road)
    office.clock.skip(60_000)
    tried = refused_by_road()
    eventually(lambda: refused_by_road() > tried + 1)  # a tick went by since
    assert office.service.device("hs-1").presence.boot_id == first.boot
    full.clear()
    eventually(lambda: any(c.kind == "refuse" for c in second.commands))
    assert office.service.device("hs-1").presence.boot_id == first.boot


@pytest.mark.parametrize("stale", [{"session": 0}, {"boot": "f" * 32}])
def test_an_offline_of_another_session_or_boot_is_ignored(office, loopback, stale):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    device.say("device-presence", presence("hs-1", online=False, **stale))
    eventually(lambda: office.ignored("stale_presence"))
    assert office.service.device("hs-1").connectivity.value == "online"


def test_without_an_own_broker_a_headset_is_pending_until_it_is_approved(tmp_path, loopback):
    office = Office(tmp_path, loopback, admit_at_once=False)
    device = ScriptedDevice(loopback, "hs-1")
    assert office.seen("hs-1").admission.value == "pending"
    refused = office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    assert (refused.outcome.value, refused.reason) == ("failed", "not_admitted")
    assert device.desired == []
    office.service.approve("hs-1")
    begun = office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    assert office.ended(begun.id).outcome.value == "succeeded"
    office.close()


def test_desired_documents_reach_a_headset_that_connects_later(office, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    device.say("device-presence", device.born(online=False))
    office.seen("hs-1", "offline")
    device.road.close()
    begun = office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    back = ScriptedDevice(loopback, "hs-1", boot="b" * 32)
    assert office.ended(begun.id).outcome.value == "succeeded"
    assert back.desired[-1].deployment == begun.id


def test_malformed_and_foreign_documents_are_counted_by_reason(office, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    own = topic("device-reported", site=SITE, device="hs-1")
    device.road.publish(own, b"not json", qos=1)
    eventually(lambda: office.malformed("bad_document"))
    nul = Event(device="hs-1", boot_id=device.boot, seq=1, kind="hot", detail="at 90 C", sent_ms=1)
    spoiled = canonical_bytes(nul).replace(b"at 90 C", b"at\\u0000 C")  # no database takes it
    device.road.publish(topic("device-event", site=SITE, device="hs-1"), spoiled, qos=1)
    eventually(lambda: office.malformed("bad_document") == 2)
    spoiled = canonical_bytes(
        Reported(device="hs-1", boot_id=device.boot, seq=1, detail="at 90 C", sent_ms=1)
    ).replace(b"at 90 C", b"at\\u0000 C")
    device.road.publish(own, spoiled, qos=1)
    eventually(lambda: office.malformed("bad_document") == 3)
    assert office.service.device("hs-1").reported is None
    device.road.publish(
        topic("device-presence", site=SITE, device="hs-1"), canonical_bytes(presence("hs-2")), qos=1
    )
    eventually(lambda: office.malformed("wrong_sender"))
    device.road.publish(topic("telemetry", site=SITE, device="hs-1"), b"FB", qos=0)
    eventually(lambda: office.malformed("too_short"))
    assert office.service.device("hs-1").connectivity.value == "online"


def test_what_is_larger_than_its_stream_allows_never_enters_the_inbox(office, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    gate = threading.Event()
    office.gateway.inbox.put(gate.wait)
    eventually(lambda: len(office.gateway.inbox) == 0)
    for name in ("telemetry", "device-event"):
        own = topic(name, site=SITE, device="hs-1")
        device.road.publish(own, bytes(row(name).max_payload_bytes + 1), qos=row(name).qos)
    eventually(lambda: office.malformed("too_large") == 2)
    assert len(office.gateway.inbox) == 0
    gate.set()


def test_telemetry_and_workers_are_seen(office, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    device.road.publish(topic("telemetry", site=SITE, device="hs-1"), telemetry_of(device.boot))
    eventually(lambda: office.gateway.telemetry.get("hs-1"))
    assert office.gateway.telemetry.get("hs-1").telemetry.fps == 30.0
    born = WorkerPresence(worker="w-1", online=True, session=1, boot_id="d" * 32, software="0.1.0", sent_ms=1)
    device.road.publish(topic("worker-presence", site=SITE, worker="w-1"), canonical_bytes(born), retain=True)
    eventually(lambda: "w-1" in office.gateway.workers)


def test_after_a_broker_outage_desired_documents_are_published_again_and_everybody_is_asked(office, loopback):
    device = ScriptedDevice(loopback, "hs-1", fetches=False)
    office.seen("hs-1")
    loopback.stop()
    office.seen("hs-1", "unknown")
    begun = office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    loopback.start()
    eventually(lambda: device.desired)
    assert device.desired[-1].deployment == begun.id
    office.seen("hs-1")


def test_a_change_of_the_road_is_not_lost_to_a_full_inbox(office, loopback):
    device = ScriptedDevice(loopback, "hs-1", fetches=False)
    office.seen("hs-1")
    gate, inbox, asked = threading.Event(), office.gateway.inbox, []

    def fill() -> None:
        gate.clear()
        assert inbox.put(gate.wait)
        eventually(lambda: len(inbox) == 0)
        while inbox.put(lambda: None):
            pass

    fill()
    loopback.stop()
    eventually(lambda: office.road.state is RoadState.DEAD)
    gate.set()
    office.seen("hs-1", "unknown")
    begun = office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    fill()
    loopback.road("watcher").subscribe(topic("resync", site=SITE), asked.append, qos=1)
    loopback.start()
    eventually(lambda: office.road.state is RoadState.READY)
    assert office.service.device("hs-1").connectivity.value == "unknown"
    gate.set()
    eventually(lambda: device.desired and asked)
    assert device.desired[-1].deployment == begun.id


def test_what_is_said_again_after_a_reconnect_never_follows_what_replaced_it(office, loopback, monkeypatch):
    device = ScriptedDevice(loopback, "hs-1", fetches=False)
    office.seen("hs-1")
    office.service.deploy(spec(device="hs-1", split_config={"policy": "local"}))
    read = office.service.desired_documents
    deploying: list[threading.Thread] = []

    def read_and_be_overtaken():
        documents = read()
        newer = spec(device="hs-1", split_config={"policy": "offload"})
        deploying.append(threading.Thread(target=office.service.deploy, args=(newer,)))
        deploying[0].start()
        deploying[0].join(0.3)  # ends at once where nothing keeps the two apart
        return documents

    published: list[int] = []
    say = office.road.publish

    def publish(name, payload, **how):
        if name == topic("device-desired", site=SITE, device="hs-1"):
            published.append(Desired.model_validate_json(payload).version)
        return say(name, payload, **how)

    monkeypatch.setattr(office.service, "desired_documents", read_and_be_overtaken)
    monkeypatch.setattr(office.road, "publish", publish)
    loopback.stop()
    loopback.start()
    eventually(lambda: deploying and not deploying[0].is_alive() and len(published) == 2)
    assert published == [1, 2]
    eventually(lambda: device.desired[-1].version == 2)


def test_a_pending_headset_gets_no_chunks_until_it_is_approved(tmp_path, loopback):
    office = Office(tmp_path, loopback, admit_at_once=False)
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    model = office.publish()
    wanted = ChunkRequest(digest=model.ref.digest, chunks=1, missing="AQ==")
    device.say("device-chunkreq", wanted)
    eventually(lambda: office.ignored("chunks_for_unadmitted_device"))
    office.service.approve("hs-1")
    device.say("device-chunkreq", wanted)
    eventually(lambda: device.chunks)
    device.say("device-chunkreq", wanted.model_copy(update={"digest": "0" * 64}))
    eventually(lambda: office.metrics.counter("fleet_chunks_absent"))
    office.close()


def test_a_retained_event_of_the_past_is_not_taken_for_news(tmp_path, loopback):
    device = ScriptedDevice(loopback, "hs-1")
    event = Event(device="hs-1", boot_id=device.boot, seq=1, kind="overheated", sent_ms=1)
    own = topic("device-event", site=SITE, device="hs-1")
    device.road.publish(own, canonical_bytes(event), qos=1, retain=True)
    eventually(lambda: device.road.counters.sent)
    office = Office(tmp_path, loopback)
    office.seen("hs-1")
    eventually(lambda: office.ignored("retained_where_nothing_may_be"))
    device.road.publish(own, canonical_bytes(event), qos=1)
    eventually(lambda: "overheated" in [e.kind for e in office.service.journal("hs-1")])
    office.close()
