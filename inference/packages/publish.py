"""Shell that publishes a package to a manager over HTTP, and asks a manager what it has.

Before anything is sent every byte is hashed, the model is tried in a child process and must answer its canaries
here. The manager gets the manifest's bytes and one part per file, named by its sha256.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from inference.child import open_in_child
from inference.errors import InferenceError, ManagerUnreachableError, ModelPackageError
from inference.packages.golden import check_golden
from inference.packages.package import Package, open_package
from inference.runtimes.registry import open_runtime

MODELS_PATH = "/v1/models"
TIMEOUT_S = 60.0
_NOT_FOUND = 404


def checked_package(directory: Path, /, *, runtime: str) -> Package:
    """Open a package and let its model prove itself on this machine.

    Raises:
        ModelPackageError: altered, does not open, or answers its canaries wrongly; says which.
    """
    package = open_package(directory)
    report = open_in_child(package.model_path, runtime=runtime)
    if not report.passed:
        msg = f"the model {report.outcome} in a child process ({report.detail}): do not publish it"
        raise ModelPackageError(msg)
    golden = check_golden(package, open_runtime(runtime))
    if not golden.passed:
        raise ModelPackageError("; ".join(golden.reasons) + ": do not publish it")
    return package


def publish(package: Package, /, *, manager: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Send a package; the manager's answer describes it. Sending the same one twice changes nothing.

    Raises:
        ManagerUnreachableError: no manager answers there.
        InferenceError: the manager refuses; carries its reason.
    """
    with ExitStack() as stack:
        parts: dict[str, Any] = {
            file.sha256: (file.name, stack.enter_context((package.directory / file.name).open("rb")))
            for file in package.manifest.files
        }
        parts["manifest"] = ("manifest.json", package.manifest_path.read_bytes(), "application/json")
        answer = _ask("POST", manager, MODELS_PATH, timeout_s=timeout_s, files=parts)
    return dict(answer)


def published(manager: str, /, *, reference: str | None = None, timeout_s: float = TIMEOUT_S) -> Any:
    """All packages of a manager, or the one meant by a name, name:version or digest.

    Raises:
        ManagerUnreachableError: no manager answers there, or it has no such package.
        InferenceError: the manager refuses; carries its reason.
    """
    path = MODELS_PATH if reference is None else f"{MODELS_PATH}/{reference}"
    return _ask("GET", manager, path, timeout_s=timeout_s)


def _ask(method: str, manager: str, path: str, *, timeout_s: float, files: Any = None) -> Any:
    try:
        answer = httpx.request(method, f"{manager.rstrip('/')}{path}", files=files, timeout=timeout_s)
        content = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        msg = f"no manager answers at {manager} ({error}): start one with `headway manager run` or check --manager"
        raise ManagerUnreachableError(msg) from error
    except ValueError as error:
        msg = f"{manager} is no Headway manager: check --manager"
        raise ManagerUnreachableError(msg) from error
    if answer.status_code == _NOT_FOUND:
        msg = f"the manager has no {path.removeprefix('/v1/')}: list its models with `headway model ls --manager`"
        raise ManagerUnreachableError(msg)
    if not answer.is_success:
        raise InferenceError(f"the manager refuses: {_problem(content, answer.status_code)}")
    return content


def _problem(content: Any, status: int) -> str:
    """The manager's reason and fix out of a problem document."""
    if not isinstance(content, dict):
        return f"status {status}"
    words = [str(content[key]) for key in ("detail", "title", "fix") if content.get(key)]
    return "; ".join(words) or f"status {status}"
