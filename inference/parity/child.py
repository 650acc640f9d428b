"""Shell: check parity in a child process, so that a part that crashes the engine harms nobody.

Run as a module it is that child: it reads one JSON question from its input and answers with one JSON line, after
one line for every pair it began, so that a crash names its pair.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.confinement import child_environment, confine
from inference.parity.check import KernelPath, Pair, ParityReport, Places, check_places
from inference.parity.fingerprint import CANARY_COUNT
from inference.runtimes.options import RuntimeOptions

DEFAULT_TIMEOUT_S = 120.0
MODULE = "inference.parity.child"
_MAX_DETAIL = 300
_ANSWER, _PAIR = "answer", "pair"


def parity_in_child(
    model: Path,
    pairs: Sequence[Pair],
    /,
    *,
    device: KernelPath,
    worker: KernelPath | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    canary_count: int = CANARY_COUNT,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    niceness: int = 0,
) -> ParityReport:
    """``check_parity`` on made-up canaries in a child; a crash or a hang is a refusal that names the pair.

    ``niceness``: how far the child goes after other processes.
    """
    places = Places(device=device, worker=worker or device)
    (report,) = places_in_child(
        model,
        pairs,
        [places],
        shapes=shapes,
        canary_count=canary_count,
        timeout_s=timeout_s,
        niceness=niceness,
    )
    return report


def places_in_child(
    model: Path,
    pairs: Sequence[Pair],
    places: Sequence[Places],
    /,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    canary_count: int = CANARY_COUNT,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    niceness: int = 0,
) -> tuple[ParityReport, ...]:
    """``check_places`` in a child; a crash or a hang is a refusal in all places that names the pair."""
    question = {
        "model": str(model.resolve()),
        "pairs": [list(pair) for pair in pairs],
        "places": [[_path_to_json(row.device), _path_to_json(row.worker)] for row in places],
        "canaries": canary_count,
        "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
        "cpu_s": timeout_s * (os.cpu_count() or 1),
        "niceness": niceness,
    }
    command = [sys.executable, "-m", MODULE]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(question, default=str),
            capture_output=True,
            timeout=timeout_s,
            check=False,
            text=True,
            env=child_environment(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        seen = (
            error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        )
        reason = f"gave no answer within {timeout_s:g} s and was killed"
        return (_failed(seen, reason, len(pairs)),) * len(places)
    if done.returncode == 0:
        return tuple(map(_report, json.loads(done.stdout.splitlines()[-1])[_ANSWER]))
    if done.returncode < 0:
        reason = f"killed by {signal.Signals(-done.returncode).name}"
    else:
        last = done.stderr.strip().splitlines()[-1:] or [""]
        reason = f"exit code {done.returncode}: {last[0][:_MAX_DETAIL]}"
    return (_failed(done.stdout, reason, len(pairs)),) * len(places)


def _failed(seen: str, reason: str, pairs: int) -> ParityReport:
    begun = [json.loads(line)[_PAIR] for line in seen.splitlines() if line.startswith(f'{{"{_PAIR}"')]
    where = f"pair {begun[-1][0]}, {begun[-1][1]}" if begun else "before the first pair"
    return ParityReport(
        pairs=pairs,
        refused=f"the check crashed at {where}: {reason}; check again before this placement is used",
        unfinished=True,
    )


def _report(row: dict[str, Any]) -> ParityReport:
    row["differing"] = tuple((start, end) for start, end in row["differing"])
    row["fingerprints"], row["witnesses"] = tuple(row["fingerprints"]), tuple(row["witnesses"])
    return ParityReport(**row)


def _path_to_json(path: KernelPath) -> dict[str, Any]:
    row = dataclasses.asdict(path)
    for declared in ("inputs", "outputs"):  # those of the null engine, which computes nothing to compare
        del row["options"][declared]
    return row


def _path_from_json(row: dict[str, Any]) -> KernelPath:
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row["options"].items()
    }
    if options["conversions"] is not None:
        options["conversions"] = Path(options["conversions"])
    return KernelPath(runtime=row["runtime"], options=RuntimeOptions(**options), threads=row["threads"])


def _say(kind: str, value: object) -> None:
    sys.stdout.write(json.dumps({kind: value}) + "\n")
    sys.stdout.flush()


def _main() -> int:
    question = json.load(sys.stdin)
    os.nice(question["niceness"])
    confine(cpu_s=question["cpu_s"])
    reports = check_places(
        Path(question["model"]),
        [(start, end) for start, end in question["pairs"]],
        [
            Places(device=_path_from_json(device), worker=_path_from_json(worker))
            for device, worker in question["places"]
        ],
        shapes={name: tuple(shape) for name, shape in question["shapes"].items()},
        canary_count=question["canaries"],
        before=lambda pair: _say(_PAIR, pair),
    )
    _say(_ANSWER, [dataclasses.asdict(report) for report in reports])
    return 0


if __name__ == "__main__":
    sys.exit(_main())
