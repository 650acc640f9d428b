"""What the gate says of good and of broken int8 models: ours, others', and ours spoiled on purpose.

Every candidate is a file that goes through ``inference.packages.verify`` as ``headway model verify`` does it, on photos that
nothing was calibrated on.

    python -m bench.craft_gate --out gate.json
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headway.photos import present
from headway.setup import REPOSITORY, cache_dir
from inference.errors import InferenceError, QuantiseRefusedError
from inference.packages.making import engine_of, load_helpers
from inference.packages.verify import Pair, verify
from inference.packages.zoo import fetch
from inference.quantize.float_ends import FloatEnds
from inference.quantize.photo_samples import PhotoSamples
from inference.quantize.photo_sources import photo_paths, read_shown
from inference.quantize.quantizer import Int8Writer
from inference.quantize.search import QuantiseConfig, quantise
from inference.quantize.tasks import QUANTISE_TASKS, quantise_task, sample_shown
from inference.tflite.graph import read_graph

DATA = REPOSITORY.parent / "shared" / "data"
HANDS = quantise_task("hands")
_CALIBRATION_SHARE = 0.6
_CALIBRATION_INPUTS = 48
_PRESENCE, _HANDEDNESS = 1, 2
# What a search found once, for what is spoiled where a search finds nothing.
KNOWN_ENDS = FloatEnds(stem=5, tail=9, heads=(1, 2, 2, 4))
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A candidate, what the gate must say of it, and words of which one must be among the reasons."""

    name: str
    pair: Pair
    task: str
    shown: Sequence[Path]
    expected: str = "refused"
    because: tuple[str, ...] = ()


def measure(*, progress: Tell = lambda _line: None) -> dict[str, Any]:
    """Judge every case that this machine has the models and photos for."""
    with tempfile.TemporaryDirectory(prefix="headway-gate-") as folder:
        cases, rows = _hand_cases(Path(folder), progress)
        cases += _foreign_cases()
        rows += [_judged(case, progress) for case in cases]
    return {"gate": rows, "as_expected": all(row["as_expected"] for row in rows)}


def _judged(case: Case, progress: Tell) -> dict[str, Any]:
    started = time.monotonic()
    verdict = verify(case.pair, shown=case.shown, task=QUANTISE_TASKS[case.task], tell=lambda _step: None)
    words = sorted({reason.word for reason in verdict.reasons})
    outcome = "accepted" if verdict.accepted else "refused"
    met = outcome == case.expected and (not case.because or bool(set(case.because) & set(words)))
    progress(f"{case.name}: {outcome} {' '.join(words)}")
    return {
        "case": case.name,
        "expected": case.expected,
        "because_of_any": list(case.because),
        "outcome": outcome,
        "reasons": words,
        "as_expected": met,
        "seconds": round(time.monotonic() - started, 2),
        "verdict": verdict.view(),
    }


def _hand_cases(folder: Path, progress: Tell) -> tuple[list[Case], list[dict[str, Any]]]:
    """Our int8 hand model, and the ways to spoil it; a row at once where ours cannot be made."""
    models = fetch("hands", cache_dir(os.environ) / "models")
    original, helpers = models["hand_landmark_full"], {"palm": models["palm_detection_full"]}
    photos = photo_paths(DATA / "hands") if DATA.is_dir() else tuple(present(cache_dir(os.environ)))
    count = max(3, round(_CALIBRATION_SHARE * len(photos)))
    shown = photos[count:] or photos[-1:]
    samples = _samples(original, helpers, photos[:count])

    def case(name: str, candidate: Path, *because: str) -> Case:
        pair = Pair(candidate=candidate, original=original, helpers=helpers)
        return Case(name=name, pair=pair, task="hands", shown=shown, because=because)

    rows: list[dict[str, Any]] = []
    ours, ends = _ours(folder, original, samples, rows, progress)
    spoiled = _Spoiler(folder, original, samples)
    garbage = folder / "garbage.tflite"
    garbage.write_bytes(original.read_bytes()[:100_000])
    broken = ("collapsed_values", "disagrees")
    dead = ("dead_scores", "flipped_decisions")
    cases = [
        case("every operator of the hand model in int8", spoiled.made(FloatEnds(stem=0, tail=0)), *dead),
        case("its score heads in int8", spoiled.made(_with_int8_scores(ends)), *dead),
        # Behind a float stem wrong scales do no harm to this model, and the gate rightly lets it pass.
        case("calibrated on inputs 255 times too large", spoiled.made(replace(ends, stem=0), 255.0), *broken),
        case(
            "calibrated on inputs 255 times too small", spoiled.made(replace(ends, stem=0), 1 / 255), *broken
        ),
        case("the float16 original quantised to nothing", original, "no_int8"),
        case("a file cut off", garbage, "does_not_run"),
    ]
    good = [case("our int8 hand model", ours)] if ours else []
    if DATA.is_dir():
        # What the two miscalibrated ones are but for their scales; a handful of photos could not judge it.
        good.append(case("its stem in int8, calibrated rightly", spoiled.made(replace(ends, stem=0))))
    return [*(replace(one, expected="accepted") for one in good), *cases], rows


def _ours(
    folder: Path, original: Path, samples: list[PhotoSamples], rows: list[dict[str, Any]], progress: Tell
) -> tuple[Path | None, FloatEnds]:
    started = time.monotonic()
    # Speed is judged once, when the finished file stands before the gate.
    config = QuantiseConfig(speed_turns=0)
    try:
        made = quantise(
            original,
            photos=samples,
            rules=HANDS.rules,
            runtime=engine_of(original),
            config=config,
            tell=progress,
        )
    except QuantiseRefusedError as error:
        words = sorted({reason.word for reason in error.reasons})
        rows.append(
            {
                "case": "our int8 hand model",
                "expected": "accepted",
                "because_of_any": [],
                "outcome": "refused",
                "reasons": words,
                "as_expected": False,
                "seconds": round(time.monotonic() - started, 2),
                "verdict": None,
            }
        )
        return None, KNOWN_ENDS
    path = folder / "ours.tflite"
    path.write_bytes(made.content)
    return path, made.ends


def _with_int8_scores(ends: FloatEnds) -> FloatEnds:
    """The same, but the operators of presence and handedness."""
    heads = list(ends.heads or KNOWN_ENDS.heads)
    heads[_PRESENCE] = heads[_HANDEDNESS] = 0
    return replace(ends, tail=max(ends.tail, KNOWN_ENDS.tail), heads=tuple(heads))


class _Spoiler:
    """Makes int8 versions of a model that are wrong in one way."""

    def __init__(self, folder: Path, original: Path, samples: Sequence[PhotoSamples]) -> None:
        self._folder = folder
        self._graph = read_graph(original)
        found = [array for photo in samples for array in photo.found]
        self._calibration = found[:: -(-len(found) // _CALIBRATION_INPUTS)]
        self._made = 0

    def made(self, ends: FloatEnds, scale: float = 1.0) -> Path:
        """A file with these float operators, calibrated on inputs times ``scale``."""
        inputs = [np.multiply(array, np.float32(scale)) for array in self._calibration]
        with closing(Int8Writer(self._graph, calibration=inputs)) as writer:
            content = writer.write(keep_float=ends.operators(writer.count, writer.cones))
            self._made += 1
            path = self._folder / f"spoiled_{self._made}.tflite"
            path.write_bytes(writer.finished(content))
        return path


def _samples(original: Path, helpers: dict[str, Path], photos: Sequence[Path]) -> list[PhotoSamples]:
    with ExitStack() as stack:
        model = stack.enter_context(closing(engine_of(original).load(original, threads=1)))
        loaded = load_helpers(stack, helpers)
        return sample_shown(read_shown(photos), HANDS, model=model, helpers=loaded, seed=0)


def _foreign_cases() -> list[Case]:
    """Models of others, where they lie beside the repository."""
    if not DATA.is_dir():
        return []
    models, shown = DATA / "models", photo_paths(DATA / "objects")
    broken = Pair(
        candidate=models / "yolox_nano_int8_quantize.tflite",
        original=models / "yolox_nano_float16_quantize.tflite",
        helpers={},
    )
    return [
        Case(
            name="yolox_nano_int8_quantize",
            pair=broken,
            task="detect",
            shown=shown,
            because=("collapsed_boxes",),
        )
    ]


def main() -> int:
    """Run alone; 0 when every verdict is the expected one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file for the result")
    chosen = parser.parse_args()
    try:
        found = measure(progress=lambda line: print(line, file=sys.stderr))
    except InferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["as_expected"] else 1


if __name__ == "__main__":
    sys.exit(main())
