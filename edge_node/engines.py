"""Shell: loads model files into engines that the local slot can run.

The palm detector is loaded once and shared by all engines: they all run on the slot's one thread. Loading
itself may happen on any thread.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_node.device_class import Segment
from edge_node.engine_parts import open_engine_parts
from edge_node.errors import PlacementMisfitError, SettingsError
from edge_node.jobs import Engine, EngineParts
from inference.errors import InferenceError, ModelPackageError
from inference.parity.fingerprint import split_fingerprint
from inference.runtimes.base import Model, Runtime
from inference.split.model import SplitModel, split_model
from inference.tasks.hands import HandsConfig, HandTask
from schemas.deployments import PartPlacement
from schemas.documents import SplitConfig
from schemas.messages import PartCoding
from schemas.placements import Placement

CUTTING = frozenset({"split", "deadline"})  # policies that may take the split
CHOOSING = frozenset({"deadline"})  # those of them that choose among several placements
LANDMARKS: dict[str, Segment] = {
    "float": Segment.LANDMARK_FLOAT,
    "float16": Segment.LANDMARK_FLOAT,
    "int8": Segment.LANDMARK_INT8,
    "mixed": Segment.LANDMARK_INT8,
}


class EngineMaker:
    """Makes engines with one runtime, one palm detector and one task configuration."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        models: Path,
        config: HandsConfig,
        variant: str = "full",
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._runtime = runtime
        self._clock_ns = clock_ns
        self._files: dict[str, Path] = {}  # digest -> where the model of an engine lies
        self._landmark = models / f"hand_landmark_{variant}.tflite"
        self._config = config
        self._palm: Model = self._load(models / f"palm_detection_{variant}.tflite")

    def factory(self) -> Engine:
        """The engine that every headset is delivered with.

        Raises:
            SettingsError: the models are not where the user said.
        """
        return self.engine(self._landmark, label="factory", quantisation="float")

    def engine(self, landmark: Path, *, label: str, quantisation: str) -> Engine:
        """An engine around a landmark model file.

        Raises:
            SettingsError: the file cannot be opened or is not a hand landmark model.
        """
        model = self._load(landmark)
        try:
            task = HandTask(palm=self._palm, landmark=model, config=self._config)
        except InferenceError as error:
            raise SettingsError(f"{landmark} does not fit the task: {error}") from error
        digest = hashlib.sha256(landmark.read_bytes()).hexdigest()
        self._files[digest] = landmark
        return Engine(task=task, label=label, digest=digest, landmark=LANDMARKS[quantisation])

    def fitted(self, engine: Engine, config: SplitConfig) -> Engine:
        """The engine with head and tail for each of the config's placements; itself where nothing changes.

        Raises:
            PlacementMisfitError: positions of a placement do not belong to this engine's model; names it.
        """
        places = places_of(config)
        if not places:
            return replace(engine, parts=None, others=()) if engine.parts else engine
        if [_cut_of(cut) for cut in engine.cuts] == [(place.placement, place.coding) for place in places]:
            return engine
        if not isinstance(engine.task, HandTask):
            raise PlacementMisfitError(
                f"the engine {engine.label} cannot be cut: use another policy than split"
            )
        try:
            split = split_model(self._content(engine.digest))
            # Only who sends parts is asked for it, and it takes a third of a second.
            kernel = engine.kernel or split_fingerprint(split, runtime=self._runtime)
        except (InferenceError, OSError) as error:
            raise PlacementMisfitError(f"{engine.label} cannot be cut: {error}") from error
        known = {_cut_of(cut): cut.parts for cut in engine.cuts}
        first, *others = (
            known.get((place.placement, place.coding))
            or self._opened(place, engine.task, split, label=engine.label)
            for place in places
        )
        whole = replace(engine, parts=None, kernel=kernel, others=())
        return replace(whole, parts=first, others=tuple(replace(whole, parts=parts) for parts in others))

    def _opened(self, place: PartPlacement, task: HandTask, split: SplitModel, *, label: str) -> EngineParts:
        """Head and tail of one placement."""
        try:
            return open_engine_parts(
                task,
                split,
                place.placement,
                runtime=self._runtime,
                clock_ns=self._clock_ns,
                max_hands=self._config.max_hands,
                coding=place.coding,
            )
        except (InferenceError, OSError) as error:
            raise PlacementMisfitError(
                f"the placement {place.placement} does not fit {label}: {error}"
            ) from error

    def _content(self, digest: str) -> bytes:
        content = self._files[digest].read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ModelPackageError(
                f"{self._files[digest]} was changed since it was loaded: start this headset again"
            )
        return content

    def _load(self, path: Path) -> Model:
        try:
            model = self._runtime.load(path, threads=1)
            # the first run of an engine is several times slower; no frame shall pay for it
            model.run([np.zeros(spec.shape, dtype=spec.dtype) for spec in model.inputs()])
        except InferenceError as error:
            raise SettingsError(f"{error}; get the models with `headway model import hands`") from error
        return model


def places_of(config: SplitConfig) -> tuple[PartPlacement, ...]:
    """Where an engine is to be cut, the first one first; nowhere where the policy takes no split."""
    if config.placement is None or config.policy not in CUTTING or "split" not in config.tiers:
        return ()
    return (config.placement, *(config.placements if config.policy in CHOOSING else ()))


def _cut_of(engine: Engine) -> tuple[Placement, PartCoding] | None:
    parts = engine.parts
    return None if parts is None else (parts.placement, parts.coding)
