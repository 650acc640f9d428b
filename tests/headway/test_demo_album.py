"""The pictures of a run, drawn of made-up lines over real frames, and read back."""

import cv2
import numpy as np
import pytest

from edge_node.ring import open_ring, write_ring
from headway.album import SHEET_FRAMES, Album, _spread
from headway.latency_plot import Mark
from headway.play import Story

MS = 1_000_000
PERIOD_NS = 33_333_333
FRAMES = 30
HAND = [value for n in range(21) for value in (0.3 + n / 100, 0.4, 0.0)]


def line(frame_id, headset="hs-1", **changed):
    return {
        "kind": "frame",
        "headset": headset,
        "frame_id": frame_id,
        "scheduled_ns": frame_id * PERIOD_NS,
        "answer_ns": frame_id * PERIOD_NS + 20 * MS,
        "deadline_ms": 100.0,
        "outcome": "fresh_on_time",
        "path": "local",
        "latency_ms": 20.0,
        "age_ms": 20.0,
        "rtt_ms": None,
        "mode": "local",
        "model": "full",
        "ring_index": frame_id % 4,
        "hands": [HAND],
        **changed,
    }


@pytest.fixture
def ring(tmp_path):
    path = tmp_path / "walk.ring"
    images = [np.full((360, 640, 3), 30 * n, np.uint8) for n in range(4)]
    write_ring(path, images, count=4, height=360, width=640, fps=30.0)
    return path


@pytest.fixture
def story():
    return Story(
        start_ns=0,
        cut_ns=12 * PERIOD_NS,
        restored_ns=14 * PERIOD_NS,
        marks=[
            Mark(at_s=0.2, text="dep-1 succeeded", good=True),
            Mark(at_s=0.8, text="unloadable", good=False),
        ],
    )


def test_a_run_becomes_a_video_a_sheet_and_a_plot(ring, story, tmp_path):
    events = [line(n) for n in range(FRAMES)] + [line(n, "hs-2", path="offload") for n in range(FRAMES)]
    Album(tmp_path, ring=ring, headsets=("hs-1", "hs-2")).draw(events, story=story)
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    read, image = video.read()
    video.release()
    assert read
    assert image.shape == (360, 640, 3)
    assert cv2.imread(str(tmp_path / "overlay.jpg")).shape == (540, 1920, 3)
    assert cv2.imread(str(tmp_path / "latency.png")).std() > 1


def test_a_frame_that_was_never_captured_is_in_no_picture(ring, story, tmp_path):
    events = [line(n, ring_index=-1 if n % 3 else 0) for n in range(FRAMES)]
    Album(tmp_path, ring=ring, headsets=("hs-1",)).draw(events, story=story)
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES / 3
    video.release()


def test_a_run_without_frames_has_a_plot_and_no_video(ring, tmp_path):
    Album(tmp_path, ring=ring, headsets=("hs-1", "hs-2", "hs-3")).draw([], story=Story())
    assert (tmp_path / "latency.png").is_file()
    assert not (tmp_path / "overlay.mp4").exists()


def test_a_live_cameras_run_has_a_plot_and_no_video(story, tmp_path):
    Album(tmp_path, ring=None, headsets=("hs-1",)).draw([line(0)], story=story)
    assert (tmp_path / "latency.png").is_file()
    assert not (tmp_path / "overlay.mp4").exists()


def test_the_sheet_prefers_hands_and_shows_the_outage(story):
    frames = [line(n, hands=[HAND] if n in (*range(0, 30, 5), 13) else []) for n in range(FRAMES)]
    picks = _spread(frames, story=story)
    assert len(picks) == SHEET_FRAMES
    assert all(frame["hands"] for frame in picks)
    assert any(story.cut_ns <= frame["scheduled_ns"] < story.restored_ns for frame in picks)


def test_the_sheet_of_a_source_without_hands_shows_what_there_was(story, ring):
    frames = [line(n, hands=[]) for n in range(3)]
    assert len(_spread(frames, story=story)) == SHEET_FRAMES
    assert open_ring(ring).frames == 4
