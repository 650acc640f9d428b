"""What survives: the journal, packages by content, the pointer, transfers chunk by chunk."""

import base64
import hashlib
import io
import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node import events
from edge_node.errors import StoreError, UpdateError
from edge_node.events import EventFile
from edge_node.fetch import check_manifest
from edge_node.journal import Journal
from edge_node.model_store import ModelStore
from edge_node.transfer import MAX_BAD_COPIES, STALL_NS, WINDOW, Arrival, Transfer, bitmap
from edge_node.update import MAX_BEGINNINGS, Attempt, Release, begun_again, is_newer, moved, offered
from schemas.documents import Desired, ModelFile, ModelManifest, PackageRef, SplitConfig
from schemas.states import FailureReason, IllegalTransitionError, UpdateEvent, UpdateState

STEP = 1024


def ref(letter="a"):
    return PackageRef(digest=letter * 64, manifest_bytes=10, name="hands", version="1", model_digest="e" * 64)


def desired(version=1, **fields):
    return Desired(device="hs-1", epoch=1, version=version, sent_ms=0, **fields)


def test_a_journal_gives_back_what_was_written_last(tmp_path):
    journal = Journal(tmp_path / "deep" / "update.json", Attempt)
    assert journal.read() is None
    for version in (1, 2):
        journal.write(Attempt(desired=desired(version), state=UpdateState.STAGING))
    assert journal.read().at == (1, 2)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["update.json"]


def test_a_damaged_journal_is_set_aside(tmp_path):
    (tmp_path / "update.json").write_text('{"state": "half')
    assert Journal(tmp_path / "update.json", Attempt).read() is None
    assert (tmp_path / "update.damaged").exists()


def test_a_journal_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="disk space"):
        Journal(tmp_path / "file" / "update.json", Attempt).write(Attempt())


def stage(store, letter):
    folder = store.staging(letter * 64)
    (folder / "manifest.json").write_text("{}")
    return store.settle(letter * 64)


def test_a_package_is_complete_or_absent_and_the_pointer_keeps_the_previous_one(tmp_path):
    store = ModelStore(tmp_path)
    store.staging("a" * 64)
    assert not store.has("a" * 64)
    for letter in "abc":
        stage(store, letter)
        store.activate(Release(package=ref(letter)))
    assert store.pointer.previous == Release(package=ref("b"))
    store.activate(Release(package=ref("c")))
    assert store.pointer.previous == Release(package=ref("b")), "activating twice changes nothing"
    store.staging("d" * 64)
    store.prune()
    assert list((tmp_path / "staging").iterdir()) == []
    assert [store.has(letter * 64) for letter in "abc"] == [False, True, True]
    again = ModelStore(tmp_path)
    assert again.pointer == store.pointer
    again.restore(Release(package=ref("b")))
    assert again.pointer.active == Release(package=ref("b"))
    again.prune()
    assert [again.has(letter * 64) for letter in "abc"] == [False, True, False]


def test_a_file_is_reused_from_a_whole_package_beside_damaged_ones(tmp_path):
    store = ModelStore(tmp_path)
    stage(store, "a")  # its manifest says nothing
    (store.path("b" * 64)).mkdir()  # it has none
    content = b"0123456789"
    file = model_file(sha256=hashlib.sha256(content).hexdigest())
    folder = store.staging("c" * 64)
    (folder / "manifest.json").write_text(manifest(files=(file,)).model_dump_json())
    (folder / file.name).write_bytes(content)
    store.settle("c" * 64)
    assert store.reuse(file, tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == content
    assert not store.reuse(model_file(sha256="d" * 64), tmp_path / "other")


def transfer(content, *, known=True):
    pieces = [content[at : at + STEP] for at in range(0, len(content), STEP)]
    hashes = tuple(hashlib.sha256(piece).hexdigest() for piece in pieces)
    made = Transfer(
        digest=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        chunk_bytes=STEP,
        chunk_sha256=hashes if known else (),
    )
    return made, pieces


@given(st.binary(min_size=1, max_size=20 * STEP), st.randoms(use_true_random=False))
def test_chunks_in_any_order_with_repeats_and_damage_make_the_file(content, rng):
    made, pieces = transfer(content)
    file = bytearray(len(content))
    order = [n for n in range(len(pieces)) for _ in range(2)]
    rng.shuffle(order)
    for n in order:
        damaged = bytes(byte ^ 1 for byte in pieces[n])
        assert made.take(n, damaged) in {Arrival.BAD, Arrival.HAD}
        if made.take(n, pieces[n]) is Arrival.KEPT:
            first, length = made.span(n)
            file[first : first + length] = pieces[n]
    assert made.is_complete
    assert bytes(file) == content


def test_a_request_asks_for_a_window_and_not_again_for_what_is_under_way():
    made, pieces = transfer(bytes(30 * STEP))
    first = made.request(now_ns=0)
    assert (first.window, first.chunks) == (WINDOW, 30)
    assert made.request(now_ns=1) is None
    for n in range(4):
        made.take(n, pieces[n])
    second = made.request(now_ns=2)
    asked = base64.b64decode(second.missing)
    assert [n for n in range(30) if asked[n // 8] >> (n % 8) & 1][: second.window] == [8, 9, 10, 11]
    stalled = made.request(now_ns=STALL_NS + 3)
    assert base64.b64decode(stalled.missing)[0] & 0b11110000 == 0b11110000, "what stalled is asked for again"


def test_three_damaged_copies_of_one_chunk_are_hopeless_and_of_different_ones_are_not():
    made, _ = transfer(bytes(5 * STEP))
    for n in range(MAX_BAD_COPIES):
        made.take(n, b"x" * STEP)
    assert not made.is_hopeless
    for _ in range(MAX_BAD_COPIES - 1):
        made.take(0, b"x" * STEP)
    assert made.is_hopeless


def test_chunks_of_unknown_hashes_are_distrusted_as_a_whole():
    made, pieces = transfer(bytes(2 * STEP), known=False)
    for _ in range(MAX_BAD_COPIES):
        assert made.take(0, b"x" * STEP) is Arrival.KEPT
        assert made.take(1, pieces[1]) is Arrival.KEPT
        made.distrust()
    assert made.is_hopeless


def test_a_chunk_of_the_wrong_length_or_number_is_never_kept():
    made, _ = transfer(bytes(2 * STEP), known=False)
    assert made.take(0, b"short") is Arrival.BAD
    assert made.take(9, bytes(STEP)) is Arrival.HAD


def test_a_bitmap_sets_the_bits_of_its_numbers():
    assert base64.b64decode(bitmap([0, 9], chunks=12)) == bytes([1, 2])


def model_file(**fields):
    known = {
        "role": "model",
        "name": "m.tflite",
        "bytes": 10,
        "sha256": "e" * 64,
        "chunk_bytes": 61_440,
        "chunk_sha256": ("e" * 64,),
    }
    return ModelFile(**{**known, **fields})


def manifest(**fields):
    known = {
        "name": "hands",
        "version": "1",
        "task": "hands",
        "runtimes": ("litert",),
        "quantisation": "int8",
        "model_digest": "e" * 64,
        "files": (model_file(),),
    }
    return ModelManifest(**{**known, **fields})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "text"}, FailureReason.UNSUPPORTED),
        ({"runtimes": ("onnx",)}, FailureReason.UNSUPPORTED),
        (
            {"files": (model_file(bytes=300 * 2**20, chunk_sha256=("e" * 64,) * 5120),)},
            FailureReason.TOO_LARGE,
        ),
        ({"files": (model_file(), model_file())}, FailureReason.BAD_MANIFEST),
        ({"files": (model_file(name="manifest.json"),)}, FailureReason.BAD_MANIFEST),
        ({"files": ()}, FailureReason.BAD_MANIFEST),
        ({"model_digest": "f" * 64}, FailureReason.BAD_MANIFEST),
        ({"files": (model_file(chunk_sha256=()),)}, FailureReason.BAD_MANIFEST),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_before_its_files_are_fetched(change, reason):
    check_manifest(manifest(), ref(), task="hands", runtime="litert")
    with pytest.raises(UpdateError) as caught:
        check_manifest(manifest(**change), ref(), task="hands", runtime="litert")
    assert caught.value.reason is reason


def test_only_a_larger_epoch_or_version_is_newer():
    attempt = Attempt(desired=desired(5))
    assert not is_newer(desired(5), attempt)
    assert not is_newer(desired(4), attempt)
    assert is_newer(desired(6), attempt)
    assert is_newer(Desired(device="hs-1", epoch=2, version=0, sent_ms=0), attempt)


def test_an_attempt_keeps_its_reason_and_forgets_it_with_the_next_offer():
    attempt = offered(desired(split_config=SplitConfig()), Attempt(), before=Release())
    failed = moved(attempt, UpdateEvent.FAIL, reason=FailureReason.UNLOADABLE, detail="no")
    assert (failed.state, failed.reason, failed.is_over) == (
        UpdateState.FAILED,
        FailureReason.UNLOADABLE,
        True,
    )
    again = offered(desired(2), failed, before=Release())
    assert (again.reason, again.detail, again.number) == (None, "", 2)
    with pytest.raises(IllegalTransitionError):
        offered(desired(3), again, before=Release())


@pytest.mark.parametrize("state", list(UpdateState))
def test_a_restart_goes_on_from_every_state_but_not_for_ever(state):
    attempt = Attempt(desired=desired(), state=state, beginnings=1)
    once = begun_again(attempt)
    assert once.state is state
    worn = Attempt(desired=desired(), state=state, beginnings=MAX_BEGINNINGS)
    after = begun_again(worn)
    assert after.is_over or after.state is UpdateState.ROLLING_BACK


def test_event_lines_are_written_in_order_and_none_is_lost(tmp_path):
    file = EventFile(tmp_path / "out" / "events.jsonl")
    for number in range(500):
        file.emit({"kind": "frame", "n": number})
    file.close()
    lines = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(500))


def test_event_lines_are_on_disk_while_more_of_them_come(tmp_path):
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    file.emit({"kind": "first"})
    deadline_s = time.monotonic() + 10
    while not path.read_text():
        file.emit({"kind": "more"})
        assert time.monotonic() < deadline_s, "nothing was written while lines came"
    file.close()


class Disk:
    """A file on a disk that takes ``room`` bytes in all until it is made larger."""

    def __init__(self, path, *, room):
        self.file = io.FileIO(path, "w")
        self.room = room

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.file.close()

    def write(self, data):
        left = self.room - self.file.tell()
        if left <= 0:
            raise OSError(28, "No space left on device")
        return self.file.write(data[:left])

    def truncate(self, size):
        return self.file.truncate(size)

    def seek(self, at):
        return self.file.seek(at)


def test_lines_that_a_full_disk_refused_are_counted_and_later_ones_are_written_whole(tmp_path, monkeypatch):
    disk = Disk(tmp_path / "events.jsonl", room=30)
    monkeypatch.setattr(events, "FileIO", lambda _path, _mode: disk)
    file = EventFile(tmp_path / "events.jsonl")
    deadline_s = time.monotonic() + 10
    sent = 0
    while file.dropped == 0:
        if file._queue.empty():  # what is dropped here shall be the disk's doing
            file.emit({"kind": "frame", "n": sent})
            sent += 1
        assert time.monotonic() < deadline_s, "no line was refused"
    disk.room = 10_000_000
    file.emit({"kind": "last"})
    file.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert lines[-2:] == [{"kind": "last"}, {"kind": "dropped", "lines": file.dropped}]
    assert len(lines) - 2 + file.dropped == sent


def test_a_disk_that_stands_still_does_not_keep_the_process_from_ending(tmp_path, monkeypatch):
    stuck = threading.Event()
    monkeypatch.setattr(EventFile, "_put", lambda _file, _disk, _lines: stuck.wait(20))
    monkeypatch.setattr(events, "LIMIT", 2)
    file = EventFile(tmp_path / "events.jsonl")
    for n in range(50):
        file.emit({"n": n})
    file.close(timeout_s=0.05)
    assert file.dropped >= 40
    stuck.set()


def test_an_event_file_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(StoreError, match="--events"):
        EventFile(tmp_path)


def test_without_a_file_events_go_nowhere():
    file = EventFile(None)
    file.emit({"kind": "frame"})
    file.close()
