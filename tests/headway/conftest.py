"""Packages that several tests of the door play with, made once of the real models and photos."""

import pytest

from headway.material import LANDMARK, LANDMARK_LITE, PALM
from inference.packages.making import Making, make_float_package
from inference.packages.zoo import known


@pytest.fixture(scope="session")
def packages(models_dir, photos, tmp_path_factory):
    """The float landmark models as packages: ``full`` and ``lite``."""
    out = tmp_path_factory.mktemp("packages")

    def make(model):
        return make_float_package(
            Making(
                model=models_dir / f"{model}.tflite",
                task="hands",
                photos=tuple(photos),
                helpers={"palm": models_dir / f"{PALM}.tflite"},
                out=out,
                name=model.replace("_", "-"),
                version="1-float",
                licence=known(model)[0].licence,
            )
        )

    return {"full": make(LANDMARK), "lite": make(LANDMARK_LITE)}
