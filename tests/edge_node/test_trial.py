"""The trial of a package: whatever it is interrupted by, no process of it stays behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from edge_site import until

from edge_node import trial
from edge_node.errors import UpdateError
from schemas.states import FailureReason

PARENT = """
import subprocess, sys, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""


class StoppedError(Exception):
    """Ends a trial from outside, as a process that stops does."""


def is_running(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_candidate_that_hangs_ends_with_its_trial_and_so_does_its_child(tmp_path, monkeypatch):
    note = tmp_path / "pid"
    real = subprocess.Popen

    def hanging(_command, **how):
        return real([sys.executable, "-c", PARENT, str(note)], **how)

    def pause(_seconds):
        until(lambda: note.exists() and note.read_text(), what="the grandchild")
        raise StoppedError

    monkeypatch.setattr(trial.subprocess, "Popen", hanging)
    with pytest.raises(StoppedError):
        trial.run_trial(tmp_path, runtime="litert", pause=pause)
    pid = int(note.read_text())
    until(lambda: not is_running(pid), what="the grandchild's end")


def test_a_trial_that_takes_too_long_is_refused_as_unloadable(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "TIMEOUT_S", 0.0)
    with pytest.raises(UpdateError, match="its trial took over") as caught:
        trial.run_trial(tmp_path, runtime="litert", pause=lambda _seconds: None)
    assert caught.value.reason is FailureReason.UNLOADABLE
