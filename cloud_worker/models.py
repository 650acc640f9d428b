"""Shell: model files of a folder, opened with the chosen engine.

Files are found by the names under which the models are published, with the engine's suffix. Every slot opens
its own copies, because a model belongs to one thread; digests are taken once. Packages of the task in the same
folder, or in ``packages`` below it, are answered in parts only.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cloud_worker.answerers import Answerer, HandsAnswerer, NullAnswerer
from cloud_worker.errors import WorkerConfigError
from cloud_worker.part_models import packaged_models, part_models
from cloud_worker.proofs import Proofs, prove_in_child
from cloud_worker.split_answerer import EitherWay, SplitAnswerer
from inference.errors import InferenceError
from inference.parity.check import KernelPath
from inference.runtimes.base import Runtime
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import RUNTIMES, WORDS, open_runtime, row_of
from inference.tasks.hands import HandsConfig
from schemas.messages import Frame, Task

NULL = "null"
RUNTIME_NAMES = tuple(WORDS)

HAND_FILES = {"palm": "palm_detection", "landmark": "hand_landmark"}
VARIANTS = ("full", "lite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kitchen:
    """What the worker can answer and how to make the answerers of one slot."""

    make_answerers: Callable[[], Mapping[Task, Answerer]]
    kinds: Mapping[Task, tuple[type[Frame], ...]]
    digests: Mapping[Task, bytes]
    runtimes: Mapping[str, str]
    takes_time: bool = True  # False: answered on the reactor's thread
    parts: Proofs | None = None  # the models of which parts are answered

    @property
    def kernels(self) -> dict[str, str]:
        """Fingerprints of the kernels that compute the models of which parts are answered, by hex digest."""
        models = {} if self.parts is None else self.parts.models
        return {digest.hex(): model.kernel for digest, model in models.items()}


def null_kitchen(tasks: tuple[Task, ...], *, reply_bytes: int) -> Kitchen:
    """A worker that computes nothing."""
    return Kitchen(
        make_answerers=lambda: {task: NullAnswerer(reply_bytes=reply_bytes) for task in tasks},
        kinds=dict.fromkeys(tasks, (Frame,)),
        digests={},
        runtimes={NULL: "1"},
        takes_time=False,
    )


def hands_kitchen(
    folder: Path,
    *,
    runtime: str,
    max_hands: int,
    max_pixels: int,
    clock_ns: Callable[[], int],
    providers: tuple[str, ...] = (),
    threads: int = 1,
    variant: str = "full",
    conversions: Path | None = None,
) -> Kitchen:
    """The hand task with the models of a folder.

    ``conversions``: where an engine that reads another format keeps what it converted, so that neither a further slot
    nor the next start converts the same model again.

    Raises:
        WorkerConfigError: the engine is missing or a model file is absent; names the fix.
    """
    suffixes = RUNTIMES[row_of(runtime)].suffixes
    files = _hand_files(folder, variant=variant, suffixes=suffixes)
    options = RuntimeOptions(providers=providers)
    try:
        engine = open_runtime(row_of(runtime), options=replace(options, conversions=conversions))
        # which parts there are is chosen over the wire: kept, they would fill the disk
        part_engine = open_runtime(row_of(runtime), options=options)
    except InferenceError as error:
        raise WorkerConfigError(str(error)) from error
    digest = hashlib.sha256(files["landmark"].read_bytes()).digest()
    config = HandsConfig(max_hands=max_hands)
    where = KernelPath(runtime=row_of(runtime), options=options, threads=threads)
    packaged = packaged_models(folder, task=Task.HANDS.name.lower(), suffixes=suffixes)
    parts = Proofs(
        part_models([files["landmark"], *packaged], runtime=part_engine, threads=threads),
        prove=partial(prove_in_child, where=where),
        clock_ns=clock_ns,
    )

    def make() -> dict[Task, Answerer]:
        whole = _hands(
            engine,
            files,
            digest=digest,
            threads=threads,
            max_pixels=max_pixels,
            clock_ns=clock_ns,
            config=config,
        )
        split = SplitAnswerer(
            parts, runtime=part_engine, threads=threads, max_subjects=max_hands, clock_ns=clock_ns
        )
        return {Task.HANDS: EitherWay(whole=whole, parts=split)}

    return Kitchen(
        make_answerers=make,
        kinds={Task.HANDS: (Frame,)},
        digests={Task.HANDS: digest},
        runtimes={engine.name: engine.version},
        parts=parts,
    )


def _hand_files(folder: Path, /, *, variant: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The model file of every part of the hand task; refuses a variant or a folder without one."""
    if variant not in VARIANTS:
        raise WorkerConfigError(f"no variant {variant!r} of the hand models: choose {' or '.join(VARIANTS)}")
    files = {part: _file(folder, f"{name}_{variant}", suffixes=suffixes) for part, name in HAND_FILES.items()}
    if absent := [str(path) for path in files.values() if not path.is_file()]:
        raise WorkerConfigError(
            f"no model file {' and '.join(absent)}: pass the folder that holds it with --models, "
            f"or choose another --runtime"
        )
    return files


def _file(folder: Path, name: str, /, *, suffixes: tuple[str, ...]) -> Path:
    """The first file of this name that the engine can open; the likeliest one where there is none."""
    files = [folder / f"{name}{suffix}" for suffix in suffixes or ("",)]
    return next((path for path in files if path.is_file()), files[0])


def _hands(
    engine: Runtime,
    files: Mapping[str, Path],
    *,
    digest: bytes,
    threads: int,
    max_pixels: int,
    clock_ns: Callable[[], int],
    config: HandsConfig,
) -> HandsAnswerer:
    try:
        return HandsAnswerer(
            palm=engine.load(files["palm"], threads=threads),
            landmark=engine.load(files["landmark"], threads=threads),
            model_digest=digest,
            max_pixels=max_pixels,
            clock_ns=clock_ns,
            config=config,
        )
    except InferenceError as error:
        raise WorkerConfigError(f"cannot use the models of this folder: {error}") from error
