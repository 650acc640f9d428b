"""Shell: a real site for deadline measurements: broker, worker and headsets as processes, each headset behind a link.

Real frames, real models, the virtual accelerator of the class. The faults that a schedule asks for are methods here:
``broker_killed`` is restarted by its supervisor, a killed worker by us, as a service manager would. Whatever happens
inside the block, nothing that was started outlives it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.bad_replies import Tamperer
from bench.deadline_middle import Middle
from edge_node.sources import make_walk
from headway.cast import Cast
from headway.host import host_variant
from headway.link import Link
from headway.photos import ensure_photos
from headway.provision import ensure_models, ensure_mosquitto
from headway.story_report import claims_of, read_events
from inference.runtimes.registry import open_runtime
from schemas.places import cache_dir

SITE, WORKER = "bench", "w-1"
FPS = 30.0
BEGIN_S = 30.0
POLL_S = 0.05
OFFSET_STEP = 97  # frames between two headsets in the walk they share
RUNTIME = "litert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What every site of a measurement plays with."""

    folder: Path
    models: Path
    ring: Path
    variant: str
    mosquitto: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one headset runs."""

    policy: str
    deadline_ms: float
    device_class: str = "xr-fast"
    linked: bool = True  # behind a link of its own


def prepare(folder: Path) -> Material:
    """Render a walk over the photos; models and broker are fetched where there are none.

    Raises:
        HeadwayError: something is missing; says how to get it.
    """
    cache = cache_dir(os.environ)
    open_runtime(RUNTIME)  # converts nothing, but fails here rather than in every child
    ring = folder / "walk.ring"
    folder.mkdir(parents=True, exist_ok=True)
    make_walk(ensure_photos(cache)[0].parent, out=ring, fps=FPS)
    return Material(
        folder=folder,
        models=ensure_models(cache)["hand_landmark_full"].parent,
        ring=ring,
        variant=host_variant(),
        mosquitto=ensure_mosquitto(cache),
    )


class Stage:
    """A running site; a context manager.

    Args:
        material: what it plays with.
        headsets: by id.
        name: of its folder.
        tamperer: makes the worker's replies bad.
        own_sessions: False where priorities are to count between its processes and ours.
    """

    def __init__(
        self,
        material: Material,
        headsets: Mapping[str, Plan],
        *,
        name: str,
        tamperer: Tamperer | None = None,
        own_sessions: bool = True,
    ) -> None:
        self.headsets = dict(headsets)
        self._tamperer = tamperer
        self._worker_url: str | None = None
        self.links: dict[str, Link] = {}
        self.claims: dict[str, dict[str, Any]] = {}
        self._material = material
        self.folder = material.folder / name
        self._cast = Cast(
            folder=self.folder, site=SITE, mosquitto=material.mosquitto, own_sessions=own_sessions
        )
        self._frozen_pid = 0
        self._restart: Future[None] | None = None
        self._open = ExitStack()

    def __enter__(self) -> Stage:
        with ExitStack() as undo:
            undo.callback(self._cast.stop)
            self._hands = undo.enter_context(ThreadPoolExecutor(1, thread_name_prefix="restart"))
            undo.callback(self.broker_thawed)
            host, _, port = self._cast.start_broker().removeprefix("mqtt://").partition(":")
            if self._tamperer is not None:
                self._worker_url = undo.enter_context(Middle(int(port), tamperer=self._tamperer)).url
            self._start_worker()
            for number, (headset, plan) in enumerate(self.headsets.items()):
                url = None
                if plan.linked:
                    self.links[headset] = undo.enter_context(Link(host, int(port)))
                    url = self.links[headset].url
                self._start_headset(headset, plan, number=number, url=url)
            self._await_frames()
            self._open = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def broker_url(self) -> str:
        """Where the broker listens, past every link."""
        return self._cast.broker_url

    @property
    def restarts(self) -> int:
        """How often the broker was started again."""
        return 0 if self._cast.broker is None else self._cast.broker.restarts

    def pid(self, name: str) -> int:
        """Process id of a headset or the worker."""
        return self._cast.children[name].pid

    def finish(self) -> list[dict[str, Any]]:
        """End the headsets while everything else stands; returns every line they wrote, ``claims`` holds their summaries."""
        if self._restart is not None:
            self._restart.result()
        self.claims = claims_of(self._cast.stop_children(list(self.headsets)))
        return self.events()

    def events(self) -> list[dict[str, Any]]:
        """Every line that the headsets have written by now."""
        return read_events(self.folder, list(self.headsets), story=None)

    # -- faults ------------------------------------------------------------------------------------

    def broker_killed(self) -> None:
        """SIGKILL the broker; its supervisor starts it again."""
        os.kill(self._broker_pid(), signal.SIGKILL)

    def broker_frozen(self) -> None:
        """SIGSTOP the broker."""
        self._frozen_pid = self._broker_pid()
        os.kill(self._frozen_pid, signal.SIGSTOP)

    def broker_thawed(self) -> None:
        """SIGCONT the broker, if it was frozen."""
        pid, self._frozen_pid = self._frozen_pid, 0
        if pid:
            os.kill(pid, signal.SIGCONT)

    def worker_killed(self) -> None:
        """SIGKILL the worker."""
        os.kill(self._cast.children[WORKER].pid, signal.SIGKILL)

    def worker_restarted(self) -> None:
        """Begin to start the worker again; it is there a few seconds later."""
        self._cast.stop_children([WORKER])
        self._restart = self._hands.submit(self._start_worker)

    def cut(self, headset: str) -> None:
        """Make this headset's link a black hole."""
        self.links[headset].cut()

    def restore(self, headset: str) -> None:
        """Let it flow again."""
        self.links[headset].restore()

    # -- start -------------------------------------------------------------------------------------

    def _broker_pid(self) -> int:
        if self._cast.broker is None:
            raise ChildProcessError("there is no broker to disturb: use the stage inside its block")
        return self._cast.broker.pid

    def _start_worker(self) -> None:
        models, variant = self._material.models, self._material.variant
        self._cast.start_worker(WORKER, models=models, variant=variant, broker_url=self._worker_url)

    def _start_headset(self, headset: str, plan: Plan, *, number: int, url: str | None) -> None:
        self._cast.start_headset(
            headset,
            ["--models", str(self._material.models), "--variant", self._material.variant]
            + ["--policy", plan.policy, "--deadline-ms", str(plan.deadline_ms), "--fps", str(FPS)]
            + ["--device-class", plan.device_class, "--offset", str(OFFSET_STEP * number)]
            + ["--events", str(self._event_file(headset))],
            source=f"walk:{self._material.ring}",
            broker_url=url,
        )

    def _event_file(self, headset: str) -> Path:
        return self.folder / f"{headset}.jsonl"

    def _await_frames(self) -> None:
        """Wait until every headset has written its first line."""
        deadline_s = time.monotonic() + BEGIN_S
        waiting = set(self.headsets)
        while waiting:
            waiting = {name for name in waiting if not _has_content(self._event_file(name))}
            fallen = self._cast.fallen()
            if fallen or time.monotonic() > deadline_s:
                names = ", ".join(fallen or sorted(waiting))
                tails = "\n".join(self._cast.children[name].tail() for name in fallen or sorted(waiting))
                raise ChildProcessError(f"{names} did not begin to answer frames:\n{tails}")
            time.sleep(POLL_S)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
