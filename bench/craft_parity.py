"""Every legal cut, and random pairs of cuts, of real models against the whole, byte for byte.

Each kernel path is checked in child processes: an engine, its delegate on or off, and the threads of device and
worker. Equal fingerprints of device and worker, inner tensors included, are one kernel path, and there every byte
must be the same; where they differ the agreement is measured. All cuts run on the path that engines take by default, random pairs on every path. On the
other paths, models too large for the budget have every n-th cut tried: ``cuts`` of a row counts those that were,
``cuts_legal`` all there are, ``every`` is n.

    python -m bench.craft_parity --out parity.json
    python -m bench.craft_parity --out all.json --budget 0
    python -m bench.craft_parity --out some.json --model hand_landmark_lite.tflite --pairs 10 --every 8
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.parity_subjects import Route, Subject, model_files, subject
from bench.parity_work import Batch, Findings, Found, batches, steps_within, work_off
from inference.errors import InferenceError
from inference.parity.check import Pair, cut_pairs, random_pairs

SEED = 20
PAIRS = 50
BUDGET_S = 720.0
_BATCH_ONE_ROUTE, _BATCH_ALL_ROUTES = 160, 60
_PAIR_COSTS = 1.5  # cuts: a pair has three parts, a cut two
_MARGIN = 0.9  # of what is left: costs are estimates
_Tell = Callable[[str], None]


def measure(
    models: Sequence[Path] = (),
    *,
    pairs: int = PAIRS,
    every: int = 1,
    budget_s: float = BUDGET_S,
    packages: Path | None = None,
    progress: _Tell = lambda _line: None,
) -> dict[str, Any]:
    """Check each model on each kernel path. ``every`` takes only each such cut; a budget of 0 takes all cuts."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headway-parity-") as made:
        files = list(models) or model_files(made=Path(made), packages=packages, tell=progress)
        subjects, refused = _opened(files, progress)
        left_s = budget_s - (time.monotonic() - started) if budget_s else float("inf")
        findings, steps = _findings(subjects, pairs=pairs, every=every, budget_s=left_s, progress=progress)
        rows = [
            _row(
                row,
                route,
                findings.get((row, route.words), Found()),
                pairs=pairs,
                every=every * (1 if route is row.routes[0] else steps[row]),
            )
            for row in subjects
            for route in row.routes
        ]
    return _summary(rows, refused) | {"seconds": round(time.monotonic() - started, 1)}


def _opened(files: Sequence[Path], progress: _Tell) -> tuple[list[Subject], list[dict[str, Any]]]:
    opened = {path: _subject(path) for path in files}
    refused = [{"model": path.stem, "refused": row} for path, row in opened.items() if isinstance(row, str)]
    for row in refused:
        progress(f"{row['model']}: refused, {row['refused']}")
    return [row for row in opened.values() if isinstance(row, Subject)], refused


def _subject(path: Path) -> Subject | str:
    try:
        return subject(path)
    except InferenceError as error:
        return str(error)


def _findings(
    subjects: Sequence[Subject], *, pairs: int, every: int, budget_s: float, progress: _Tell
) -> tuple[Findings, dict[Subject, int]]:
    """Three rounds: all cuts by default, random pairs everywhere, and cuts elsewhere as far as the budget goes."""
    end = time.monotonic() + budget_s
    findings: Findings = {}
    singles = {row: cut_pairs(row.split.cuts)[::every] for row in subjects}
    drawn = {row: random_pairs(row.split.cuts, count=pairs, seed=SEED) for row in subjects}

    def run(todo: list[Batch], what: str) -> dict[Subject, float]:
        left = len(todo)

        def tell(batch: Batch) -> None:
            nonlocal left
            left -= 1
            progress(f"{what}: {batch.subject.path.stem}, {len(batch.pairs)} done, {left} batches left")

        todo.sort(key=lambda batch: -batch.subject.path.stat().st_size)  # the longest first
        return work_off(todo, findings, tell=tell)

    def cut(chosen: Mapping[Subject, Sequence[Pair]], routes: slice, size: int) -> list[Batch]:
        return [
            batch
            for row, wanted in chosen.items()
            for batch in batches(row, wanted, routes=row.routes[routes], size=size)
        ]

    run(cut(singles, slice(1), _BATCH_ONE_ROUTE), "every cut")
    seconds = run(cut(drawn, slice(None), _BATCH_ALL_ROUTES), "random pairs")
    costs = {
        row: seconds[row] / (len(drawn[row]) * _PAIR_COSTS) * len(singles[row])
        for row in seconds
        if drawn[row]
    }
    steps = steps_within(costs, _MARGIN * 2 * (end - time.monotonic()))
    steps = dict.fromkeys(subjects, 1) | steps
    thinned = {row: singles[row][:: steps[row]] for row in subjects}
    run(cut(thinned, slice(1, None), _BATCH_ALL_ROUTES), "cuts on other paths")
    return findings, steps


def _row(row: Subject, route: Route, found: Found, *, pairs: int, every: int) -> dict[str, Any]:
    legal = cut_pairs(row.split.cuts)
    cuts, exact = found.count(legal)
    drawn, pairs_exact = found.count(random_pairs(row.split.cuts, count=pairs, seed=SEED))
    return {
        "model": row.path.stem,
        "kind": row.kind,
        "path": route.words,
        "fingerprints": [value[:16] for value in found.fingerprints],
        "fingerprints_equal": len(set(found.fingerprints)) == 1,
        "one_path": len(set(found.witnesses)) == 1,
        "default_path": route is row.routes[0],
        "cuts": cuts,
        "cuts_legal": len(legal),
        "every": every,
        "exact": exact,
        "pairs": drawn,
        "pairs_exact": pairs_exact,
        "max_difference": found.max_difference,
        "max_share": found.max_share,
        "stock_difference": found.stock_difference or 0.0,
        "stock_exact": found.stock_difference is None,
        "refused": "; ".join(sorted(found.refused)),
    }


def _summary(rows: Sequence[dict[str, Any]], refused: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def is_exact(row: dict[str, Any]) -> bool:
        return bool(row["cuts"]) and row["exact"] == row["cuts"] and row["pairs_exact"] == row["pairs"]

    def named(chosen: Sequence[dict[str, Any]]) -> list[str]:
        return [f"{row['model']}, {row['path']}" for row in chosen]

    one_path = [row for row in rows if row["one_path"]]
    failed = [row for row in rows if row["refused"]]
    return {
        "parity": [*rows, *refused],
        "one_path_exact": bool(one_path) and not failed and all(map(is_exact, one_path)),
        "one_path_rows": len(one_path),
        "one_path_inexact": named([row for row in one_path if not is_exact(row)]),
        "stock_inexact_by_default": named(
            [row for row in rows if row["default_path"] and not row["stock_exact"]]
        ),
        # Outputs that are equal by chance on the canaries: why fingerprints of parts look at inner tensors too.
        "fingerprints_mistaken": named(
            [row for row in rows if row["fingerprints_equal"] and not is_exact(row)]
        ),
        "failed": named(failed),
        "refused": [row["model"] for row in refused],
    }


def main() -> int:
    """Run alone; 0 when every cut on one kernel path was exact."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file for the result")
    parser.add_argument("--model", type=Path, action="append", default=[], help="only these model files")
    parser.add_argument("--packages", type=Path, help="folder to find int8 models in instead of making them")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="random pairs of cuts for each model")
    parser.add_argument("--every", type=int, default=1, help="check only each such cut")
    parser.add_argument(
        "--budget", type=float, default=BUDGET_S, help="seconds to end in, 0: every cut on every path"
    )
    chosen = parser.parse_args()
    found = measure(
        chosen.model,
        pairs=chosen.pairs,
        every=chosen.every,
        budget_s=chosen.budget,
        packages=chosen.packages,
        progress=lambda line: print(line, file=sys.stderr),
    )
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["one_path_exact"] else 1


if __name__ == "__main__":
    sys.exit(main())
