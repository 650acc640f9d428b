"""Shell: puts a release in place of another while frames are answered, between two of them.

Loads on the caller's thread (the updater's) and hands the ready engine to the frame loop; the engine that
answered before keeps answering until then, and for good where anything fails.
"""

import threading
from collections.abc import Callable

import structlog

from edge_node.engines import EngineMaker
from edge_node.errors import EdgeError, PlacementMisfitError, UpdateError
from edge_node.health import Health
from edge_node.jobs import Engine
from edge_node.model_store import ModelStore
from edge_node.update import Release
from inference.errors import ModelPackageError
from inference.packages.package import open_package
from schemas.documents import PackageRef, SplitConfig
from schemas.states import FailureReason

_log = structlog.get_logger("edge_node.installation")

SWAP_TIMEOUT_S = 5.0
PROVING_FRAMES = 10
PROVING_TIMEOUT_S = 5.0
POLL_S = 0.02

Pause = Callable[[float], None]  # waits so many seconds; may raise to end what waits
Place = Callable[[Engine, SplitConfig, Callable[[], None]], None]  # engine, config, call when in place


class Installation:
    """What answers frames now, and how it is exchanged.

    ``place`` hands an engine and a config to the frame loop, ``want_trial`` asks it for one run of the engine
    where all frames go elsewhere.
    """

    def __init__(
        self,
        *,
        maker: EngineMaker,
        factory: Engine,
        store: ModelStore,
        split: SplitConfig,
        health: Callable[[], Health],
    ) -> None:
        self._maker = maker
        self._factory = factory
        self._store = store
        self._split = split
        self._health = health
        self._place: Place | None = None
        self._want_trial: Callable[[], None] | None = None
        self._running: tuple[PackageRef | None, Engine] = (None, factory)
        self._failed_before = 0

    def initial(self) -> tuple[Engine, SplitConfig]:
        """What to start with: the active release, else the previous one, else what was delivered."""
        pointer = self._store.pointer
        for release in (pointer.active, pointer.previous):
            try:
                engine = self._engine(release.package)
            except UpdateError as error:
                _log.error("a committed release does not load", error=str(error))
                continue
            config = release.split_config or self._split
            engine = self._fitted_or_whole(engine, config)
            self._running = (release.package, engine)
            return engine, config
        self._running = (None, self._fitted_or_whole(self._factory, self._split))
        return self._running[1], self._split

    def _fitted_or_whole(self, engine: Engine, config: SplitConfig) -> Engine:
        """An engine for a config that is in force already: frames need one even where the placement misfits."""
        try:
            return self._maker.fitted(engine, config)
        except PlacementMisfitError as error:
            _log.error("frames are computed whole", error=str(error))
            return engine

    def attach(self, place: Place, *, want_trial: Callable[[], None]) -> None:
        """From now on exchanges and trials go to this frame loop."""
        self._place, self._want_trial = place, want_trial

    def model(self) -> str:
        """The label of the engine that answers now."""
        return self._running[1].label

    def install(self, release: Release, pause: Pause) -> None:
        """Put a release in place.

        Raises:
            UpdateError: it does not load, or the frame loop did not take it.
        """
        if self._place is None:
            raise UpdateError(FailureReason.INTERNAL, "no frame loop to install into")
        config = release.split_config or self._split
        try:
            engine = self._maker.fitted(self._engine(release.package), config)
        except PlacementMisfitError as error:
            raise UpdateError(FailureReason.BAD_CONFIG, str(error)) from error
        self._failed_before = self._health().failed if engine is self._running[1] else 0
        placed = threading.Event()
        self._place(engine, config, placed.set)
        _wait(placed.is_set, pause, timeout_s=SWAP_TIMEOUT_S, what="the frame loop did not take the engine")
        self._running = (release.package, engine)

    def prove(self, pause: Pause) -> None:
        """Watch the new release answer frames and its engine end at least one run well, and none badly.

        Raises:
            UpdateError: a local run failed, none was begun, or no frames were answered.
        """
        if self._want_trial is not None and not self._health().well:
            self._want_trial()  # the policy may send every frame away: a model that never ran is not proven
        goal = self._health().answered + PROVING_FRAMES
        _wait(
            lambda: self._health().answered >= goal,
            pause,
            timeout_s=PROVING_TIMEOUT_S,
            what="it answered no frames",
        )
        _wait(self._has_run, pause, timeout_s=PROVING_TIMEOUT_S, what="its model ended no run here")
        failed = self._health().failed - self._failed_before
        if failed:
            raise UpdateError(FailureReason.INTERNAL, f"{failed} local runs failed with it")

    def _has_run(self) -> bool:
        health = self._health()
        return health.well > 0 or health.failed > self._failed_before

    def _engine(self, package: PackageRef | None) -> Engine:
        if package is None:
            return self._running[1] if self._running[0] is None else self._factory
        if self._running[0] is not None and self._running[0].digest == package.digest:
            return self._running[1]
        try:
            opened = open_package(self._store.path(package.digest))
            label = f"{opened.manifest.name}:{opened.manifest.version}"
            return self._maker.engine(
                opened.model_path, label=label, quantisation=opened.manifest.quantisation
            )
        except (EdgeError, ModelPackageError) as error:
            raise UpdateError(FailureReason.UNLOADABLE, str(error)) from error


def _wait(is_done: Callable[[], bool], pause: Pause, *, timeout_s: float, what: str) -> None:
    waited_s = 0.0
    while not is_done():
        if waited_s >= timeout_s:
            raise UpdateError(FailureReason.INTERNAL, f"{what} within {timeout_s:g} s")
        pause(POLL_S)
        waited_s += POLL_S
