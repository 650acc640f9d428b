"""Shell: the niced process in which a fetched package has to prove itself before it may answer frames.

Run as ``python -m edge_node.qualify DIR RUNTIME``: hashes every byte, opens the model in a further child (a
file that crashes the engine takes only that one down), then answers the golden vectors on this machine.
Prints one JSON line ``{"reason": …, "detail": …}``; reason null means that it passed.
"""

import json
import os
import sys
from pathlib import Path

from inference.child import open_in_child
from inference.errors import InferenceError, ModelPackageError, RuntimeMissingError
from inference.packages.golden import check_golden
from inference.packages.package import open_package
from inference.runtimes.registry import open_runtime
from schemas.states import FailureReason

NICENESS = 5
OPEN_TIMEOUT_S = 20.0


def qualify(directory: Path, *, runtime: str) -> tuple[FailureReason | None, str]:
    """Why the package may not be used here (None: it may), and a line for people."""
    try:
        package = open_package(directory)
    except ModelPackageError as error:
        return FailureReason.DIGEST_MISMATCH, str(error)
    report = open_in_child(package.model_path, runtime=runtime, timeout_s=OPEN_TIMEOUT_S)
    if not report.passed:
        return FailureReason.UNLOADABLE, f"{report.outcome}: {report.detail}"
    try:
        golden = check_golden(package, open_runtime(runtime))
    except RuntimeMissingError as error:
        return FailureReason.UNSUPPORTED, str(error)
    except InferenceError as error:
        return FailureReason.GOLDEN_MISMATCH, str(error)
    if not golden.passed:
        return FailureReason.GOLDEN_MISMATCH, "; ".join(golden.reasons)
    return (
        None,
        f"{len(golden.differences)} outputs within tolerance on {golden.runtime} {golden.runtime_version}",
    )


def main(directory: str, runtime: str) -> int:
    """Qualify and say how it went; the exit code is 0 either way, a crash is anything else."""
    os.nice(NICENESS)
    reason, detail = qualify(Path(directory), runtime=runtime)
    sys.stdout.write(json.dumps({"reason": reason.value if reason else None, "detail": detail}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
