"""The real hand models, loaded once for this room's tests."""

import pytest

from inference.runtimes.registry import open_runtime


@pytest.fixture(scope="session")
def palm_model(models_dir):
    model = open_runtime("litert").load(models_dir / "palm_detection_full.tflite")
    yield model
    model.close()


@pytest.fixture(scope="session")
def landmark_model(models_dir):
    model = open_runtime("litert").load(models_dir / "hand_landmark_full.tflite")
    yield model
    model.close()
