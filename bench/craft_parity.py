"""Every legal cut, and random pairs of cuts, of real models against the whole, byte for byte.

Each kernel path is checked in a child process: an engine, its delegate on or off, and the threads of device and
worker. Paths whose fingerprints are equal must be exact; where they differ the agreement is measured and said.

    python -m bench.craft_parity --out parity.json
    python -m bench.craft_parity --out some.json --model hand_landmark_lite.tflite --pairs 10 --every 8
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.setup import REPOSITORY, cache_dir
from inference.errors import InferenceError
from inference.parity import KernelPath, Pair, ParityReport, cut_pairs, random_pairs
from inference.parity_child import parity_in_child
from inference.runtimes.options import RuntimeOptions
from inference.split import SplitModel, split_model

SEED = 20
PAIRS = 50
BATCH = 24  # pairs a child: one that hangs costs no more than this
BATCH_TIMEOUT_S = 600.0
_LARGE_INPUT_BYTES = 400_000
_TEXT_SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "det": {"x": (1, 3, 320, 320)},
    "rec": {"x": (1, 3, 48, 320)},
}


@dataclass(frozen=True, kw_only=True)
class Places:
    """Two places of one check, with the words for its row."""

    words: str
    device: KernelPath
    worker: KernelPath


def _same(words: str, runtime: str, options: RuntimeOptions, threads: tuple[int, int]) -> Places:
    device, worker = (KernelPath(runtime=runtime, options=options, threads=count) for count in threads)
    return Places(words=f"{words}, {threads[0]} and {threads[1]} threads", device=device, worker=worker)


_THREADS = ((1, 1), (2, 2), (1, 2))
_XNNPACK, _PLAIN = RuntimeOptions(), RuntimeOptions(delegates=())
TFLITE_PATHS = (
    *(_same("XNNPACK", "litert", _XNNPACK, threads) for threads in _THREADS),
    *(_same("plain kernels", "litert", _PLAIN, threads) for threads in _THREADS),
    Places(
        words="XNNPACK and plain kernels",
        device=KernelPath(options=_XNNPACK),
        worker=KernelPath(options=_PLAIN),
    ),
)
ONNX_PATHS = (
    *(_same("unoptimised", "onnx", RuntimeOptions(optimisation="none"), threads) for threads in _THREADS),
    Places(
        words="unoptimised and optimised",
        device=KernelPath(runtime="onnx", options=RuntimeOptions(optimisation="none")),
        worker=KernelPath(runtime="onnx"),
    ),
)


def default_models() -> list[Path]:
    """The models that are on this machine: imported ones and those of the shared data."""
    folders = (cache_dir(os.environ) / "models", REPOSITORY.parent / "shared" / "data" / "models")
    return sorted(
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix in (".tflite", ".onnx")
    )


def measure(
    models: Sequence[Path] = (),
    *,
    pairs: int = PAIRS,
    every: int = 1,
    progress: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Check each model on each kernel path. ``every`` takes only each such cut, for a quick look."""
    rows = [row for path in models or default_models() for row in _rows(path, pairs, every, progress)]
    exact = [row for row in rows if row["one_path"] and not row["refused"]]
    return {
        "parity": rows,
        "one_path_exact": all(
            row["exact"] == row["cuts"] and row["pairs_exact"] == row["pairs"] for row in exact
        ),
        "one_path_rows": len(exact),
        "refused": sorted({row["model"] for row in rows if row["refused"]}),
    }


def _rows(path: Path, pairs: int, every: int, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    shapes = next((dict(row) for word, row in _TEXT_SHAPES.items() if word in path.stem.split("_")), None)
    try:
        split = split_model(path.read_bytes(), shapes=shapes)
    except InferenceError as error:
        progress(f"{path.stem}: refused")
        yield _row(path, "", "", ParityReport(), ParityReport(), refused=str(error))
        return
    singles = cut_pairs(split.cuts)[::every]
    drawn = random_pairs(split.cuts, count=pairs, seed=SEED)
    for places in TFLITE_PATHS if split.flow.file_format == "tflite" else ONNX_PATHS:
        reports = [_checked(path, some, places, shapes, split) for some in (singles, drawn)]
        row = _row(
            path,
            _kind(split),
            places.words,
            *reports,
            refused="; ".join(filter(None, (r.refused for r in reports))),
        )
        progress(
            f"{path.stem}, {places.words}: {row['exact']} of {row['cuts']} cuts, "
            f"{row['pairs_exact']} of {row['pairs']} pairs exact"
        )
        yield row


def _checked(
    path: Path,
    pairs: Sequence[Pair],
    places: Places,
    shapes: Mapping[str, tuple[int, ...]] | None,
    split: SplitModel,
) -> ParityReport:
    """One report over batches, each in a child of its own."""
    large = sum(split.flow.tensors[index].payload_bytes for index in split.flow.inputs) > _LARGE_INPUT_BYTES
    reports = [
        parity_in_child(
            path,
            pairs[first : first + BATCH],
            device=places.device,
            worker=places.worker,
            shapes=shapes,
            canary_count=1 if large else 2,
            timeout_s=BATCH_TIMEOUT_S,
        )
        for first in range(0, len(pairs), BATCH)
    ]
    stock = [report.stock_difference for report in reports if report.stock_difference is not None]
    return ParityReport(
        pairs=sum(report.pairs for report in reports),
        exact=sum(report.exact for report in reports),
        max_difference=max((report.max_difference for report in reports), default=0.0),
        stock_difference=max(stock, default=None),
        fingerprints=next((report.fingerprints for report in reports if report.fingerprints), ()),
        refused="; ".join(sorted({report.refused for report in reports} - {""})),
    )


def _row(
    path: Path, kind: str, words: str, cuts: ParityReport, pairs: ParityReport, *, refused: str
) -> dict[str, Any]:
    fingerprints = [value[:16] for value in cuts.fingerprints]
    return {
        "model": path.stem,
        "kind": kind,
        "path": words,
        "cuts": cuts.pairs,
        "exact": cuts.exact,
        "pairs": pairs.pairs,
        "pairs_exact": pairs.exact,
        "max_difference": max(cuts.max_difference, pairs.max_difference),
        "stock_difference": cuts.stock_difference,
        "fingerprints": fingerprints,
        "one_path": len(set(fingerprints)) == 1,
        "refused": refused,
    }


def _kind(split: SplitModel) -> str:
    produced = [split.flow.tensors[index].dtype for op in split.flow.operators for index in op.outputs]
    share = sum(dtype in ("int8", "uint8") for dtype in produced) / len(produced)
    return f"{split.flow.file_format} {'int8' if share > 0.5 else 'float'}"


def main() -> int:
    """Run alone; 0 when every cut on one kernel path was exact."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file for the result")
    parser.add_argument("--model", type=Path, action="append", default=[], help="only these model files")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="random pairs of cuts for each model")
    parser.add_argument("--every", type=int, default=1, help="check only each such cut")
    chosen = parser.parse_args()
    found = measure(
        chosen.model,
        pairs=chosen.pairs,
        every=chosen.every,
        progress=lambda line: print(line, file=sys.stderr),
    )
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["one_path_exact"] else 1


if __name__ == "__main__":
    sys.exit(main())
