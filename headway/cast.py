"""Shell: the rooms of one site on this machine, started in order and ended in order.

Broker, manager, workers and headsets run as separate processes, exactly as on different machines: they
meet only on the broker. Everything binds to loopback on free ports, so two casts never collide. What a headset
looks at never stands on a command line: a camera's address may hold its password, and every user sees those.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from broker.errors import RoadError
from broker.mosquitto import EmbeddedMosquitto
from headway.children import Child, headway_command, start
from headway.errors import ChildError

READY_S = 30.0


@dataclass(slots=True, kw_only=True)
class Cast:
    """Who plays. ``folder`` holds state and logs of everybody."""

    folder: Path
    site: str
    mosquitto: Path
    port: int | None = None
    listen: str = "127.0.0.1:0"
    own_sessions: bool = True  # of the children, see ``children.start``
    broker: EmbeddedMosquitto | None = field(default=None, init=False)
    manager_url: str = field(default="", init=False)
    children: dict[str, Child] = field(default_factory=dict, init=False)
    source_files: dict[str, Path] = field(default_factory=dict, init=False, repr=False)  # by headset

    @property
    def logs(self) -> Path:
        """Where the children's logs are."""
        return self.folder / "logs"

    @property
    def broker_url(self) -> str:
        """Address of the embedded broker."""
        assert self.broker is not None
        return self.broker.url

    def start_broker(self) -> str:
        """Start Mosquitto and return its URL.

        Raises:
            ChildError: it did not start; carries its last words.
        """
        broker = EmbeddedMosquitto(self.mosquitto, self.folder / "broker", port=self.port)
        try:
            broker.start()
        except RoadError as error:
            raise ChildError(f"the broker did not start: {error}") from error
        self.broker = broker
        return broker.url

    def start_manager(self) -> str:
        """Start the manager and return the URL of its REST interface.

        Raises:
            ChildError: it did not become ready; carries the end of its log.
        """
        state = self.folder / "manager"
        state.mkdir(parents=True, exist_ok=True)
        ready = self._start(
            "manager",
            ["manager", "run", "--broker", self.broker_url, "--site", self.site, "--embedded"]
            + ["--db", f"sqlite:///{state / 'fleet.db'}", "--artifacts", str(state / "artifacts")]
            + ["--listen", self.listen, "--json"],
        )
        self.manager_url = str(ready["url"])
        return self.manager_url

    def start_worker(self, worker: str, *, models: Path, variant: str, broker_url: str | None = None) -> None:
        """Start a worker that answers the task ``hands`` with the float models of a folder, full or lite."""
        self._start(
            worker,
            ["worker", "run", "--id", worker, "--site", self.site, "--broker", broker_url or self.broker_url]
            + ["--task", "hands", "--models", str(models), "--state", str(self.folder / worker)]
            + ["--variant", variant, "--max-hands", "1", "--json"],
        )

    def start_headset(
        self, headset: str, arguments: list[str], *, source: str, broker_url: str | None = None
    ) -> None:
        """Start a headset that looks at ``source``; it is ready when the manager says so.

        Raises:
            ChildError: it cannot be started, or its source cannot be written down for it.
        """
        command = ["node", "run", "--id", headset, "--site", self.site]
        command += ["--broker", broker_url or self.broker_url, "--state", str(self.folder / headset)]
        command += ["--source-file", str(self._write_source(headset, source)), "--json", *arguments]
        self.children[headset] = start(
            headset, headway_command(*command), logs=self.logs, own_session=self.own_sessions
        )

    def _write_source(self, headset: str, source: str) -> Path:
        """A file with the source that only this user reads; removed with the headset's end."""
        path = self.folder / f"{headset}.source"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # of a run that was killed
            self.source_files[headset] = path
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(source + "\n")
        except OSError as error:
            raise ChildError(
                f"cannot write {path} ({error.strerror}): free some space or choose another folder"
            ) from error
        return path

    def _forget_sources(self, headsets: list[str]) -> None:
        for headset in headsets:
            if path := self.source_files.pop(headset, None):
                path.unlink(missing_ok=True)

    def _start(self, name: str, arguments: list[str]) -> dict[str, object]:
        child = start(name, headway_command(*arguments), logs=self.logs, own_session=self.own_sessions)
        self.children[name] = child
        return child.ready(timeout_s=READY_S)

    def fallen(self) -> list[str]:
        """Names of children that ended though nobody asked them to."""
        return [name for name, child in self.children.items() if not child.running]

    def stop_children(self, names: list[str]) -> dict[str, bytes]:
        """End these children together; returns what each still had to say on stdout."""
        chosen = [self.children.pop(name) for name in names if name in self.children]
        try:
            for child in chosen:
                if child.running:
                    child.process.terminate()
            for child in chosen:
                child.stop()
        finally:
            self._forget_sources(names)
        return {child.name: child.rest() for child in chosen}

    def stop(self) -> None:
        """End everybody: headsets and workers first, then the manager, the broker last."""
        # A headset that could not be started is no child, but its source may be written down.
        self.stop_children([name for name in {**self.children, **self.source_files} if name != "manager"])
        self.stop_children(["manager"])
        if self.broker is not None:
            self.broker.stop()
            self.broker = None

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def check_alive(cast: Cast) -> None:
    """Raise when a child died.

    Raises:
        ChildError: names it and carries the end of its log.
    """
    for name in cast.fallen():
        child = cast.children[name]
        raise ChildError(f"{name} died with status {child.process.returncode}.\n{child.tail()}")
