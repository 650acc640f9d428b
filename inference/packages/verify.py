"""Shell: put a pair of model files before the gate, an int8 candidate beside its float original.

The candidate runs in a child process first; one that crashes or hangs there is refused, and harms nobody. Inputs
are cut out of photos by the task's own code with the float original; they should share no photo with those that the
candidate was calibrated on, which only its maker knows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from inference.child import open_in_child
from inference.errors import InferenceError
from inference.gate.int8_share import int8_share
from inference.gate.verdict import GateLimits, Structure, Verdict, judge, refusal
from inference.packages.making import engine_of, load_helpers
from inference.quantize.photo_sources import read_shown
from inference.quantize.tasks import PLAIN_IMAGES, QuantiseTask, sample_shown
from inference.refusals import Reason
from inference.runtimes.base import Array, Model

_MAX_SAMPLES = 200
_MAX_ANSWER_BYTES = 256 * 2**20  # of each side: a detector answers some megabytes a photo


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A candidate and the float original it stands in for; ``helpers``: role → model file that cuts inputs."""

    candidate: Path
    original: Path
    helpers: Mapping[str, Path]


def verify(
    pair: Pair,
    /,
    *,
    shown: Sequence[Path],
    tell: Callable[[str], None],
    task: QuantiseTask = PLAIN_IMAGES,
    limits: GateLimits | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge a candidate on photos and videos; ``tell`` hears each step in words.

    Raises:
        InferenceError: the original or a photo cannot be used, or nothing was found to judge by.
    """
    engine, own = engine_of(pair.original), engine_of(pair.candidate)
    tell("opening the candidate in a child process")
    child = open_in_child(pair.candidate, runtime=own.name)
    if not child.passed:
        return refusal(Reason("does_not_run", f"in a child process it {child.outcome}: {child.detail}"))
    in_int8, operators = int8_share(pair.candidate.read_bytes())
    structure = Structure(
        int8_operators=in_int8,
        operators=operators,
        new_bytes=pair.candidate.stat().st_size,
        old_bytes=pair.original.stat().st_size,
    )
    with ExitStack() as stack:
        original = stack.enter_context(closing(engine.load(pair.original, threads=1)))
        candidate = stack.enter_context(closing(own.load(pair.candidate, threads=1)))
        helpers = load_helpers(stack, pair.helpers)
        tell(f"cutting inputs out of {len(shown)} photos and videos")
        groups = sample_shown(read_shown(shown), task, model=original, helpers=helpers, seed=seed)
        samples: list[Array] = [array for group in groups for array in group.inputs]
        if not any(group.found for group in groups):
            msg = "none of the photos shows what the task looks for: pass others"
            raise InferenceError(msg)
        samples = samples[:: -(-len(samples) // _most_samples(original))]
        tell(f"judging on {len(samples)} inputs")
        return judge(
            original,
            candidate,
            samples=samples,
            rules=task.rules,
            structure=structure,
            limits=limits or GateLimits(),
        )


def _most_samples(model: Model) -> int:
    answer_bytes = sum(4 * math.prod(abs(size) for size in spec.shape) for spec in model.outputs())
    return max(1, min(_MAX_SAMPLES, _MAX_ANSWER_BYTES // max(1, answer_bytes)))
