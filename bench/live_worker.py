"""A broker and a worker process of one's own, for as long as a measurement needs them. Shell."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.mosquitto import EmbeddedMosquitto, find_mosquitto
from headway.setup import cache_dir

END_S = 10.0


@dataclass(slots=True)
class LiveProcess:
    """Where the worker is reached; ``ended`` is its own report, there once the block is left."""

    url: str
    ended: dict[str, object] | None = None


@contextmanager
def null_worker(*, site: str, worker: str) -> Iterator[LiveProcess]:
    """An embedded Mosquitto and a worker that computes nothing, as its own process.

    Raises:
        MosquittoMissing: there is none here; says how to get it.
        ChildProcessError: the worker did not start.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with EmbeddedMosquitto(find_mosquitto(cache_dir(os.environ)), folder / "mosquitto") as broker:
            command = [sys.executable, "-m", "headway.cli", "worker", "run", "--json", "--runtime", "null"]
            command += ["--id", worker, "--site", site, "--broker", broker.url, "--state", scratch]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                live = LiveProcess(broker.url)
                try:
                    _said(process)
                    yield live
                    process.send_signal(signal.SIGTERM)
                    live.ended = _said(process)
                    process.wait(END_S)
                finally:
                    process.kill()


def _said(process: subprocess.Popen[str]) -> dict[str, object]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise ChildProcessError("the worker ended without a word: its reason is on stderr above")
    said: dict[str, object] = json.loads(line)
    return said
