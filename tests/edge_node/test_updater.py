"""Updates end to end on a loopback broker: the good walk, three bad packages, damage, stalls, restarts."""

import hashlib
import shutil
import threading

import numpy as np
import pytest
from edge_bench import hands_at
from edge_site import engine, site, until

from edge_node.errors import StoreError, UpdateError
from edge_node.jobs import Engine
from edge_node.journal import Journal
from edge_node.model_store import ModelStore
from edge_node.update import Attempt, Release
from edge_node.updater import Updater
from inference.errors import ModelRunError
from inference.packages.package import PackageFacts, build_package
from inference.runtimes.registry import open_runtime
from inference.tflite.graph import unpack
from schemas.documents import Desired, SplitConfig, canonical_bytes
from schemas.states import FailureReason, UpdateState

GOOD_WALK = [
    "offered",
    "staging",
    "staged",
    "qualifying",
    "qualified",
    "waiting",
    "switching",
    "probation",
    "committed",
]


@pytest.fixture(scope="session")
def good_package(models_dir, tmp_path_factory):
    """The lite landmark model with three canaries."""
    rng = np.random.default_rng(1)
    canaries = [[rng.random((1, 224, 224, 3), dtype=np.float32)] for _ in range(3)]
    facts = PackageFacts(
        name="hands-lite", version="1.0", task="hands", quantisation="float", tolerances=(1.0, 0.1, 0.1, 0.1)
    )
    return build_package(
        models_dir / "hand_landmark_lite.tflite",
        facts=facts,
        golden_inputs=canaries,
        runtime=open_runtime("litert"),
        out=tmp_path_factory.mktemp("packages"),
    )


def altered(package, folder, change):
    """A package whose model bytes were changed and whose manifest was made to fit: right digests, bad model."""
    draft = folder / "altered"
    shutil.copytree(package.directory, draft)
    path = draft / package.model_path.name
    content = change(bytearray(path.read_bytes()))
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    step = 61_440
    chunks = tuple(hashlib.sha256(content[at : at + step]).hexdigest() for at in range(0, len(content), step))
    manifest = package.manifest
    files = tuple(
        file.model_copy(update={"sha256": digest, "chunk_sha256": chunks}) if file.role == "model" else file
        for file in manifest.files
    )
    changed = manifest.model_copy(update={"model_digest": digest, "files": files, "version": "bad"})
    (draft / "manifest.json").write_bytes(canonical_bytes(changed))
    return draft


def zeroed(content):
    """All large weights zero, everything else as it was."""
    for buffer in unpack(bytes(content)).buffers:
        weights = b"" if buffer.data is None else np.asarray(buffer.data, dtype=np.uint8).tobytes()
        if len(weights) > 10_000:
            at = bytes(content).index(weights)
            content[at : at + len(weights)] = bytes(len(weights))
    return content


def unreadable(content):
    content[4:8] = b"NOPE"
    return content


def test_a_good_package_walks_every_state_and_is_swapped_between_frames(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        config = SplitConfig(policy="local", deadline_ms=80)
        here.manager.desire(version=1, package=ref, split=config)
        report = until(here.manager.ended, what="the update")
        assert (report.state, report.reason) == (UpdateState.COMMITTED, None)
        assert here.manager.states() == GOOD_WALK
        assert report.active == ref
        assert report.model == "hands-lite:1.0"
        assert report.split_config == config
        until(lambda: here.headset._journey.config == config)
        result = here.stop()
        lines = here.lines()
    assert result["none"] == 0
    assert lines[0]["model"] == "factory"
    assert lines[-1]["model"] == "hands-lite:1.0"
    assert [line["state"] for line in here.lines("update")][1:] == GOOD_WALK


BAD = {
    "digest": (FailureReason.DIGEST_MISMATCH, None),
    "golden": (FailureReason.GOLDEN_MISMATCH, zeroed),
    "unloadable": (FailureReason.UNLOADABLE, unreadable),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_a_bad_package_is_refused_with_its_reason_and_the_old_model_answers(tmp_path, good_package, kind):
    reason, change = BAD[kind]
    with site(tmp_path) as here:
        here.start(with_worker=False)
        folder = altered(good_package, tmp_path, change) if change else good_package.directory
        ref = here.manager.publish_package(folder)
        if change is None:
            here.manager.damage[ref.model_digest, 7] = 10_000
        here.manager.desire(version=1, package=ref)
        report = until(here.manager.ended, what="the refusal", timeout_s=30)
        assert (report.state, report.reason) == (UpdateState.FAILED, reason)
        assert report.detail
        assert report.active is None
        attempts = report.attempt
        here.manager.desire(version=1, package=ref)
        result = here.stop()
        lines = here.lines()
    assert attempts == 1, "a refused attempt is not tried again"
    assert result["none"] == 0
    assert {line["model"] for line in lines} == {"factory"}
    assert not ModelStore(tmp_path / "state" / "releases").has(ref.digest)


def test_two_damaged_copies_and_a_stall_are_healed(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.manager.damage[ref.model_digest, 0] = 2
        here.manager.damage[ref.digest, 0] = 1
        here.manager.ignore[ref.digest] = 1
        here.manager.desire(version=1, package=ref)
        assert until(here.manager.ended).state is UpdateState.COMMITTED
        assert here.manager.sent[ref.model_digest, 0] == 3
        assert here.manager.sent[ref.digest, 0] == 2


def test_a_killed_fetch_goes_on_with_the_chunks_it_has(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.manager.damage[ref.model_digest, 20] = 2  # then its answers stop: see ignore below
        here.manager.desire(version=1, package=ref)
        until(lambda: here.manager.sent[ref.model_digest, 12])
        here.manager.ignore[ref.model_digest] = 10_000
        until(lambda: here.manager.states()[-1] == "staging")
        here.stop()
        before = dict(here.manager.sent)
        here.manager.ignore[ref.model_digest] = 0
        here.boot()
        report = until(here.manager.ended)
    assert report.state is UpdateState.COMMITTED
    again = [n for n in range(8) if here.manager.sent[ref.model_digest, n] > before[ref.model_digest, n]]
    assert again == [], "chunks that were here were asked for again"


def test_a_split_config_alone_is_applied_live_and_survives_a_restart(tmp_path):
    config = SplitConfig(policy="offload", deadline_ms=70)
    with site(tmp_path) as here:
        here.start(with_worker=False)
        here.manager.desire(version=3, split=config)
        assert until(here.manager.ended).state is UpdateState.COMMITTED
        until(lambda: here.headset._journey.config == config)
        here.stop()
        reports = len(here.manager.reports)
        here.boot()
        assert here.headset._journey.config == config
        until(lambda: len(here.manager.reports) > reports)
        last = here.manager.reports[-1]
    assert (last.state, last.version, last.deployment) == (UpdateState.COMMITTED, 3, "dep-1")
    assert here.manager.states() == [*GOOD_WALK, "committed"][: len(here.manager.states())]


def test_an_older_or_equal_version_changes_nothing(tmp_path):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        here.manager.desire(version=5, split=SplitConfig(policy="local", deadline_ms=70))
        until(here.manager.ended)
        here.manager.desire(version=4, split=SplitConfig(policy="local", deadline_ms=60), deployment="dep-2")
        here.manager.desire(version=6, split=SplitConfig(policy="local", deadline_ms=50), deployment="dep-3")
        until(lambda: here.manager.ended("dep-3"))
        assert here.manager.ended("dep-2") is None
        until(lambda: here.headset._journey.config.deadline_ms == 50)


def test_a_newer_desired_supersedes_a_fetch_that_hangs(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.manager.ignore[ref.digest] = 10_000
        here.manager.desire(version=1, package=ref)
        until(lambda: "staging" in here.manager.states())
        here.manager.desire(version=2, split=SplitConfig(policy="local"), deployment="dep-2")
        assert until(lambda: here.manager.ended("dep-2")).state is UpdateState.COMMITTED
        assert here.manager.ended("dep-1").state is UpdateState.SUPERSEDED


def test_of_several_wishes_that_wait_the_newest_is_taken_up_whatever_their_order(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.manager.ignore[ref.digest] = 10_000
        here.manager.desire(version=1, package=ref)
        until(lambda: "staging" in here.manager.states())
        updater, heard = here.headset._updater, threading.Event()
        updater._check = lambda: heard.is_set() and Updater._check(updater)
        for version in (4, 2, 3):
            split = SplitConfig(policy="local", deadline_ms=50 + version)
            here.manager.desire(version=version, split=split, deployment=f"dep-{version}")
        until(lambda: updater._newer is not None and updater.inbox._queue.empty())
        heard.set()
        assert until(lambda: here.manager.ended("dep-4")).state is UpdateState.COMMITTED
        until(lambda: here.headset._journey.config.deadline_ms == 54)
        assert here.manager.ended("dep-2") is here.manager.ended("dep-3") is None


def test_an_attempt_that_was_not_begun_by_its_lease_expires(tmp_path):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        here.manager.desire(version=1, split=SplitConfig(policy="local"), lease_ms=1)
        report = until(here.manager.ended)
        assert (report.state, report.reason) == (UpdateState.EXPIRED, FailureReason.LEASE_EXPIRED)


def test_a_terminal_report_is_sent_again_until_it_is_acknowledged(tmp_path):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        here.manager.acks = False
        here.manager.desire(version=1, split=SplitConfig(policy="local"))
        until(here.manager.ended)
        first = here.manager.ended()
        until(lambda: [r.seq for r in here.manager.reports].count(first.seq) >= 2, what="the second copy")
        here.manager.acks = True
        until(lambda: not here.headset._updater._reports._unacked, what="the receipt")


class FailsOnce:
    """Stands before a journal's write: the first document in ``state`` does not get through."""

    def __init__(self, write, *, state, error):
        self.write, self.state, self.error = write, state, error
        self.failed = False

    def __call__(self, document):
        if getattr(document, "state", None) is self.state and not self.failed:
            self.failed = True
            raise self.error
        self.write(document)


@pytest.mark.parametrize("state", [UpdateState.OFFERED, UpdateState.STAGED, UpdateState.PROBATION])
@pytest.mark.parametrize(
    "error",
    [StoreError("no room; free some"), OSError(28, "No space left"), RuntimeError("nobody foresaw it")],
)
def test_a_write_that_fails_holds_an_attempt_up_and_the_next_wish_is_heard(tmp_path, state, error):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        until(lambda: here.manager.reports)
        journal = here.headset._updater._journal
        journal.write = FailsOnce(journal.write, state=state, error=error)
        here.manager.desire(version=1, split=SplitConfig(policy="local", deadline_ms=70))
        until(lambda: journal.write.failed)
        last = SplitConfig(policy="local", deadline_ms=60)
        here.manager.desire(version=2, split=last, deployment="dep-2")
        assert until(lambda: here.manager.ended("dep-2")).state is UpdateState.COMMITTED
        until(lambda: here.headset._journey.config == last)
        assert here.headset._updater._thread.is_alive()


def test_a_start_on_a_full_disk_is_made_up_for(tmp_path, monkeypatch):
    write = FailsOnce(lambda _document: None, state=UpdateState.IDLE, error=StoreError("no room; free some"))
    monkeypatch.setattr(Journal, "write", lambda _journal, document: write(document))
    with site(tmp_path) as here:
        here.start(with_worker=False)
        until(lambda: write.failed)
        here.manager.desire(version=1, split=SplitConfig(policy="local"))
        assert until(here.manager.ended).state is UpdateState.COMMITTED


class Broken:
    """Models that fail at every run."""

    def run(self, image_rgb, *, rois=()):
        raise ModelRunError("this engine always fails")


def test_a_model_that_fails_in_probation_is_rolled_back(tmp_path, good_package):
    with site(tmp_path) as here:
        here.maker.engine = lambda landmark, *, label, quantisation: engine(Broken(), label=label)
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.manager.desire(version=1, package=ref)
        report = until(here.manager.ended)
        assert report.state is UpdateState.ROLLED_BACK
        assert report.active is None
        assert report.model == "factory"
        result = here.stop()
    assert result["none"] == 0


class Counted:
    """Sees, and counts how often it was asked to."""

    def __init__(self):
        self.runs = 0

    def run(self, image_rgb, *, rois=()):
        self.runs += 1
        return hands_at(0.5)


OFFLOAD = SplitConfig(policy="offload", deadline_ms=100, reply_timeout_ms=60)


def test_a_model_is_run_once_before_it_is_committed_even_while_every_frame_goes_out(tmp_path, good_package):
    task = Counted()
    with site(tmp_path) as here:
        here.maker.engine = lambda landmark, *, label, quantisation: engine(task, label=label)
        here.start(split=OFFLOAD)
        until(lambda: len(here.worker.requests) > 5, what="frames that go out")
        ref = here.manager.publish_package(good_package.directory)
        here.manager.desire(version=1, package=ref, split=OFFLOAD)
        assert until(here.manager.ended).state is UpdateState.COMMITTED
        result = here.stop()
        lines = here.lines()
    assert task.runs >= 1
    assert sorted(line["frame_id"] for line in lines) == list(range(result["scheduled"]))


def test_a_model_that_fails_is_rolled_back_even_while_every_frame_goes_out(tmp_path, good_package):
    with site(tmp_path) as here:
        here.maker.engine = lambda landmark, *, label, quantisation: engine(Broken(), label=label)
        here.start(split=OFFLOAD)
        until(lambda: len(here.worker.requests) > 5, what="frames that go out")
        ref = here.manager.publish_package(good_package.directory)
        here.manager.desire(version=1, package=ref, split=OFFLOAD)
        assert until(here.manager.ended).state is UpdateState.ROLLED_BACK
        result = here.stop()
    assert result["model"] == "factory"
    assert result["none"] == 0


def test_a_process_killed_while_switching_ends_on_a_release_that_loads(tmp_path, good_package):
    state = tmp_path / "state"
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.stop()
        # what a kill right after the pointer was written leaves behind
        desired = Desired(device="hs-1", epoch=1, version=1, deployment="dep-1", package=ref, sent_ms=0)
        store = ModelStore(state / "releases")
        shutil.copytree(good_package.directory, store.path(ref.digest))
        store.activate(Release(package=ref))
        Journal(state / "update.json", Attempt).write(
            Attempt(desired=desired, state=UpdateState.SWITCHING, number=1, beginnings=1)
        )
        here.boot()
        assert here.headset._installation.model() == "hands-lite:1.0"
        assert until(here.manager.ended).state is UpdateState.COMMITTED


def test_an_attempt_that_kills_the_process_three_times_is_given_up(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.stop()
        desired = Desired(device="hs-1", epoch=1, version=1, deployment="dep-1", package=ref, sent_ms=0)
        Journal(tmp_path / "state" / "update.json", Attempt).write(
            Attempt(desired=desired, state=UpdateState.QUALIFYING, number=1, beginnings=3)
        )
        here.boot()
        report = until(here.manager.ended)
        assert (report.state, report.reason) == (UpdateState.FAILED, FailureReason.INTERNAL)


def test_a_committed_release_that_no_longer_loads_gives_way_to_what_was_delivered(tmp_path, good_package):
    with site(tmp_path) as here:
        here.start(with_worker=False)
        ref = here.manager.publish_package(good_package.directory)
        here.manager.desire(version=1, package=ref)
        until(here.manager.ended)
        here.stop()
        store = ModelStore(tmp_path / "state" / "releases")
        (store.path(ref.digest) / good_package.model_path.name).write_bytes(b"rotten")
        here.boot()
        assert here.headset._installation.model() == "factory"


def test_an_update_error_says_its_reason():
    error = UpdateError(FailureReason.DISK_FULL, "no room")
    assert str(error) == "disk_full: no room"
    assert isinstance(engine(), Engine)


def test_a_switch_that_never_reached_the_pointer_is_not_rolled_back_too_far(tmp_path):
    first, second = SplitConfig(policy="local", deadline_ms=71), SplitConfig(policy="local", deadline_ms=72)
    with site(tmp_path) as here:
        here.start(with_worker=False)
        for version, config in enumerate((first, second), start=1):
            here.manager.desire(version=version, split=config, deployment=f"dep-{version}")
            until(lambda version=version: here.manager.ended(f"dep-{version}"))
        here.stop()
        desired = Desired(
            device="hs-1", epoch=1, version=3, deployment="dep-3", split_config=first, sent_ms=0
        )
        Journal(tmp_path / "state" / "update.json", Attempt).write(
            Attempt(
                desired=desired,
                state=UpdateState.SWITCHING,
                before=Release(split_config=second),
                number=3,
                beginnings=3,
            )
        )
        here.boot()
        report = until(lambda: here.manager.ended("dep-3"))
        assert report.state is UpdateState.ROLLED_BACK
        assert report.split_config == second
        assert here.headset._journey.config == second
