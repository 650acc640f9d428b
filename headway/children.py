"""Shell: the rooms as child processes of the door.

Each child runs on a leash in its own session: Ctrl-C reaches the door alone, which ends its children in
order, and a child whose door is killed is ended by its leash. A child
that prints one JSON line when it is ready is waited for. Its stderr goes to a log file.
"""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from broker import leash
from headway.errors import ChildError

LOG_TAIL_LINES = 12
LEASH_S = 10.0
GRACE_S = 12.0  # a headset says goodbye, ends its updater and flushes its events in at most about 10 s


@dataclass(slots=True, kw_only=True)
class Child:
    """One running room."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    pid: int = 0  # of the room itself; ``process`` is the leash that ends it with us
    buffered: bytes = field(default=b"", repr=False)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def ready(self, *, timeout_s: float) -> dict[str, object]:
        """Wait for the child's JSON line.

        Raises:
            ChildError: it ended or stayed silent; carries the end of its log.
        """
        line = self.line(timeout_s=timeout_s)
        try:
            message = json.loads(line)
        except ValueError as error:
            raise ChildError(f"{self.name} answered {line[:200]!r} where a JSON line was expected") from error
        if not isinstance(message, dict):
            raise ChildError(f"{self.name} answered {line[:200]!r} where a JSON object was expected")
        return message

    def line(self, *, timeout_s: float) -> bytes:
        """Wait for one line of its stdout.

        Raises:
            ChildError: it ended or stayed silent.
        """
        deadline = time.monotonic() + timeout_s
        stream = self.process.stdout
        assert stream is not None
        while b"\n" not in self.buffered:
            left_s = deadline - time.monotonic()
            readable = select.select([stream], [], [], max(0.0, left_s))[0]
            if not readable:
                raise ChildError(f"{self.name} was not ready in time.\n{self.tail()}")
            piece = os.read(stream.fileno(), 65_536)
            if not piece:
                raise ChildError(f"{self.name} ended with status {self.process.wait()}.\n{self.tail()}")
            self.buffered += piece
        line, _, self.buffered = self.buffered.partition(b"\n")
        return line

    def rest(self) -> bytes:
        """What an ended child printed on stdout and nobody read yet; closes that pipe.

        Never waits: all of it is in the pipe by now, which a grandchild may still hold open.
        """
        stream = self.process.stdout
        assert stream is not None
        with stream:
            while select.select([stream], [], [], 0)[0]:
                piece = os.read(stream.fileno(), 65_536)
                if not piece:
                    break
                self.buffered += piece
        return self.buffered

    def tail(self) -> str:
        """The end of the child's log, for an error text."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"The end of {self.log}:\n" + "\n".join(f"  {line}" for line in lines)

    def stop(self, *, timeout_s: float = GRACE_S + 3.0) -> int:
        """Ask the child to end (SIGTERM), then make it (SIGKILL). Returns its exit status."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        return status


def headway_command(*arguments: str) -> list[str]:
    """The command line of ``headway ARGUMENTS`` with this interpreter."""
    return [sys.executable, "-m", "headway", *arguments]


def start(
    name: str, command: list[str], *, logs: Path, grace_s: float = GRACE_S, own_session: bool = True
) -> Child:
    """Start a room as a child; once asked to end it has ``grace_s`` for it.

    In a session of its own it does not hear Ctrl-C, and Linux may share the cores between sessions before it looks
    at priorities: where those are to count between children, they share ours.

    Raises:
        ChildError: the program cannot be started.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    try:
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-ISE", leash.__file__, "--grace", str(grace_s), *command],
                stdin=subprocess.PIPE,  # held open: its end tells the leash that we are gone
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=own_session,
            )
    except OSError as error:
        raise ChildError(f"{name} cannot be started: {error}") from error
    child = Child(name=name, process=process, log=log)
    try:
        child.pid = int(child.line(timeout_s=LEASH_S))
    except ChildError:
        child.stop()
        child.rest()
        raise
    return child
