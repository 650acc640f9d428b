"""Rooms as children: made-up rooms that speak, stay silent, die, or will not end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from headway.children import LOG_TAIL_LINES, headway_command, start
from headway.errors import ChildError
from tests.headway.door import python, until

READY = "import json, sys, time; print(json.dumps({'url': 'http://x'}), flush=True); "
SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('{}', flush=True); time.sleep(60)"


@pytest.fixture
def run(tmp_path):
    """Starts a made-up room out of a piece of Python; all are ended after the test."""
    with contextlib.ExitStack() as stack:

        def begin(code, name="room"):
            child = start(name, [*python(), "-c", code], logs=tmp_path / "logs", grace_s=1.0)
            stack.callback(child.process.stdout.close)
            stack.callback(child.stop)
            return child

        yield begin


def gone(pid):
    """Whether a process has ended; one that nobody waited for yet counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_room_is_ready_when_it_said_one_json_line(run):
    child = run(READY + "time.sleep(60)")
    assert child.ready(timeout_s=20) == {"url": "http://x"}
    assert child.running
    assert not gone(child.pid)


def test_a_ready_line_may_come_in_pieces_and_with_more_behind_it(run):
    child = run(
        "import sys, time\n"
        "sys.stdout.write('{\"a\"'); sys.stdout.flush(); time.sleep(0.1)\n"
        "sys.stdout.write(': 1}\\nsecond\\nthird'); sys.stdout.flush()"
    )
    assert child.ready(timeout_s=20) == {"a": 1}
    assert child.line(timeout_s=20) == b"second"
    child.process.wait(20)
    assert child.rest() == b"third"


@pytest.mark.parametrize("said", ["ready", "[1]", "3"])
def test_a_line_that_is_no_json_object_is_an_error_that_quotes_it(run, said):
    child = run(f"print({said!r})")
    with pytest.raises(ChildError, match="where a JSON") as caught:
        child.ready(timeout_s=20)
    assert said in str(caught.value)


def test_a_silent_room_is_an_error_with_the_end_of_its_log(run):
    child = run(f"import sys; print('still loading', file=sys.stderr, flush=True); {SLEEP}")
    until(lambda: "still loading" in child.tail(), timeout_s=20, what="the first log line")
    with pytest.raises(ChildError, match="room was not ready in time") as caught:
        child.ready(timeout_s=0.1)
    assert "still loading" in str(caught.value)


def test_a_room_that_dies_is_an_error_with_its_status_and_the_end_of_its_log(run):
    child = run("import sys\nfor n in range(99): print('line', n, file=sys.stderr)\nsys.exit(7)")
    with pytest.raises(ChildError, match="room ended with status 7") as caught:
        child.ready(timeout_s=20)
    text = str(caught.value)
    assert str(child.log) in text
    assert "line 98" in text
    assert text.count("  line ") == LOG_TAIL_LINES


def test_a_room_killed_from_outside_has_ended_as_the_shell_would_say(run):
    child = run(READY + "time.sleep(60)")
    child.ready(timeout_s=20)
    os.kill(child.pid, signal.SIGKILL)
    assert child.process.wait(20) == 128 + signal.SIGKILL
    assert not child.running


def test_stopping_asks_first_and_returns_the_status(run):
    child = run(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(4)))\n"
        "print('{}', flush=True); time.sleep(60)"
    )
    child.ready(timeout_s=20)
    assert child.stop() == 4
    assert child.rest() == b"bye\n"
    assert child.stop() == 4, "a second stop changes nothing"


def test_a_room_that_will_not_end_is_made_to(run):
    child = run(STUBBORN)
    child.ready(timeout_s=20)
    child.stop()
    assert gone(child.pid)


def test_a_room_that_hangs_with_its_leash_is_made_to_end_too(run):
    child = run(STUBBORN)
    child.ready(timeout_s=20)
    os.kill(child.process.pid, signal.SIGSTOP)  # the leash: it will not pass the request on
    child.stop(timeout_s=0.2)
    if sys.platform.startswith("linux"):
        until(lambda: gone(child.pid), timeout_s=5, what="the end of the room")


def test_ctrl_c_in_the_terminal_does_not_reach_the_room(run):
    child = run(READY + "time.sleep(60)")
    child.ready(timeout_s=20)
    assert os.getpgid(child.pid) != os.getpgid(0)


def test_a_room_whose_program_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ChildError, match="room"):
        start("room", [str(tmp_path / "no-such-program")], logs=tmp_path)


def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_door(run):
    child = run(
        "import subprocess, sys\n"
        "held = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(held.pid, flush=True); print('last words', flush=True)"
    )
    held = psutil.Process(int(child.line(timeout_s=20)))
    try:
        child.process.wait(20)
        assert child.rest() == b"last words\n"
        assert held.is_running()
    finally:
        held.kill()


def test_a_log_that_was_never_written_has_no_end(run):
    child = run(SLEEP)
    child.log.unlink()
    assert child.tail() == ""


def test_a_command_of_headway_runs_with_this_interpreter():
    assert headway_command("device", "ls") == [sys.executable, "-m", "headway", "device", "ls"]


def test_a_killed_door_takes_its_rooms_along(tmp_path):
    code = (
        "import json, sys, time, pathlib\n"
        "from headway.children import start\n"
        f"stubborn = {STUBBORN!r}\n"
        "children = [start(f'room-{n}', [sys.executable, '-c', stubborn], logs=pathlib.Path(sys.argv[1])) for n in (1, 2)]\n"
        "for child in children: child.ready(timeout_s=20)\n"
        "print(json.dumps([child.pid for child in children]), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([*python(), "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as door:
        pids = json.loads(door.stdout.readline())
        assert not any(gone(pid) for pid in pids)
        door.kill()
        killed_s = time.monotonic()
        until(lambda: all(gone(pid) for pid in pids), timeout_s=10, what="the end of the rooms")
        assert time.monotonic() - killed_s < 2.5, "promised: within 2 s, and a poll of ours"
