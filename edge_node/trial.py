"""Shell: runs the qualifying process of a package and waits for its verdict without standing still."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge_node.errors import UpdateError
from schemas.states import FailureReason

TIMEOUT_S = 90.0
POLL_S = 0.05


def run_trial(directory: Path, *, runtime: str, pause: Callable[[float], None]) -> str:
    """A line for people about a package that passed. ``pause`` waits and may raise to end the trial.

    Raises:
        UpdateError: the package may not be used here; with the reason.
    """
    command = [sys.executable, "-m", "edge_node.qualify", str(directory), runtime]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # it opens the model in a further child: both end together
    ) as child:
        try:
            text = _await(child, pause)
        finally:
            with contextlib.suppress(ProcessLookupError):  # the usual end: all of them are gone already
                os.killpg(child.pid, signal.SIGKILL)
    try:
        verdict = json.loads(text)
        reason = FailureReason(verdict["reason"]) if verdict["reason"] else None
        detail = str(verdict["detail"])
    except (ValueError, KeyError, TypeError) as error:
        detail = f"its trial ended with exit code {child.returncode} and without a verdict"
        raise UpdateError(FailureReason.UNLOADABLE, detail) from error
    if reason is not None:
        raise UpdateError(reason, detail)
    return detail


def _await(child: "subprocess.Popen[str]", pause: Callable[[float], None]) -> str:
    deadline_s = time.monotonic() + TIMEOUT_S
    while child.poll() is None:
        if time.monotonic() > deadline_s:
            raise UpdateError(FailureReason.UNLOADABLE, f"its trial took over {TIMEOUT_S:g} s")
        pause(POLL_S)
    return child.stdout.read() if child.stdout else ""
