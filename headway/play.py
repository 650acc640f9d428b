"""Shell: the demo's acts on a running cast. The timeline says when; this file knows how.

One loop on the caller's thread: it ticks the board, watches deployments and children, and begins each act at
its cue. Nothing here waits for an act to end, so a slow one never delays the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from headway.board import Board
from headway.cast import Cast, check_alive
from headway.errors import DemoError
from headway.latency_plot import Mark
from headway.link import Link
from headway.operations import Operations
from headway.sabotage import BadRollout
from headway.timeline import CUT_S, Act, timeline
from inference.packages.package import Package

TICK_S = 0.25
LOOK_EVERY_S = 0.5
REGISTER_S = 30.0
GRACE_S = 75.0  # every deployment ends by itself within its 60 s; those still running are waited for
GROUP = "line-a"
POLICY = "deadline"
RUNNING = "running"


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened, for the report. Times are monotonic nanoseconds."""

    start_ns: int = 0
    registered_s: dict[str, float] = field(default_factory=dict)
    cut_ns: int | None = None
    restored_ns: int | None = None
    deployments: list[dict[str, Any]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)  # each headset's summary at its end


class Play:
    """One performance."""

    def __init__(
        self,
        *,
        cast: Cast,
        operations: Operations,
        link: Link,
        board: Board,
        headsets: tuple[str, ...],
        small: Package,
        bad: tuple[BadRollout, ...],
    ) -> None:
        self.story = Story()
        self.operations, self.board = operations, board
        self._cast, self._link = cast, link
        self._headsets = headsets
        self._small = small
        self._bad = list(bad)
        self._begun: tuple[str, BadRollout | None, Future[Any]] | None = None
        self._watched: str | None = None
        self._sabotage_open = False
        self._look_due_s = 0.0
        self._acts: dict[Act, Callable[[], None]] = {
            Act.REGISTER: lambda: None,
            Act.DEPLOY: self._deploy,
            Act.CUT: self._cut,
            Act.RESTORE: self._restore,
            Act.SABOTAGE: self._open_sabotage,
            Act.REPORT: lambda: None,
        }

    def register(self, started_ns: dict[str, int]) -> None:
        """Wait until the manager has admitted every headset; second 0 is the first one's moment.

        Raises:
            DemoError: one did not register in time.
            ChildError: one died.
        """
        deadline_ns = time.monotonic_ns() + int(REGISTER_S * 1e9)
        while missing := set(self._headsets) - set(self.story.registered_s):
            check_alive(self._cast)
            now_ns = time.monotonic_ns()
            for headset in sorted(missing & self.operations.registered()):
                self.story.start_ns = self.story.start_ns or now_ns
                self.story.registered_s[headset] = round((now_ns - started_ns[headset]) / 1e9, 2)
                self._note(f"{headset} registered itself after {self.story.registered_s[headset]:.1f} s")
            if now_ns > deadline_ns:
                raise DemoError(
                    f"{', '.join(sorted(missing))} did not register within {REGISTER_S:g} s: see {self._cast.logs}"
                )
            time.sleep(TICK_S)

    def perform(self, seconds: float) -> None:
        """Play the timeline to its end, and at most ``GRACE_S`` longer for deployments under way.

        Raises:
            DemoError, ChildError: the play cannot go on.
        """
        cues = list(timeline(seconds))
        while cues or self._busy():
            elapsed_s = self.elapsed_s()
            while cues and elapsed_s >= cues[0].at_s:
                self._acts[cues.pop(0).act]()
            if elapsed_s > seconds + GRACE_S:
                raise DemoError(
                    f"a deployment did not end within {GRACE_S:g} s after the timeline: see {self._cast.logs}"
                )
            check_alive(self._cast)
            if elapsed_s >= self._look_due_s:
                self._look_due_s = elapsed_s + LOOK_EVERY_S
                self._follow()
            self.board.tick(elapsed_s)
            time.sleep(TICK_S)

    def elapsed_s(self) -> float:
        """Seconds since the streams started."""
        return (time.monotonic_ns() - self.story.start_ns) / 1e9

    def _note(self, text: str) -> None:
        self.board.note(self.elapsed_s(), text)

    def _busy(self) -> bool:
        return bool(self._begun or self._watched or (self._sabotage_open and self._bad))

    # -- acts ----------------------------------------------------------------------------------------

    def _deploy(self) -> None:
        manifest = self._small.manifest
        self._note(
            f"headway deploy apply --group {GROUP} --model {manifest.name}:{manifest.version} --policy {POLICY}"
        )
        self._apply(
            "int8 to line-a",
            None,
            "--group",
            GROUP,
            "--model",
            f"{manifest.name}:{manifest.version}",
            "--policy",
            POLICY,
        )

    def _cut(self) -> None:
        self._link.cut()
        self.story.cut_ns = time.monotonic_ns()
        self._note(f"the network of {self._headsets[0]} is cut for {CUT_S:g} s")

    def _restore(self) -> None:
        if (
            self.story.cut_ns is not None
        ):  # the cut may have come a tick after its cue; its seconds are promised
            time.sleep(max(0.0, CUT_S - (time.monotonic_ns() - self.story.cut_ns) / 1e9))
        self._link.restore()
        self.story.restored_ns = time.monotonic_ns()
        self._note(f"the network of {self._headsets[0]} is back")

    def _open_sabotage(self) -> None:
        self._sabotage_open = True  # the next look begins the first one, once nothing else is under way

    def _next_bad(self) -> None:
        bad = self._bad.pop(0)
        self._link.flip(bad.mark)
        manifest = bad.package.manifest
        self._note(f"bad rollout to {self._headsets[0]}: {bad.title}")
        self._apply(
            bad.title, bad, "--device", self._headsets[0], "--model", f"{manifest.name}:{manifest.version}"
        )

    def _apply(self, title: str, bad: BadRollout | None, *arguments: str) -> None:
        self._begun = (title, bad, self.operations.begin("deploy", "apply", *arguments))

    # -- deployments under way -----------------------------------------------------------------------

    def _follow(self) -> None:
        if self._begun is not None and self._begun[2].done():
            title, _bad, future = self._begun
            self._watched, self._begun = str(future.result()["id"]), None
            self.story.marks.append(Mark(at_s=self.elapsed_s(), text=f"{title} begins", good=None))
        if self._watched is not None:
            shown = self.operations.look(f"/deployments/{self._watched}")
            if shown["outcome"] != RUNNING:
                self._watched = None
                self._ended(shown)
        elif self._begun is None and self._sabotage_open and self._bad:
            self._next_bad()

    def _ended(self, shown: dict[str, Any]) -> None:
        good = shown["outcome"] == "succeeded"
        members = ", ".join(f"{row['device']} {row['outcome']}" for row in shown["results"])
        why = f": {shown['reason']}" if shown["reason"] else ""
        self._note(f"{shown['id']} {shown['outcome']}{why} ({members})")
        self.story.marks.append(
            Mark(
                at_s=self.elapsed_s(), text=f"{shown['id']} {shown['reason'] or shown['outcome']}", good=good
            )
        )
        self.story.deployments.append(deployment_entry(shown))


def deployment_entry(shown: dict[str, Any]) -> dict[str, Any]:
    """One entry of the report's ``deployments`` from the manager's view."""
    finished_ms, created_ms = shown["finished_ms"], shown["created_ms"]
    return {
        "id": shown["id"],
        "group": shown["spec"]["target"]["group"],
        "device": shown["spec"]["target"]["device"],
        "outcome": shown["outcome"],
        "devices": shown["devices"],
        "succeeded": shown["succeeded"],
        "failed": shown["failed"] + shown["timed_out"],
        "seconds": None if finished_ms is None else round((finished_ms - created_ms) / 1000, 2),
        "reason": shown["reason"],
        "detail": shown["detail"],
    }
