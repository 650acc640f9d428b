"""Shell: a network between a node and its broker that can be made bad: slow, narrow, lossy, cut, or damaging bytes.

``Link`` starts a small forwarding process (``headway.link_process``) on a free loopback port and commands it
over its standard streams, one JSON object per line. It needs no root and works for any TCP protocol. The
process ends when its parent does. ``cut`` is a black hole, not a refusal: connections stay open, new ones
are not taken, nothing moves in either direction, and nothing that waits is lost.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from headway.errors import HeadwayError

ANSWER_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0


class LinkError(HeadwayError):
    """The forwarding process did not start, ended, or stayed silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounts:
    """What went over the link since it was opened; up is towards the target."""

    connections: int
    up_bytes: int
    down_bytes: int
    flips: int


class Link:
    """One bad network in front of ``target_host:target_port``; a context manager."""

    def __init__(self, target_host: str, target_port: int, /, *, listen_port: int = 0) -> None:
        self.port = 0
        self._listen_port = listen_port
        self._target = (target_host, target_port)
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Link:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where a node connects instead of to the broker."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The forwarding process, 0 while there is none."""
        return 0 if self._child is None else self._child.pid

    def start(self) -> None:
        """Open the link.

        Raises:
            LinkError: the forwarding process did not say its port.
        """
        host, port = self._target
        self._child = subprocess.Popen(
            [sys.executable, "-m", "headway.link_process", host, str(port), str(self._listen_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C is for the door; the link ends with its stdin
        )
        try:
            self.port = int(str(self._read_answer()["port"]))
        except LinkError:
            self.close()
            raise

    def close(self) -> None:
        """End the link; its connections break. Idempotent."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a command that an ended process never read
                    pipe.close()
        try:
            child.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def shape(self, *, delay_ms: float = 0.0, rate_bytes_per_s: float | None = None) -> None:
        """From now on delay every byte by so much per direction, and let at most so many through per second."""
        self._ask("shape", delay_ms=delay_ms, rate_bytes_per_s=rate_bytes_per_s)

    def follow(self, rows: Sequence[Mapping[str, Any]], *, seed: int = 0) -> None:
        """Play a script (rows as in ``headway.link_script``) from now on, in place of what was set before.

        Raises:
            LinkError: a row is wrong; the text names it and its field.
        """
        self._ask("follow", rows=[dict(row) for row in rows], seed=seed)

    def cut(self) -> None:
        """Become a black hole."""
        self._ask("cut")

    def restore(self) -> None:
        """Let everything flow again; what waited goes first."""
        self._ask("restore")

    def flip(self, pattern: bytes, *, after_bytes: int = 64) -> None:
        """Damage one byte ``after_bytes`` behind each passing of ``pattern`` downstream; b"" stops it."""
        self._ask("flip", pattern=pattern.hex(), after_bytes=after_bytes)

    def counts(self) -> LinkCounts:
        """What happened so far."""
        return LinkCounts(**{name: int(str(value)) for name, value in self._ask("counts").items()})

    def _ask(self, do: str, **arguments: object) -> dict[str, object]:
        """Command the process and wait for its answer; from any thread."""
        with self._lock:
            child = self._child
            if child is None or child.stdin is None:
                raise LinkError("the link is not open: start it first")
            try:
                child.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            except OSError as error:
                raise LinkError("the link's process has ended: open a new link") from error
            return self._read_answer()

    def _read_answer(self) -> dict[str, object]:
        """One line of the process; a silent process is ended so that the wait does."""
        child = self._child
        if child is None or child.stdout is None:
            raise LinkError("the link is not open: start it first")
        watchdog = threading.Timer(ANSWER_TIMEOUT_S, child.kill)
        watchdog.start()
        try:
            line = child.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise LinkError("the link's process has ended or fell silent: open a new link")
        answer: dict[str, object] = json.loads(line)
        if "error" in answer:
            raise LinkError(str(answer["error"]))
        return answer
