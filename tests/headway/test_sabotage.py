"""The bad rollouts: each is a package in order, and each is refused for the reason it was made for."""

import numpy as np
import pytest

from edge_node.qualify import qualify
from headway.byte_flip import ByteFlip
from headway.report import EXPECTED_REASONS
from headway.sabotage import CHUNK_MARK_BYTES, bad_rollouts, zeroed
from inference.child import open_in_child
from inference.packages.golden import check_golden
from inference.packages.package import open_package
from inference.runtimes.registry import open_runtime
from inference.tflite.graph import read_graph
from schemas.states import FailureReason

RUNTIME = "litert"


@pytest.fixture(scope="module")
def bad(packages, tmp_path_factory):
    found = bad_rollouts(sound=packages["lite"], other=packages["full"], out=tmp_path_factory.mktemp("bad"))
    return {rollout.reason: rollout for rollout in found}


def test_there_is_one_bad_rollout_for_each_reason_that_the_report_expects(bad):
    assert sorted(reason.value for reason in bad) == sorted(EXPECTED_REASONS)


@pytest.mark.parametrize("reason", EXPECTED_REASONS)
def test_every_bad_package_matches_its_own_manifest(bad, reason):
    package = bad[FailureReason(reason)].package
    assert open_package(package.directory).digest == package.digest


def test_no_bad_package_passes_for_the_sound_one(bad, packages):
    digests = {rollout.package.digest for rollout in bad.values()}
    assert len(digests) == 3
    assert packages["lite"].digest not in digests


def test_the_package_to_be_damaged_on_its_way_is_sound_itself(bad):
    package = bad[FailureReason.DIGEST_MISMATCH].package
    assert qualify(package.directory, runtime=RUNTIME)[0] is None


def test_the_mark_is_met_once_in_the_middle_of_the_model_that_travels(bad):
    rollout = bad[FailureReason.DIGEST_MISMATCH]
    model = rollout.package.model_path.read_bytes()
    assert len(rollout.mark) == CHUNK_MARK_BYTES
    assert model.count(rollout.mark) == 1
    at = model.index(rollout.mark) + CHUNK_MARK_BYTES
    passed, flips = ByteFlip().pass_on(model, pattern=rollout.mark, after_bytes=0)
    assert flips == 1
    assert [index for index in range(at - 64, at + 64) if passed[index] != model[index]] == [at]


def test_zeroed_weights_load_and_run_but_fail_the_golden_vectors(bad):
    package = bad[FailureReason.GOLDEN_MISMATCH].package
    assert open_in_child(package.model_path, runtime=RUNTIME).passed
    report = check_golden(package, open_runtime(RUNTIME))
    assert not report.passed
    assert qualify(package.directory, runtime=RUNTIME)[0] is FailureReason.GOLDEN_MISMATCH


def test_zeroing_leaves_the_shapes_and_changes_every_weight(packages, tmp_path):
    path = tmp_path / "zeroed.tflite"
    path.write_bytes(zeroed(packages["lite"].model_path))
    before, after = read_graph(packages["lite"].model_path), read_graph(path)
    assert [(t.name, t.shape, t.dtype) for t in after.tensors] == [
        (t.name, t.shape, t.dtype) for t in before.tensors
    ]
    large = [
        buffer.data
        for buffer in after.unpack().buffers
        if buffer.data is not None and len(buffer.data) >= 256
    ]
    assert large
    assert not any(np.any(data) for data in large)


def test_the_torn_file_is_refused_by_the_child_that_opens_it(bad):
    package = bad[FailureReason.UNLOADABLE].package
    report = open_in_child(package.model_path, runtime=RUNTIME)
    assert not report.passed
    assert report.outcome in ("refused", "crashed")
    assert qualify(package.directory, runtime=RUNTIME)[0] is FailureReason.UNLOADABLE
