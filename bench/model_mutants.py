"""Thousands of broken model files through our readers and the engines, in children that may die of them.

    python -m bench.model_mutants --out mutants.json
    python -m bench.model_mutants --out some.json --files 300 --keep found

Each file must end as a refusal with a reason, or as a model that still works. Our own readers may not raise anything
else, crash, hang, or take more memory than they are allowed; an engine may, because it does so in a child. Exits 1
where a reader did.
"""

import argparse
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bench.model_mutator import ModelMutant, ModelMutator
from bench.model_seeds import seeds, whole_seeds
from bench.model_trial import READER_STAGES
from headway.setup import REPOSITORY, cache_dir
from inference.confinement import child_environment

FILES = 5000
READER_LIMIT_S, ENGINE_LIMIT_S, START_LIMIT_S = 20.0, 10.0, 60.0
READER_CPU_LIMIT_MS = 5000.0
READER_LIMIT_MB = 300.0
CHILD_LIFE = 500  # files; engines leak
_SHOWN_REASONS = 60


class Child:
    """A trial process; ``ask`` gives how a file ended, also where the process ended with it."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pending = b""
        self._asked = 0
        self.started = 0

    def ask(self, mutant: ModelMutant) -> dict[str, Any]:
        """Try one file."""
        if self._process is None or self._asked >= CHILD_LIFE:
            self._start()
        self._asked += 1
        process = self._process
        head = {"bytes": len(mutant.data), "suffix": mutant.suffix, "number": mutant.number}
        with contextlib.suppress(
            BrokenPipeError
        ):  # it died after its last answer; the wait below says of what
            process.stdin.write(json.dumps(head).encode() + b"\n" + mutant.data)
            process.stdin.flush()
        stage = READER_STAGES[0]
        while True:
            line = self._line(READER_LIMIT_S if stage in READER_STAGES else ENGINE_LIMIT_S)
            if line is None:
                code = self.close()
                outcome = "hung" if code is None else "crashed"
                reason = "no answer in time" if code is None else _death(code)
                return {"outcome": outcome, "at": stage, "reason": reason, "error": ""}
            if "outcome" in line:
                return line
            stage = line["stage"]

    def close(self) -> int | None:
        """End the process; its exit code, or None where it had not ended by itself."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        try:
            code: int | None = process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # what it had not read is lost with it
            process.stdin.close()
        return code

    def _start(self) -> None:
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.model_trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env=child_environment(os.environ),
        )
        self._pending, self._asked = b"", 0
        self.started += 1
        if self._line(START_LIMIT_S) is None:
            raise RuntimeError(
                "the trial process does not start: run `python -m bench.model_trial` to see why"
            )

    def _line(self, limit_s: float) -> dict[str, Any] | None:
        """The next line of the process; None where it ended or said nothing in time."""
        until = time.monotonic() + limit_s
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([descriptor], [], [], max(until - time.monotonic(), 0))
            piece = os.read(descriptor, 1 << 16) if ready else b""
            if not piece:
                return None
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return dict(json.loads(line))


def _death(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@dataclass(slots=True)
class Report:
    """What became of all files; ``findings`` must stay empty."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    families: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    formats: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    findings: list[str] = field(default_factory=list)
    slowest_reader_ms: float = 0.0
    most_reader_mb: float = 0.0

    def count(self, mutant: ModelMutant, row: dict[str, Any]) -> bool:
        """Count one file; True where it is a finding."""
        in_reader = row["at"] in READER_STAGES
        place = "a reader" if in_reader else "the engine"
        outcome = {"crashed": f"{place} crashed in the child", "hung": f"{place} hung in the child"}.get(
            row["outcome"], row["outcome"]
        )
        self.outcomes[outcome] += 1
        self.families[mutant.family][outcome] += 1
        self.formats[mutant.suffix][outcome] += 1
        if row["outcome"] != "accepted":
            self.reasons[f"{row['at']}: {_plain(row['reason'] or row['error'])}"] += 1
        spent_ms, taken_mb = row.get("reader_cpu_ms", 0.0), row.get("reader_mb", 0.0)
        self.slowest_reader_ms = max(self.slowest_reader_ms, spent_ms)
        self.most_reader_mb = max(self.most_reader_mb, taken_mb)
        dear = spent_ms > READER_CPU_LIMIT_MS or taken_mb > READER_LIMIT_MB
        found = row["outcome"] == "raised" or (in_reader and row["outcome"] in ("crashed", "hung")) or dear
        if found:
            self.findings.append(
                f"file {mutant.number} ({mutant.seed}, {mutant.family}): {row['outcome']} at {row['at']}, "
                f"{row['error']} {row['reason'][:160]} ({spent_ms:.0f} ms, {taken_mb:.0f} MB)"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "files": sum(self.outcomes.values()),
            "outcomes": dict(self.outcomes.most_common()),
            "formats": {name: dict(row) for name, row in sorted(self.formats.items())},
            "families": {name: dict(row) for name, row in sorted(self.families.items())},
            "reasons_different": len(self.reasons),
            "reasons": dict(self.reasons.most_common(_SHOWN_REASONS)),
            "slowest_reader_ms": round(self.slowest_reader_ms, 1),
            "most_reader_mb": round(self.most_reader_mb, 1),
            "findings": self.findings,
        }


def _plain(reason: str) -> str:
    """A reason without names and numbers, so that equal ones count together."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|b'[^']*'", "…", reason)
    return re.sub(r"-?\d[\d.e+]*", "#", text)[:110]


def default_folders() -> list[Path]:
    """Imported models, and those of the shared data where it is there."""
    folders = (cache_dir(os.environ) / "models", REPOSITORY.parent / "shared" / "data" / "models")
    return [folder for folder in folders if folder.is_dir()]


def measure(
    *,
    files: int = FILES,
    seed: int = 1,
    jobs: int = 0,
    folders: Sequence[Path] = (),
    keep: Path | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Break and try ``files`` files in ``jobs`` children; ``keep`` gets the files of findings."""
    places = list(folders) or default_folders()
    mutator = ModelMutator(seeds(places), large=whole_seeds(places), seed=seed)
    report, lock, children = Report(), threading.Lock(), []
    jobs = jobs or min(os.cpu_count() or 1, 4)
    before_bytes = psutil.Process().memory_info().rss
    began_s = time.perf_counter()

    def work(first: int, child: Child) -> None:
        for number in range(first, files, jobs):
            with lock:  # generators of mutants share what they know of the good files
                mutant = mutator.mutant(number)
            row = child.ask(mutant)
            with lock:
                if report.count(mutant, row) and keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{number}{mutant.suffix}").write_bytes(mutant.data)
                tell(
                    f"{sum(report.outcomes.values())} of {files} broken files, {len(report.findings)} findings"
                )
        child.close()

    threads = []
    for first in range(jobs):
        children.append(Child())
        threads.append(threading.Thread(target=work, args=(first, children[-1])))
        threads[-1].start()
    for thread in threads:
        thread.join()
    found = report.as_dict()
    return found | {
        "seed": seed,
        "good_files": sorted(mutator.names),
        "children_started": sum(child.started for child in children),
        "parent_grew_mb": round((psutil.Process().memory_info().rss - before_bytes) / 1e6, 1),
        "seconds": round(time.perf_counter() - began_s, 1),
        "passed": found["files"] == files and not report.findings,
    }


def main() -> int:
    """Run alone; 0 when every file ended as it must."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file for the result")
    parser.add_argument("--files", type=int, default=FILES, help="how many broken files")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed breaks the same files the same way"
    )
    parser.add_argument("--jobs", type=int, default=0, help="children at a time; 0: one a core, at most 4")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    chosen = parser.parse_args()
    with Console(stderr=True).status("begins") as status:
        found = measure(
            files=chosen.files, seed=chosen.seed, jobs=chosen.jobs, keep=chosen.keep, tell=status.update
        )
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(
        json.dumps(
            {key: found[key] for key in ("files", "outcomes", "seconds", "findings", "passed")}, indent=1
        )
    )
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
