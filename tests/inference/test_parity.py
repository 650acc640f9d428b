"""Parity: parts of real models against the whole, in this process and in a child that may die."""

import numpy as np
import pytest

from inference.graph.flow import Cut
from inference.parity.check import (
    KernelPath,
    Places,
    check_parity,
    check_places,
    difference,
    random_pairs,
)
from inference.parity.child import parity_in_child, places_in_child
from inference.runtimes.options import RuntimeOptions
from inference.split.model import split_model

PLAIN = RuntimeOptions(delegates=())


@pytest.fixture(scope="module")
def landmark(models_dir):
    return models_dir / "hand_landmark_lite.tflite"


def test_float_parts_are_exact_whatever_the_threads_of_each_place(landmark):
    pairs = random_pairs(split_model(landmark.read_bytes()).cuts, count=6, seed=2)
    report = check_parity(landmark, pairs, device=KernelPath(), worker=KernelPath(threads=2))
    assert report.passed, report
    assert len(set(report.fingerprints)) == 1


def test_another_kernel_path_is_found_out_by_fingerprint_and_measured(landmark):
    pairs = random_pairs(split_model(landmark.read_bytes()).cuts, count=3, seed=3)
    report = check_parity(landmark, pairs, device=KernelPath(), worker=KernelPath(options=PLAIN))
    assert not report.passed
    assert report.fingerprints[0] != report.fingerprints[1]
    assert 0 < report.max_difference < 0.01
    assert report.differing


def test_several_places_at_once_say_what_each_says_alone(landmark):
    pairs = random_pairs(split_model(landmark.read_bytes()).cuts, count=3, seed=5)
    fast, plain = KernelPath(), KernelPath(options=PLAIN)
    places = [Places(device=fast, worker=fast), Places(device=fast, worker=plain)]
    alone = tuple(check_parity(landmark, pairs, device=row.device, worker=row.worker) for row in places)
    assert check_places(landmark, pairs, places) == alone
    assert alone[0].max_share == 0 < alone[1].max_share < 0.01


def test_a_place_that_fails_does_not_end_the_others(landmark):
    fast, unknown = KernelPath(), KernelPath(runtime="abacus")
    places = [Places(device=fast, worker=unknown), Places(device=fast, worker=fast)]
    refused, checked = places_in_child(landmark, [(0, 5), (4, 9)], places)
    assert "abacus" in refused.refused
    assert checked.passed
    assert checked.pairs == 2


def test_a_check_in_a_child_says_the_same(landmark):
    pairs = random_pairs(split_model(landmark.read_bytes()).cuts, count=2, seed=4)
    assert parity_in_child(landmark, pairs, device=KernelPath()) == check_parity(
        landmark, pairs, device=KernelPath()
    )


def test_what_cannot_be_split_or_opened_is_reported_with_the_reason(landmark, tmp_path):
    (tmp_path / "words.tflite").write_bytes(b"text that is no model")
    assert "neither" in check_parity(tmp_path / "words.tflite", [], device=KernelPath()).refused
    assert "nearest" in check_parity(landmark, [(0, 9999)], device=KernelPath()).refused
    unknown = parity_in_child(landmark, [], device=KernelPath(runtime="abacus"))
    assert "abacus" in unknown.refused


def test_a_check_that_takes_too_long_is_ended_and_refused(landmark):
    report = parity_in_child(landmark, [(0, 5)], device=KernelPath(), timeout_s=0.01)
    assert "killed" in report.refused
    assert not report.passed


def test_a_model_that_kills_its_engine_is_refused_by_name_of_the_signal(landmark, monkeypatch):
    monkeypatch.setattr("inference.parity.child.MODULE", "tests.inference.dying_check")
    report = parity_in_child(landmark, [(0, 5)], device=KernelPath())
    assert "pair 0, 5: killed by SIGSEGV" in report.refused


def test_differences_count_numbers_that_are_missing():
    numbers = np.array([1.0, np.nan, np.inf])
    assert difference(numbers, numbers) == 0
    assert difference(numbers, np.array([1.0, 2.0, np.inf])) == np.inf
    assert difference(np.array([1, -128], np.int8), np.array([1, 127], np.int8)) == 255
    assert difference(np.zeros(2), np.zeros(3)) == np.inf


def test_random_pairs_are_legal_rising_and_the_same_for_a_seed(landmark):
    cuts = split_model(landmark.read_bytes()).cuts
    pairs = random_pairs(cuts, count=50, seed=7)
    assert pairs == random_pairs(cuts, count=50, seed=7)
    assert len(set(pairs)) == 50
    legal = {cut.position for cut in cuts}
    assert all(start < end and {start, end} <= legal for start, end in pairs)


@pytest.mark.parametrize("positions", [range(2), range(0, 40, 3), (0, 1, 7, 8, 30)])
def test_random_pairs_are_a_sample_of_all_pairs_without_repetition(positions):
    cuts = [Cut(position=at, crossing=(), early=(), payload_bytes=0) for at in positions]
    every = {(low, high) for low in positions for high in positions if low < high}
    drawn = random_pairs(cuts, count=10, seed=3)
    assert set(drawn) <= every
    assert len(drawn) == len(set(drawn)) == min(10, len(every))
    assert set(random_pairs(cuts, count=10_000, seed=3)) == every


def test_random_pairs_of_a_huge_model_fill_no_list():
    cuts = [Cut(position=at, crossing=(), early=(), payload_bytes=0) for at in range(50_000)]
    assert len(random_pairs(cuts, count=50, seed=1)) == 50
