"""What several tests of the door share: running the command, counting processes, waiting with a deadline."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from typer.testing import CliRunner

from headway.cli import build

REPOSITORY = Path(__file__).resolve().parents[2]


def python():
    """The command line of this interpreter, as a list to add to."""
    return [sys.executable]


def headway(*arguments, timeout_s=60):
    """Run ``headway ARGUMENTS`` to its end, as a person would; its text is not wrapped."""
    return subprocess.run(
        [*python(), "-m", "headway", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
    )


def refused(*arguments):
    """``headway ARGUMENTS`` in this process: only for what is refused before it sets anything up."""
    return CliRunner().invoke(build(list(arguments)), list(arguments))


def until(condition, *, timeout_s, what):
    """Poll until the condition gives something true and return that."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


def naming(path):
    """Processes whose command line names this path: all that a test started with its own folder."""
    return [
        process
        for process in psutil.process_iter(["pid", "cmdline"])
        if any(str(path) in word for word in process.info["cmdline"] or ()) and process.pid != os.getpid()
    ]
