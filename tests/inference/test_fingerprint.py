"""Kernel fingerprints: the same arithmetic has the same name, other arithmetic another."""

from contextlib import closing

import numpy as np
import pytest

from inference.errors import GraphError
from inference.graph.flow import Flow, FlowTensor
from inference.parity.fingerprint import canaries_for, digest_of, split_fingerprint
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from inference.split.model import split_model


def _flow(dtype: str) -> Flow:
    tensor = FlowTensor(name="x", shape=(2, 500), dtype=dtype)
    return Flow(file_format="tflite", tensors=(tensor,), operators=(), inputs=(0,), outputs=(0,))


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float32", 0, 1),
        ("float16", 0, 1),
        ("int8", -128, 127),
        ("uint8", 0, 255),
        ("int64", 0, 1),
        ("bool", 0, 1),
    ],
)
def test_canaries_fill_the_range_of_their_type_and_repeat_for_a_seed(dtype, low, high):
    (first,), *_ = canaries_for(_flow(dtype), seed=4)
    (again,), *_ = canaries_for(_flow(dtype), seed=4)
    (other,), *_ = canaries_for(_flow(dtype), seed=5)
    assert first.dtype.name == dtype
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert low <= first.min() < first.max() <= high
    assert len(np.unique(first)) >= min(100, high - low + 1) or dtype.startswith("float")


def test_the_first_canary_is_the_same_on_every_machine():
    """A change here makes every placement in the field unknown to its peers."""
    assert digest_of(canaries_for(_flow("float32"))).startswith("eade870668db8483")
    assert digest_of(canaries_for(_flow("int8"))).startswith("c45af090fdacb5cb")


def test_words_have_no_canaries():
    with pytest.raises(GraphError, match="bring your own"):
        canaries_for(_flow("str"))


def test_a_digest_tells_shape_and_type_apart_from_bytes():
    zeros = np.zeros(4, np.int8)
    digests = {
        digest_of([[array]]) for array in (zeros, zeros.reshape(2, 2), zeros.view(np.uint8), zeros[:2])
    }
    assert len(digests) == 4


def test_float_kernels_of_another_path_have_another_fingerprint(models_dir):
    path = models_dir / "hand_landmark_lite.tflite"
    split = split_model(path.read_bytes())
    plain = open_runtime("litert", options=RuntimeOptions(delegates=()))
    fast = open_runtime("litert")
    canaries = canaries_for(split.flow, count=1)
    one = split_fingerprint(split, runtime=fast, canaries=canaries)
    assert one == split_fingerprint(split, runtime=fast, threads=2, canaries=canaries)
    assert one != split_fingerprint(split, runtime=plain, canaries=canaries)
    with closing(fast.load(path)) as model:
        assert digest_of(map(model.run, canaries)) != one  # inner tensors count too
