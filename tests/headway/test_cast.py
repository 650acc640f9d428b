"""The rooms of one site: who is started with what, who ends first, and how one that fell is told."""

import contextlib
import socket
import stat
import time

import psutil
import pytest

from headway.cast import Cast, check_alive
from headway.children import start
from headway.errors import ChildError
from tests.headway.door import naming, python, until

ROOM = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print(time.monotonic()), sys.exit(0)))\n"
WAITS = ROOM + "print('{}', flush=True); time.sleep(60)"
SLOW_TO_END = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(0)))\n"
    "print('{}', flush=True); time.sleep(60)"
)
FALLS = "import sys; print('{}', flush=True); print('out of memory', file=sys.stderr); sys.exit(9)"


@pytest.fixture
def cast(mosquitto_binary, tmp_path):
    with Cast(folder=tmp_path / "site", site="demo", mosquitto=mosquitto_binary) as playing:
        yield playing


def add(cast, name, code):
    child = start(name, [*python(), "-c", code], logs=cast.logs)
    cast.children[name] = child
    child.ready(timeout_s=20)
    return child


def test_everybody_alive_is_no_error(cast):
    add(cast, "hs-1", WAITS)
    check_alive(cast)
    assert cast.fallen() == []


def test_a_fallen_child_is_named_with_its_status_and_the_end_of_its_log(cast):
    add(cast, "hs-1", WAITS)
    child = add(cast, "hs-2", FALLS)
    child.process.wait(20)
    assert cast.fallen() == ["hs-2"]
    with pytest.raises(ChildError, match="hs-2 died with status 9") as caught:
        check_alive(cast)
    assert "out of memory" in str(caught.value)


def test_children_are_ended_together_and_their_last_words_returned(cast):
    for name in ("hs-1", "hs-2", "hs-3"):
        add(cast, name, SLOW_TO_END)
    began_s = time.monotonic()
    said = cast.stop_children(["hs-1", "hs-2", "hs-3", "never-started"])
    assert set(said) == {"hs-1", "hs-2", "hs-3"}
    assert time.monotonic() - began_s < 3 * 0.5 + 1, "one after the other they would take longer"
    assert cast.children == {}


def test_a_child_that_was_asked_to_end_has_not_fallen(cast):
    add(cast, "hs-1", WAITS)
    cast.stop_children(["hs-1"])
    check_alive(cast)


def test_the_manager_ends_after_everybody_who_speaks_to_it(cast, monkeypatch):
    for name in ("manager", "w-1", "hs-1"):
        add(cast, name, WAITS)
    said = {}
    stop_children = Cast.stop_children
    monkeypatch.setattr(Cast, "stop_children", lambda *given: said.update(stop_children(*given)))
    cast.stop()
    ended_s = {name: float(words) for name, words in said.items()}
    assert ended_s["manager"] > max(ended_s["w-1"], ended_s["hs-1"])


def test_a_broker_port_that_is_taken_is_an_error_in_mosquittos_words(mosquitto_binary, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, contextlib.ExitStack() as stack:
        cast = Cast(folder=tmp_path, site="demo", mosquitto=mosquitto_binary, port=taken.getsockname()[1])
        stack.enter_context(cast)
        with pytest.raises(ChildError, match="Address already in use"):
            cast.start_broker()
    assert not naming(tmp_path)


def test_two_casts_on_one_machine_do_not_collide(mosquitto_binary, tmp_path):
    with contextlib.ExitStack() as stack:
        casts = [
            stack.enter_context(Cast(folder=tmp_path / name, site="demo", mosquitto=mosquitto_binary))
            for name in ("one", "two")
        ]
        urls = {cast.start_broker() for cast in casts}
        assert len(urls) == 2
        assert all(url.startswith("mqtt://127.0.0.1:") for url in urls)
    assert not naming(tmp_path)


def test_a_worker_that_does_not_become_ready_is_an_error_and_ended_with_the_cast(cast, tmp_path):
    cast.start_broker()
    with pytest.raises(ChildError, match="w-1 ended with status"):
        cast.start_worker("w-1", models=tmp_path / "no-models", variant="full")
    cast.stop()
    assert not naming(tmp_path)


def test_a_headset_is_started_towards_the_broker_it_is_given(cast, tmp_path):
    cast.start_broker()
    cast.start_headset("hs-1", ["--models", str(tmp_path)], source="folder:nothing", broker_url="mqtt://x:1")
    line = " ".join(" ".join(process.info["cmdline"]) for process in naming(tmp_path / "site" / "hs-1"))
    assert "node run --id hs-1 --site demo --broker mqtt://x:1" in line
    until(cast.fallen, timeout_s=20, what="the refusal of models that are not there")


# -- a camera's password -------------------------------------------------------------------------------

CAMERA = "rtsp://viewer:s3cret-word@127.0.0.1:1/stream"


def family():
    """All command lines of this test's children and theirs."""
    words = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended, or ended and nobody waited for it yet
            words += child.cmdline()
    return words


def test_a_cameras_password_stands_on_no_command_line_and_its_file_goes_with_the_headset(
    cast, models_dir, tmp_path
):
    cast.start_broker()
    cast.start_headset("hs-1", ["--models", str(models_dir)], source=CAMERA)
    child, source = cast.children["hs-1"], tmp_path / "site" / "hs-1.source"
    assert stat.S_IMODE(source.stat().st_mode) == 0o600
    assert source.read_text() == CAMERA + "\n"
    seen = []

    def refused():
        seen.extend(family())
        return not child.running

    until(refused, timeout_s=60, what="the refusal of a camera that is not there")
    assert "--source-file" in seen
    assert not [word for word in seen if "s3cret-word" in word or "viewer" in word]
    assert "127.0.0.1:1/stream" in child.tail()  # it did read its file
    assert "s3cret-word" not in child.log.read_text()
    cast.stop_children(["hs-1"])
    assert not source.exists()


def test_the_source_of_a_headset_that_cannot_be_started_is_removed_with_the_cast(cast, tmp_path, monkeypatch):
    def fail(name, *_, **__):
        raise ChildError(f"{name} cannot be started")

    cast.start_broker()
    monkeypatch.setattr("headway.cast.start", fail)
    with pytest.raises(ChildError):
        cast.start_headset("hs-1", [], source=CAMERA)
    cast.stop()
    assert not list((tmp_path / "site").glob("*.source"))


def test_a_source_that_a_killed_run_left_behind_is_replaced_by_one_only_this_user_reads(cast, tmp_path):
    left = tmp_path / "site" / "hs-1.source"
    left.parent.mkdir(exist_ok=True)
    left.write_text("old")
    left.chmod(0o644)
    cast.start_broker()
    cast.start_headset("hs-1", ["--models", str(tmp_path)], source=CAMERA)
    assert left.read_text() == CAMERA + "\n"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    cast.stop()
    assert not left.exists()


def test_a_source_that_cannot_be_written_down_says_what_to_do(cast, tmp_path):
    cast.start_broker()
    (tmp_path / "site" / "hs-1.source").mkdir(parents=True)
    with pytest.raises(ChildError, match="choose another folder"):
        cast.start_headset("hs-1", [], source=CAMERA)
    (tmp_path / "site" / "hs-1.source").rmdir()
