"""Core: the picture that is encoded while a model is profiled, and the model's input made of it.

Timing does not need real pixels, but packing and JPEG do: noise does not shrink as activations do. Models
that take no picture get made-up inputs and no figures of packing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from inference.errors import ProfileError
from inference.graph.flow import Flow, FlowTensor
from inference.parity.fingerprint import canaries_for
from inference.runtimes.base import Array

Picture = npt.NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 640, 360
_CHANNELS = (1, 3)
_DTYPES = frozenset({"float32", "float16", "int8", "uint8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInput:
    """How a model takes pictures: size in pixels, channels, where they stand, and the tensor."""

    tensor: FlowTensor
    height_px: int
    width_px: int
    channels: int
    channels_last: bool

    def picture(self, frame: Picture, /) -> Picture:
        """The frame (H, W, 3) at the model's size, (h, w, 3) or (h, w)."""
        shown = cv2.resize(frame, (self.width_px, self.height_px), interpolation=cv2.INTER_AREA)
        return np.asarray(shown if self.channels == 3 else cv2.cvtColor(shown, cv2.COLOR_BGR2GRAY), np.uint8)

    def values(self, picture: Picture, /) -> Array:
        """The picture as the model's tensor: [0, 1] in floats, quantised where the tensor is."""
        pixels = picture.reshape(1, self.height_px, self.width_px, self.channels)
        if not self.channels_last:
            pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        dtype = np.dtype(self.tensor.dtype)
        values: Array
        if dtype.kind == "f":
            values = np.multiply(pixels, np.float32(1 / 255), dtype=np.float32).astype(dtype)
            return values
        scale, zero = self.tensor.scale or 1 / 255, self.tensor.zero_point or 0
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(pixels / 255 / scale) + zero, limits.min, limits.max).astype(dtype)
        return values


def picture_input(flow: Flow, /) -> PictureInput | None:
    """How the model takes pictures; None where its inputs are something else."""
    tensors = [flow.tensors[index] for index in flow.inputs]
    if len(tensors) != 1 or len(tensors[0].shape) != 4 or tensors[0].shape[0] != 1:
        return None
    (tensor,) = tensors
    _, first, second, last = tensor.shape
    if tensor.dtype not in _DTYPES:
        return None
    if last in _CHANNELS:
        return PictureInput(
            tensor=tensor, height_px=first, width_px=second, channels=last, channels_last=True
        )
    if first in _CHANNELS:  # converted models may keep the order that they were trained in
        return PictureInput(
            tensor=tensor, height_px=second, width_px=last, channels=first, channels_last=False
        )
    return None


def model_inputs(flow: Flow, frame: Picture, /) -> Mapping[str, Array]:
    """Inputs by name: the frame where the model takes pictures, else made-up ones.

    Raises:
        GraphError: an input has a type for which none can be made.
    """
    if (way := picture_input(flow)) is not None:
        return {way.tensor.name: way.values(way.picture(frame))}
    names = [flow.tensors[index].name for index in flow.inputs]
    return dict(zip(names, canaries_for(flow, count=1)[0], strict=True))


def read_frame(path: Path | None, /) -> Picture:
    """A photo at the size of a headset's frames, (360, 640, 3) BGR; without one, a made-up scene.

    Raises:
        ProfileError: the file is no picture.
    """
    if path is None:
        return _made_frame()
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photo is None:
        raise ProfileError(f"{path} is not a picture that can be read: pass a photo with --frame")
    return np.asarray(cv2.resize(photo, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8)


def jpeg_encoder(frame: Picture, /, *, quality: int) -> Callable[[], bytes]:
    """Encodes the frame once a call, as a headset does with every frame that it sends."""

    def encode() -> bytes:
        good, content = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not good:
            raise ProfileError(f"OpenCV cannot encode a JPEG of quality {quality}: choose 1 to 100")
        return bytes(content)

    return encode


def _made_frame() -> Picture:
    """Shades, discs and grain: about the detail of a photo, the same everywhere."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    shade = 90 + 60 * np.sin(columns / 90) * np.cos(rows / 70)
    frame = np.repeat(shade[..., None], 3, axis=2)
    for number in range(12):
        inside = (rows - 30 * number) ** 2 + (columns - 53 * number) ** 2 < (20 + 4 * number) ** 2
        frame[inside] = (20 * number, 255 - 20 * number, 128)
    grain = np.random.default_rng(0).normal(0, 4, frame.shape)
    return np.clip(frame + grain, 0, 255).astype(np.uint8)
