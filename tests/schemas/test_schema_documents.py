"""Documents: bad input names the field, unknown keys follow the policy, bytes are canonical."""

import hashlib
import inspect
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas import documents
from schemas.documents import (
    MAX_DOCUMENT_BYTES,
    DeploymentSpec,
    Desired,
    DevicePresence,
    Load,
    ModelManifest,
    PartPlacement,
    Reported,
    SplitConfig,
    Target,
    WorkerPresence,
    Written,
    canonical_bytes,
    parse_document,
)
from schemas.errors import MalformedMessage, Reason
from schemas.messages import PartCoding
from schemas.placements import Placement
from schemas.states import UpdateState

# fmt: off
REF = {
    "digest": "a" * 64,
    "manifest_bytes": 10,
    "name": "hands-int8",
    "version": "1",
    "model_digest": "b" * 64,
}
NODE = {"boot_id": "0" * 32, "sent_ms": 1}
WORKER_LOAD = {"worker": "w-1", "queued": 0, "running": 0, "run_p50_us": 0, "run_p99_us": 0, "answered": 0, "refused": 0, **NODE}
FILE = {"role": "model", "name": "model.tflite", "bytes": 5, "sha256": "c" * 64, "chunk_bytes": 61_440, "chunk_sha256": ["c" * 64]}
MINIMAL = {
    "SplitConfig": {},
    "PartPlacement": {"head_end": 20, "tail_start": 59},
    "PackageRef": REF,
    "DevicePresence": {"device": "d-1", "online": True, "session": 1, "device_class": "xr-slow", "software": "1", **NODE},
    "WorkerPresence": {"worker": "w-1", "online": True, "session": 1, "software": "1", **NODE},
    "ManagerPresence": {"manager": "m-1", "online": True, "session": 1, "epoch": 1, "sent_ms": 1},
    "Load": WORKER_LOAD,
    "Desired": {"device": "d-1", "epoch": 1, "version": 2, "package": REF, "split_config": {}, "sent_ms": 1},
    "Reported": {"device": "d-1", "active": REF, **NODE},
    "Event": {"device": "d-1", "seq": 1, "kind": "link-lost", **NODE},
    "Ack": {"deployment": "dep-1", "boot_id": "0" * 32, "seq": 1},
    "Command": {"command_id": "c-1", "kind": "explain"},
    "Reply": {"command_id": "c-1", "ok": True},
    "ChunkRequest": {"digest": "a" * 64, "chunks": 3, "missing": "Bw=="},
    "Resync": {"epoch": 1},
    "EnrolRequest": {"client": "c-1", "device_class": "xr-slow", "claim": "secret"},
    "EnrolReply": {"accepted": False},
    "TelemetryMirror": {
        "device": "d-1", "wall_ms": 1, "window_ms": 500, "mode": "local", "fps": 30.0, "outcomes": {}, "answered": {},
        "switches": 0, "latency_ms": {}, "age_p99_ms": 0.0, "rtt_ms": 0.0, "battery_fraction": 1.0,
        "temperature_c": 30.0, "throttled": False, "simulated": True, "worker": "", "model": "",
    },
    "Target": {"group": "line-a"},
    "DeploymentSpec": {"target": {"group": "line-a"}, "model": "hands-int8:1"},
    "ModelFile": FILE,
    "GoldenOutput": {"name": "landmarks", "tolerance": 0.01},
    "ModelManifest": {"name": "hands", "version": "1", "task": "hands", "runtimes": ["litert"], "quantisation": "int8", "model_digest": "a" * 64, "files": [FILE]},
}
# fmt: on
PINNED = "8e348d7e268af4d958e477ec205f4bea3a26b473971cdcea0f121f66cd6a607c"
KINDS = {
    name: kind
    for name, kind in vars(documents).items()
    if inspect.isclass(kind)
    and issubclass(kind, BaseModel)
    and name not in ("BaseModel", "Written", "Reading")
}
each_kind = pytest.mark.parametrize("name", KINDS)


def good(name):
    return json.dumps(MINIMAL[name]).encode()


def refusal(kind, payload):
    with pytest.raises(MalformedMessage) as caught:
        parse_document(kind, payload)
    return caught.value


def test_every_kind_of_document_is_tested_here():
    assert set(MINIMAL) == set(KINDS)


@each_kind
def test_a_document_reads_back_as_it_was_written(name):
    document = parse_document(KINDS[name], good(name))
    assert parse_document(KINDS[name], canonical_bytes(document)) == document


@each_kind
def test_unknown_keys_are_an_error_where_people_write_and_ignored_where_nodes_do(name):
    payload = json.dumps({**MINIMAL[name], "spelt_wrong": 1}).encode()
    if issubclass(KINDS[name], Written):
        assert "spelt_wrong" in str(refusal(KINDS[name], payload))
    else:
        assert parse_document(KINDS[name], payload) == parse_document(KINDS[name], good(name))


@each_kind
def test_a_document_cannot_be_changed_after_it_was_checked(name):
    document = parse_document(KINDS[name], good(name))
    first = next(iter(KINDS[name].model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(document, first, None)


@each_kind
def test_every_missing_field_is_named(name):
    required = [field for field, info in KINDS[name].model_fields.items() if info.is_required()]
    for field in required:
        without = {key: value for key, value in MINIMAL[name].items() if key != field}
        error = refusal(KINDS[name], json.dumps(without).encode())
        assert error.reason is Reason.BAD_DOCUMENT
        assert f"{name}.{field}" in str(error)


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        (DevicePresence, {"device": "Not An Id"}, "DevicePresence.device"),
        (DevicePresence, {"device": "d-1\n"}, "DevicePresence.device"),
        (DevicePresence, {"session": -1}, "DevicePresence.session"),
        (DevicePresence, {"boot_id": "xyz"}, "DevicePresence.boot_id"),
        (Desired, {"package": {**REF, "digest": "A" * 64}}, "Desired.package.digest"),
        (Desired, {"split_config": {"policy": "magic"}}, "Desired.split_config.policy"),
        (Desired, {"split_config": {"policy": "split"}}, "needs placement.head_end and placement.tail_start"),
        (Desired, {"split_config": {"placement": {"head_end": 5}}}, "split_config.placement.tail_start"),
        (
            Desired,
            {"split_config": {"placement": {"head_end": 5, "tail_start": 5}}},
            "tail_start must lie behind placement.head_end",
        ),
        (WorkerPresence, {"kernels": {"a" * 64: "no digest"}}, "WorkerPresence.kernels"),
        (WorkerPresence, {"placements": {"a" * 64: [0]}}, "WorkerPresence.placements"),
        (WorkerPresence, {"placements": {"a" * 64: list(range(1, 66))}}, "WorkerPresence.placements"),
        (Desired, {"split_config": {"rtt_threshold_ms": 0}}, "Desired.split_config.rtt_threshold_ms"),
        (Reported, {"state": "half"}, "Reported.state"),
        (Reported, {"detail": "x" * 1025}, "Reported.detail"),
        (Reported, {"detail": "a line\n\0"}, "Reported.detail"),
        (Load, {"queued": 1.5}, "Load.queued"),
        (DeploymentSpec, {"model": "No Spaces"}, "DeploymentSpec.model"),
        (DeploymentSpec, {"timeout_s": 0}, "DeploymentSpec.timeout_s"),
        (DeploymentSpec, {"target": {"group": "a", "device": "b"}}, "exactly one of"),
        (DeploymentSpec, {"model": None}, "changes nothing"),
        (ModelManifest, {"files": [{**FILE, "name": "../etc/passwd"}]}, "ModelManifest.files.0.name"),
        (ModelManifest, {"files": [{**FILE, "bytes": 2**40}]}, "ModelManifest.files.0.bytes"),
    ],
)
def test_a_bad_value_is_named_by_its_place(kind, change, named):
    error = refusal(kind, json.dumps({**MINIMAL[kind.__name__], **change}).encode())
    assert error.reason is Reason.BAD_DOCUMENT
    assert named in str(error)


@each_kind
def test_no_integer_is_larger_than_any_store_can_hold(name):
    """A database's bigint ends below 2^63 and a double's whole numbers at 2^53: one such field blocked a group."""
    numbers = [field for field, info in KINDS[name].model_fields.items() if info.annotation is int]
    for field in numbers:
        error = refusal(KINDS[name], json.dumps({**MINIMAL[name], field: 2**53}).encode())
        assert f"{name}.{field}" in str(error)


def test_the_largest_count_is_read():
    payload = json.dumps({**MINIMAL["Reported"], "epoch": 2**53 - 1}).encode()
    assert parse_document(Reported, payload).epoch == 2**53 - 1


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"device": "\xff"}', b"[" * 5000]
)
def test_what_is_not_a_document_is_a_bad_document(payload):
    assert refusal(DevicePresence, payload).reason is Reason.BAD_DOCUMENT


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(word):
    payload = good("TelemetryMirror").replace(b"30.0", word.encode(), 1)
    assert refusal(documents.TelemetryMirror, payload).reason is Reason.BAD_DOCUMENT


def test_a_document_over_its_limit_is_refused_before_it_is_parsed():
    assert refusal(DevicePresence, b" " * (MAX_DOCUMENT_BYTES + 1)).reason is Reason.TOO_LARGE
    assert parse_document(DevicePresence, good("DevicePresence").ljust(MAX_DOCUMENT_BYTES))
    with pytest.raises(MalformedMessage):
        parse_document(DevicePresence, good("DevicePresence"), max_bytes=10)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_never_anything_but_a_reason(noise):
    with pytest.raises(MalformedMessage):
        parse_document(Desired, noise)


def test_equal_documents_have_equal_bytes_in_any_key_order():
    turned = dict(reversed(MINIMAL["DevicePresence"].items()))
    one = parse_document(DevicePresence, good("DevicePresence"))
    two = parse_document(DevicePresence, json.dumps(turned, indent=4).encode())
    assert canonical_bytes(one) == canonical_bytes(two)


def test_the_digest_of_a_manifest_does_not_move():
    """Packages are addressed by these bytes: a change here renames every published model."""
    manifest = parse_document(ModelManifest, good("ModelManifest"))
    assert hashlib.sha256(canonical_bytes(manifest)).hexdigest() == PINNED


def test_defaults_of_a_split_config_are_those_of_the_guides():
    config = SplitConfig()
    assert (config.policy, config.rtt_threshold_ms, config.up_probes) == ("deadline", 15.0, 5)


def test_a_report_starts_idle_and_a_target_names_one():
    assert parse_document(Reported, good("Reported")).state is UpdateState.IDLE
    with pytest.raises(ValueError, match="exactly one"):
        Target()


def test_a_manifest_finds_its_files_by_role():
    manifest = parse_document(ModelManifest, good("ModelManifest"))
    assert manifest.file("model").name == "model.tflite"
    assert manifest.file("golden") is None


def test_a_split_config_without_a_placement_is_written_as_before_there_were_any():
    assert "placement" not in json.loads(canonical_bytes(SplitConfig()))
    placed = SplitConfig(policy="split", placement={"head_end": 20, "tail_start": 59})
    assert json.loads(canonical_bytes(placed))["placement"] == {"head_end": 20, "tail_start": 59}
    assert placed.placement.placement == Placement(start=20, end=59)


def test_a_placement_says_that_tensors_travel_packed_only_where_they_do():
    rows = [PartPlacement(head_end=20, tail_start=59, packed=packed) for packed in (False, True)]
    assert [json.loads(canonical_bytes(row)).get("packed") for row in rows] == [None, True]
    assert [row.coding for row in rows] == [PartCoding.RAW, PartCoding.PACKED]
