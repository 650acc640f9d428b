"""An embedded Mosquitto: a supervised child on a loopback port.

Shell: owns one child process (behind `leash.py`, so it is gone within two seconds
even when we are killed), its generated files and one thread that reads its log
and restarts it. It listens on loopback only and is not secured: whoever can log
in to this machine can reach it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from broker.errors import MosquittoFailed, MosquittoMissing
from broker.mosquitto_conf import MosquittoConf, Purpose
from broker.passwords import password_file_text
from broker.private_file import write_private
from observability import log

_log = log.get("broker.mosquitto")

_SYSTEM_PATHS = tuple(
    Path(prefix) / "mosquitto"
    for prefix in ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin")
)
_LOOPBACK = "127.0.0.1"
_PORT_ATTEMPTS = 5
_START_S = 10.0
_RESTART_FLOOR_S, _RESTART_CAP_S = 0.1, 5.0
_STEADY_S = 10.0  # a child that lived this long begins again at the floor
# Measured with 900 KB payloads: 2.85 ms without these, 1.29 ms with them. By default glibc
# maps and unmaps every large payload, and the broker pays for the page faults.
_MALLOC_ENV = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "16777216",
}


def find_mosquitto(cache_dir: Path | None = None) -> Path:
    """Find the program on PATH, in the system's sbin, or unpacked in the cache.

    Raises MosquittoMissing, which says how to get it.
    """
    candidates = list(_SYSTEM_PATHS)
    if cache_dir is not None:
        candidates.append(cache_dir / "mosquitto" / "bin" / "mosquitto")
    on_path = shutil.which("mosquitto")
    if on_path:
        return Path(on_path)
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise MosquittoMissing(
        "no mosquitto program found: run `make demo` once (it unpacks one without root), or "
        "`apt install mosquitto` / `brew install mosquitto`, or name another broker by its URL"
    )


def mosquitto_version(binary: Path) -> str:
    """Ask the program for its version, such as '2.0.11'. Raises MosquittoFailed."""
    try:
        # Without arguments that it knows it prints its usage and exits with 3.
        done = subprocess.run([binary, "-h"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MosquittoFailed(f"{binary} cannot be run: {error}; install mosquitto again") from error
    words = done.stdout.split()
    if words[:2] != ["mosquitto", "version"]:
        raise MosquittoFailed(f"{binary} is not Mosquitto: it answered {done.stdout[:80]!r} to -h")
    return words[2]


class EmbeddedMosquitto:
    """A broker for this machine; use it as a context manager or `start` and `stop` it."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        *,
        port: int | None = None,
        acl: str | None = None,
        users: Mapping[str, str] | None = None,
        persistence: bool = False,
        purpose: Purpose = Purpose.EMBEDDED,
    ) -> None:
        self.errors: deque[str] = deque(maxlen=100)  # `Error` lines of its log
        self.restarts = 0
        self.pid = 0
        self.port = port or 0
        self._binary = binary
        self._directory = directory.absolute()  # the child runs in it, where a relative path means another
        self._fixed_port = port is not None
        self._acl = acl
        self._users = users
        self._persistence = persistence
        self._purpose = purpose
        self._version: str | None = None
        self._stopping = threading.Event()
        self._leash: subprocess.Popen[str] | None = None
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> EmbeddedMosquitto:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://{_LOOPBACK}:{self.port}"

    @property
    def version(self) -> str:
        """The program's version."""
        if self._version is None:
            self._version = mosquitto_version(self._binary)
        return self._version

    def start(self) -> None:
        """Start it and wait until it accepts. Raises MosquittoFailed."""
        self._stopping.clear()
        self._directory.mkdir(parents=True, exist_ok=True)
        attempts = 1 if self._fixed_port else _PORT_ATTEMPTS
        for _ in range(attempts):
            if not self._fixed_port:
                self.port = _free_port()
            self._write_files()
            leash = self._spawn()
            words = self._read_until_running(leash)
            if leash.poll() is None:
                self._watcher = threading.Thread(
                    target=self._watch, args=(leash,), name="mosquitto-watch", daemon=True
                )
                self._watcher.start()
                return
            self._close_pipes(leash)
            _log.warning("mosquitto did not start", port=self.port, words=words)
        raise MosquittoFailed(
            f"mosquitto did not start on port {self.port}: {' / '.join(words) or 'no word from it'}; "
            f"its configuration is {self._conf_path}"
        )

    def stop(self) -> None:
        """End it and wait for that."""
        self._stopping.set()
        if self._leash is not None:
            self._end(self._leash)
        if self._watcher is not None:
            self._watcher.join()

    @property
    def _conf_path(self) -> Path:
        return self._directory / "mosquitto.conf"

    def _write_files(self) -> None:
        acl_file = password_file = persistence_dir = None
        if self._acl is not None:
            acl_file = write_private(self._directory / "acl", self._acl)
        if self._users is not None:
            text = password_file_text(self._users)
            password_file = write_private(self._directory / "passwords", text)
        if self._persistence:
            persistence_dir = self._directory / "store"
            persistence_dir.mkdir(exist_ok=True)
        conf = MosquittoConf(
            purpose=self._purpose,
            port=self.port,
            bind=_LOOPBACK,
            persistence_dir=persistence_dir,
            # As root it would drop to an account that cannot read our files, and then
            # lose persistence with a mere log line.
            user="root" if os.getuid() == 0 else None,
            acl_file=acl_file,
            password_file=password_file,
        )
        write_private(self._conf_path, conf.text())

    def _spawn(self) -> subprocess.Popen[str]:
        leash = subprocess.Popen(
            [
                sys.executable,
                "-ISE",
                Path(__file__).with_name("leash.py"),
                self._binary,
                "-c",
                self._conf_path,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **_MALLOC_ENV},
            cwd=self._directory,
            start_new_session=True,  # Ctrl-C is ours to answer: rooms say goodbye over this broker
        )
        assert leash.stdout is not None
        self.pid = int(leash.stdout.readline() or 0)
        self._leash = leash
        return leash

    def _read_until_running(self, leash: subprocess.Popen[str]) -> list[str]:
        """Read its log until it listens or is gone; returns its last words.

        Its own word is needed: that the port answers may be somebody else's doing.
        """
        words: deque[str] = deque(maxlen=4)
        too_late = threading.Timer(_START_S, self._end, args=(leash,))
        too_late.start()
        for line in leash.stderr or ():
            self._read_log(line.strip())
            words.append(line.strip())
            if line.rstrip().endswith(" running"):  # log_type information
                too_late.cancel()
                return list(words)
        too_late.cancel()
        leash.wait()
        return list(words)

    def _watch(self, leash: subprocess.Popen[str]) -> None:
        """Read the log until it ends, which is when the child ended; then restart it."""
        wait_s = _RESTART_FLOOR_S
        while True:
            began = time.monotonic()
            for line in leash.stderr or ():
                self._read_log(line.strip())
            status = leash.wait()
            self._close_pipes(leash)
            if self._stopping.is_set():
                return
            wait_s = _RESTART_FLOOR_S if time.monotonic() - began > _STEADY_S else wait_s
            _log.error("mosquitto ended, starting it again", status=status, wait_s=wait_s)
            again = None
            while again is None:
                if self._stopping.wait(wait_s):
                    return
                wait_s = min(_RESTART_CAP_S, wait_s * 2)
                again = self._respawn()
            leash = again

    def _respawn(self) -> subprocess.Popen[str] | None:
        try:
            leash = self._spawn()
        except OSError as error:  # no memory, no process or no file handle left: it may pass
            self._complain(f"Error: mosquitto could not be started again: {error}")
            return None
        self.restarts += 1
        if self._stopping.is_set():  # stop() may have ended the one before
            self._end(leash)
        return leash

    def _complain(self, line: str) -> None:
        self.errors.append(line)
        _log.error("mosquitto says", line=line)

    def _read_log(self, line: str) -> None:
        if line.startswith("Error"):
            self._complain(line)

    @staticmethod
    def _end(leash: subprocess.Popen[str]) -> None:
        if leash.stdin is not None and not leash.stdin.closed:
            leash.stdin.close()  # the leash ends its child, gently first
        leash.wait()

    @staticmethod
    def _close_pipes(leash: subprocess.Popen[str]) -> None:
        for pipe in (leash.stdin, leash.stdout, leash.stderr):
            if pipe is not None:
                pipe.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
