"""Shell: loads model files into engines that the local slot can run.

The palm detector is loaded once and shared by all engines: they all run on the slot's one thread. Loading
itself may happen on any thread.
"""

import hashlib
from pathlib import Path

import numpy as np

from edge_node.device_class import Segment
from edge_node.errors import SettingsError
from edge_node.perceive import Engine
from inference.errors import InferenceError
from inference.runtimes.base import Model, Runtime
from inference.tasks.hands import HandsConfig, HandTask

LANDMARKS: dict[str, Segment] = {
    "float": Segment.LANDMARK_FLOAT,
    "float16": Segment.LANDMARK_FLOAT,
    "int8": Segment.LANDMARK_INT8,
    "mixed": Segment.LANDMARK_INT8,
}


class EngineMaker:
    """Makes engines with one runtime, one palm detector and one task configuration."""

    def __init__(self, runtime: Runtime, *, models: Path, config: HandsConfig, variant: str = "full") -> None:
        self._runtime = runtime
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
        return Engine(task=task, label=label, digest=digest, landmark=LANDMARKS[quantisation])

    def _load(self, path: Path) -> Model:
        try:
            model = self._runtime.load(path, threads=1)
            # the first run of an engine is several times slower; no frame shall pay for it
            model.run([np.zeros(spec.shape, dtype=spec.dtype) for spec in model.inputs()])
        except InferenceError as error:
            raise SettingsError(f"{error}; get the models with `headway model import hands`") from error
        return model
