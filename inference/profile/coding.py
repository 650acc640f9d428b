"""Shell around the clock: what packing and JPEG make of one model's tensors here, and what they cost.

Measured on the tensors of a real picture at the profiled cuts. One figure stands for all cuts of a model: that
of its less fortunate ones, so that a placement chosen with it does not promise more than most cuts keep.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial

import cv2
import numpy as np

from inference.errors import RuntimeMissingError
from inference.graph.flow import Cut, Flow
from inference.profile.picture import Picture, PictureInput, jpeg_encoder
from inference.profile.stored import InputRung, Packing
from inference.runtimes.base import Array, Runtime
from inference.split.model import SplitModel
from inference.split.packing import pack, unpack
from inference.split.placed import open_part

QUALITIES = (50, 75, 90)
_TURNS = 40
_FEW_TURNS = 5
_UNLUCKY = 0.75  # share of the cuts that pack at least as well as the figure says


def measured_packing(
    split: SplitModel, inputs: Mapping[str, Array], cuts: Sequence[Cut], /, *, runtime: Runtime
) -> Packing | None:
    """Ratio and time a byte over these cuts; None without zstandard or where no part may be sent.

    Raises:
        ModelLoadError: the engine cannot open a part.
    """
    rows = []
    for cut in cuts:
        arrays = _crossing(split, inputs, cut, runtime=runtime)
        raw_bytes = sum(array.nbytes for array in arrays)
        if not raw_bytes:
            continue
        try:
            packed = _packed(arrays, split.flow)
        except RuntimeMissingError:
            return None
        encode_ns = _median_ns(partial(_packed, arrays, split.flow), turns=_FEW_TURNS)
        decode_ns = _median_ns(partial(unpack, packed), turns=_FEW_TURNS)
        rows.append((len(packed) / raw_bytes, encode_ns / raw_bytes, decode_ns / raw_bytes))
    if not rows:
        return None
    ratio, encode, decode = np.quantile(rows, _UNLUCKY, axis=0)
    return Packing(ratio=ratio, encode_ns_per_byte=encode, decode_ns_per_byte=decode, cuts=len(rows))


def measured_rungs(
    split: SplitModel,
    way: PictureInput,
    frame: Picture,
    /,
    *,
    runtime: Runtime,
    levels: Sequence[float],
    qualities: Sequence[int] = QUALITIES,
) -> tuple[InputRung, ...]:
    """The model's input as JPEG at each quality: bytes, encoding here, decoding to the tensor here.

    ``loss`` is how far the outputs move on this picture, as a share of their range: no accuracy, yet measured.

    Raises:
        ModelLoadError: the engine cannot open the model.
    """
    picture = way.picture(frame)
    rungs = []
    with closing(open_part(split, 0, len(split.flow.operators), runtime=runtime)) as whole:
        wanted = whole.run({way.tensor.name: way.values(picture)})
        for quality in qualities:
            encode = jpeg_encoder(picture, quality=quality)
            content = encode()

            def decode(content: bytes = content) -> Array:
                flag = cv2.IMREAD_COLOR if way.channels == 3 else cv2.IMREAD_GRAYSCALE
                pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
                return way.values(np.asarray(pixels, np.uint8))

            found = whole.run({way.tensor.name: decode()})
            rungs.append(
                InputRung(
                    name=f"jpeg{quality}",
                    payload_bytes=len(content),
                    encode_ns=_quantiles_ns(encode, levels),
                    decode_ns=_quantiles_ns(decode, levels),
                    loss=_moved(wanted, found),
                )
            )
    return tuple(rungs)


def _crossing(split: SplitModel, inputs: Mapping[str, Array], cut: Cut, *, runtime: Runtime) -> list[Array]:
    """Values of what crosses a cut; none where nothing made crosses it."""
    names = [split.flow.tensors[index].name for index in cut.crossing]
    values = dict(inputs)
    if not all(name in values for name in names):
        with closing(open_part(split, 0, cut.position, runtime=runtime)) as part:
            values.update(part.run(values))
    return [values[name] for name in names]


def _packed(arrays: Sequence[Array], flow: Flow) -> bytes:
    return pack(arrays, packed=True, channels_last=flow.file_format == "tflite")


def _times_ns(work: Callable[[], object], turns: int) -> list[int]:
    times = []
    for _ in range(turns):
        started_ns = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - started_ns)
    return times


def _median_ns(work: Callable[[], object], *, turns: int) -> float:
    return float(np.median(_times_ns(work, turns)))


def _quantiles_ns(work: Callable[[], object], levels: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(_times_ns(work, _TURNS), levels))


def _moved(wanted: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    shares = []
    for name, array in wanted.items():
        values = array.astype(np.float64)
        span = max(float(np.ptp(values)), float(np.abs(values).max(initial=0)), 1e-9)
        shares.append(float(np.abs(values - found[name].astype(np.float64)).mean()) / span)
    return float(np.mean(shares))
