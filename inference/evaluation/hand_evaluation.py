"""Shell that carries out one evaluation of the hand task: opens the models, scores float, then int8.

Says nothing itself: what happens goes to the ``Watch`` it is given.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from inference.errors import QuantiseRefusedError
from inference.evaluation.int8 import Int8Model, given, made
from inference.evaluation.oracle import ReferencePhoto, ReferenceVideo
from inference.evaluation.score_hands import Figures, HandModels, score_photos, score_videos
from inference.runtimes.base import Model
from inference.runtimes.registry import open_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What to evaluate.

    ``int8``: a quantised landmark model, else one is made from the float one, calibrated with the photos of
    the folder ``calibration`` or with a part of the scored photos. ``float_only``: no int8 at all.
    """

    palm: Path
    landmark: Path
    photos: tuple[ReferencePhoto, ...]
    videos: tuple[ReferenceVideo, ...] = ()
    int8: Path | None = None
    calibration: Path | None = None
    float_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who looks on: hears of steps in words, of every scored photo and of every scored frame."""

    step: Callable[[str], None]
    photo: Callable[[], None]
    frame: Callable[[], None]


def evaluate(evaluation: Evaluation, *, watch: Watch) -> Figures:
    """Figures under ``float``, ``int8`` and ``video``; a refused int8 model has its reasons instead.

    Raises:
        InferenceError: a model, photo or video cannot be used.
    """
    runtime = open_runtime("litert")
    with ExitStack() as stack:

        def load(path: Path) -> Model:
            return stack.enter_context(closing(runtime.load(path, threads=1)))

        palm, landmark = load(evaluation.palm), load(evaluation.landmark)
        into = Path(stack.enter_context(TemporaryDirectory()))
        refusal: Figures = {}
        int8: Int8Model | None = None
        try:
            int8 = _int8_model(evaluation, palm=palm, into=into, step=watch.step)
        except QuantiseRefusedError as error:
            refusal = {"int8": {"refused": [reason.advice for reason in error.reasons]}}
        models = HandModels(palm=palm, landmark=landmark, int8=load(int8.path) if int8 else None)
        return _scored(evaluation, models, int8=int8, watch=watch) | refusal


def _int8_model(
    evaluation: Evaluation, *, palm: Model, into: Path, step: Callable[[str], None]
) -> Int8Model | None:
    if evaluation.float_only:
        return None
    photos = [photo.path for photo in evaluation.photos]
    if evaluation.int8:
        return given(evaluation.int8, photos=photos)
    return made(
        evaluation.landmark,
        palm=palm,
        photos=photos,
        calibration=evaluation.calibration,
        into=into,
        tell=step,
    )


def _scored(evaluation: Evaluation, models: HandModels, *, int8: Int8Model | None, watch: Watch) -> Figures:
    held_back = int8.held_back if int8 else frozenset[str]()
    figures: Figures = {
        **score_photos(evaluation.photos, models=models, held_back=held_back, advance=watch.photo)
    }
    if int8:
        figures["int8"] |= int8.origin
    if evaluation.videos:
        figures["video"] = score_videos(evaluation.videos, models=models, advance=watch.frame)
    return figures
