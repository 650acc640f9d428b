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
from edge_node.jobs import Engine
from inference.errors import InferenceError, ModelPackageError
from inference.parity.fingerprint import split_fingerprint
from inference.runtimes.base import Model, Runtime
from inference.split.model import split_model
from inference.tasks.hands import HandsConfig, HandTask
from schemas.documents import SplitConfig

CUTTING = frozenset({"split", "deadline"})  # policies that may take the split
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
        """The engine with head and tail for the config's placement, if it names one; itself where nothing changes.

        Raises:
            PlacementMisfitError: the placement's positions do not belong to this engine's model.
        """
        place = config.placement if config.policy in CUTTING and "split" in config.tiers else None
        if place is None:
            return replace(engine, parts=None) if engine.parts else engine
        wanted, parts = place.placement, engine.parts
        if parts is not None and (parts.placement, parts.coding) == (wanted, place.coding):
            return engine
        if not isinstance(engine.task, HandTask):
            raise PlacementMisfitError(
                f"the engine {engine.label} cannot be cut: use another policy than split"
            )
        try:
            split = split_model(self._content(engine.digest))
            # Only who sends parts is asked for it, and it takes a third of a second.
            kernel = engine.kernel or split_fingerprint(split, runtime=self._runtime)
            parts = open_engine_parts(
                engine.task,
                split,
                wanted,
                runtime=self._runtime,
                clock_ns=self._clock_ns,
                max_hands=self._config.max_hands,
                coding=place.coding,
            )
        except (InferenceError, OSError) as error:
            raise PlacementMisfitError(
                f"the placement {wanted.start}:{wanted.end} does not fit {engine.label}: {error}"
            ) from error
        return replace(engine, parts=parts, kernel=kernel)

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
