"""Sources: rings, walks, folders, real videos through the second process, and what cannot be read."""

import signal

import cv2
import numpy as np
import pytest
from edge_site import until
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_node import capture
from edge_node.cli import node
from edge_node.errors import SettingsError, SourceError
from edge_node.frames import SourcePlace
from edge_node.live import Word, map_live
from edge_node.ring import open_ring, ping_pong, write_ring
from edge_node.source_file import read_source, without_login
from edge_node.sources import letterbox, make_walk, open_source
from edge_node.walk import HEIGHT_PX, WIDTH_PX, plan_walk


def photo(path, *, width=320, height=240, seed=0):
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), image)
    return path


def place(folder, **fields):
    return SourcePlace(state=folder / "state", fps=30.0, **fields)


@given(st.integers(1, 50), st.integers(0, 10_000))
def test_the_walk_to_and_fro_moves_one_frame_at_a_time_within_the_ring(frames, position):
    here, there = ping_pong(position, frames), ping_pong(position + 1, frames)
    assert 0 <= here < frames
    assert abs(here - there) == (frames > 1)


def test_equal_seeds_give_equal_walks_and_other_seeds_others(tmp_path):
    photo(tmp_path / "a.png")
    walks = [
        make_walk(tmp_path, out=tmp_path / f"{name}.ring", fps=30, seconds=0.3, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, same, other = (walk.frame(4).tobytes() for walk in walks)
    assert first == same != other


def test_a_walk_has_views_without_the_photo_and_something_in_the_way():
    poses = plan_walk(photos=4, frames=1800, fps=30, seed=3)
    gone = [abs(pose.x - 0.5) > 0.9 for pose in poses]
    assert 0.02 < sum(gone) / len(gone) < 0.5
    assert any(pose.occluder_x is not None for pose in poses)
    assert {pose.photo for pose in poses} == {0, 1, 2, 3}
    assert max(pose.speed_px for pose in poses) > 5


def test_two_headsets_share_a_ring_from_different_starts(tmp_path):
    photo(tmp_path / "a.png")
    make_walk(tmp_path, out=tmp_path / "w.ring", fps=30, seconds=0.5)
    text = f"walk:{tmp_path / 'w.ring'}"
    one, two = (open_source(text, place(tmp_path, offset=offset)) for offset in (0, 7))
    assert two.capture(0).ring_index == 7
    assert one.capture(7).image.tobytes() == two.capture(0).image.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        one.capture(0).image[0, 0, 0] = 1


def test_a_folder_of_photos_is_rendered_or_shown(tmp_path):
    photo(tmp_path / "b.jpg", seed=2)
    photo(tmp_path / "a.jpg", seed=1)
    (tmp_path / "c.jpg").write_bytes(b"not a photo")
    shown = open_source(f"folder:{tmp_path}", place(tmp_path))
    assert [shown.capture(frame).ring_index for frame in (0, 29, 30, 59, 60)] == [0, 0, 1, 1, 0]
    walked = open_source(f"walk:{tmp_path}", SourcePlace(state=tmp_path / "state", fps=2.0))
    assert walked.capture(3).image.shape == (HEIGHT_PX, WIDTH_PX, 3)


def test_a_tall_photo_is_shown_whole():
    view = letterbox(np.full((600, 100, 3), 200, dtype=np.uint8))
    assert view.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert view[:, WIDTH_PX // 2].min() == 200
    assert (view[:, 0] == 96).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("camera", "no known kind"),
        ("walk:", "no known kind"),
        ("walk:{0}/nothing.ring", "cannot read"),
        ("walk:{0}/text.ring", "node walk"),
        ("walk:{0}/short.ring", "cut short"),
        ("folder:{0}/nothing", "not a folder"),
        ("folder:{0}/empty", "no photo"),
        ("video:{0}/nothing.mp4", "no video"),
        ("video:{0}/text.ring", "cannot open"),
        ("rtsp://127.0.0.1:1/none", "cannot open"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path, text, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.ring").write_text("hello")
    write_ring(tmp_path / "short.ring", [np.zeros((4, 6, 3), np.uint8)], count=1, height=4, width=6, fps=30)
    with (tmp_path / "short.ring").open("ab") as file:
        file.truncate(file.tell() - 1)
    with pytest.raises(SourceError, match=says):
        open_source(text.format(tmp_path), place(tmp_path))


def test_a_ring_of_the_wrong_number_of_frames_leaves_no_file(tmp_path):
    with pytest.raises(SourceError, match="render it again"):
        write_ring(tmp_path / "w.ring", [np.zeros((4, 6, 3), np.uint8)], count=2, height=4, width=6, fps=30)
    assert list(tmp_path.iterdir()) == []
    write_ring(tmp_path / "w.ring", [np.zeros((4, 6, 3), np.uint8)] * 2, count=2, height=4, width=6, fps=30)
    assert open_ring(tmp_path / "w.ring").frames == 2


def a_video(path):
    """Twenty frames of growing brightness."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 60.0, (64, 48))
    for step in range(20):
        writer.write(np.full((48, 64, 3), 10 * step, dtype=np.uint8))
    writer.release()
    return path


def test_a_video_runs_in_a_second_process_and_begins_again_at_its_end(tmp_path):
    source = open_source(f"video:{a_video(tmp_path / 'v.mp4')}", place(tmp_path))
    try:
        seen = []
        until(lambda: _look(source, seen) and len(seen) > 30, what="the second round")
        brightness = [int(image.image[180, 320].mean()) for image in seen]
        assert min(brightness) < 60 < 120 < max(brightness)
        assert source.outages == 0
        assert all(image.ring_index == -1 for image in seen)
    finally:
        source.close()


def _look(source, seen):
    image = source.capture(0)
    if image is not None:
        seen.append(image)
    return True


def test_the_capturing_process_ends_with_its_parent(tmp_path):
    source = open_source(f"video:{a_video(tmp_path / 'v.mp4')}", place(tmp_path))
    child = source._child
    child.stdin.close()  # what the system does when the parent dies, however it dies
    until(lambda: child.poll() is not None, what="the child's end")
    source.close()


def test_an_address_is_shown_without_its_login():
    assert without_login("cannot open rtsp://me:p@ss@cam:554/a@b now") == "cannot open rtsp://cam:554/a@b now"
    assert without_login("rtsp://cam/live") == "rtsp://cam/live"


@pytest.mark.parametrize("text", ["rtsp://me:secret@127.0.0.1:1/none", "rtps://me:secret@cam/none"])
def test_a_camera_that_cannot_be_opened_is_named_without_its_password(tmp_path, text):
    with pytest.raises(SourceError) as caught:
        open_source(text, place(tmp_path))
    assert "me:" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_is_captured_stands_in_no_command_line(tmp_path):
    source = open_source(f"video:{a_video(tmp_path / 'v.mp4')}", place(tmp_path))
    try:
        assert not [word for word in source._child.args if "v.mp4" in word]
    finally:
        source.close()


def test_a_source_file_is_read_only_where_nobody_else_can(tmp_path):
    path = tmp_path / "source"
    path.write_text("rtsp://me:secret@cam/\n")
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_source(path)
    path.chmod(0o600)
    assert read_source(path) == "rtsp://me:secret@cam/"
    for content in ("", "one\ntwo\n", "x" * 5000):
        path.write_text(content)
        with pytest.raises(SettingsError, match="one line"):
            read_source(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_source(tmp_path / "none")
    with pytest.raises(SettingsError, match="regular file"):
        read_source(tmp_path)


@pytest.mark.parametrize("words", [[], ["--source=webcam:0", "--source-file=x"]])
def test_a_headset_without_one_source_is_a_usage_error(tmp_path, words):
    known = ["--id=hs-1", "--broker=mqtt://127.0.0.1:1", f"--state={tmp_path}", f"--models={tmp_path}"]
    done = CliRunner().invoke(node, ["run", *known, *words])
    assert done.exit_code == 2
    assert "either --source or --source-file" in done.stderr


class Camera:
    """Opens every second time and gives two frames each time."""

    openings = 0

    def __init__(self, _settings):
        Camera.openings += 1
        self.left = 2 if Camera.openings % 2 else 0

    def isOpened(self):
        return self.left > 0

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((48, 64, 3), 90, dtype=np.uint8)

    def release(self):
        pass


def test_a_stream_that_drops_is_reopened_and_each_outage_counted(tmp_path, monkeypatch):
    monkeypatch.setitem(capture.OPENERS, "rtsp", Camera)
    monkeypatch.setattr(capture, "FIRST_PAUSE_S", 0.001)
    words, _ = map_live(tmp_path / "live.ring", create=True)
    # three rounds of two frames and a loss each, then the parent is gone
    answers = iter([False] * 200)
    monkeypatch.setattr(capture, "_parent_is_gone", lambda: words[Word.COUNT] >= 6 or next(answers))
    settings = capture.CaptureSettings(
        kind="rtsp", target="rtsp://camera", ring_file=str(tmp_path / "live.ring"), fps=30
    )
    capturing = capture.Capturing(settings)
    assert capturing.open()
    capturing.run()
    assert words[Word.COUNT] == 6
    assert words[Word.OUTAGES] == 2
    assert words[Word.CONNECTED] == 1


def test_a_live_source_never_gives_one_frame_twice(tmp_path):
    source = open_source(f"video:{a_video(tmp_path / 'v.mp4')}", place(tmp_path))
    try:
        until(lambda: source.capture(0))
        source._child.send_signal(signal.SIGSTOP)
        until(lambda: source.capture(0) is None, what="the standstill")
        assert source.capture(0) is None
        source._child.send_signal(signal.SIGCONT)
        until(lambda: source.capture(0))
    finally:
        source.close()
