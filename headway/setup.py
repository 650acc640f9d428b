"""Shell that turns a bare Python into this project's virtual environment; the first thing that ever runs here.

Standard library only, run as a script before any dependency exists. It needs neither root nor python3-venv.
A stamp is written last: while it matches, nothing is run and no network is touched; without it the environment
is completed. Two runs at once wait for each other. Refuses Pythons older than 3.10 and never names a package
index: the user's own pip configuration applies. Models, photos and servers are not fetched here.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path

OLDEST_PYTHON = (3, 10)
if sys.version_info < OLDEST_PYTHON:
    found = f"{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable})"
    sys.exit(
        f"headway needs Python 3.10 or newer, this is {found}: run make PYTHON=python3.12, or whichever you have"
    )

from collections.abc import Iterator, Mapping, Sequence  # noqa: E402 - an old Python gets its message first
from dataclasses import dataclass  # noqa: E402 - the same

REPOSITORY = Path(__file__).resolve().parent.parent
if not __package__:
    # Run as a script: the search path starts in this folder, whose files must not shadow other modules.
    sys.path[0] = str(REPOSITORY)

from headway import venv  # noqa: E402 - found only now
from headway.errors import HeadwayError, SetupError  # noqa: E402 - the same
from headway.steps import Progress, Steps  # noqa: E402 - the same

DEFAULT_EXTRAS = ("edge", "worker", "manager", "quantize", "plot")
TFLITE_ENDS = (3, 12)
STAMP_NAME = "headway-setup.json"
# Installed first and used without build isolation, so that pip fetches no unpinned build backend.
BUILD_BACKEND = ("hatchling", "editables")
_INSTALL = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off")


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Where imported models, photos and unpacked servers live on this machine.

    The rule of ``schemas.places``, said once more: no room can be imported before its packages are installed.
    """
    if environ.get("HEADWAY_CACHE"):
        return Path(environ["HEADWAY_CACHE"])
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path(environ.get("HOME") or Path.home()) / ".cache") / "headway"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to set up and where. ``wheel_cache`` holds pip's own wheel where Python came without one."""

    wheel_cache: Path
    repository: Path = REPOSITORY
    venv: Path = REPOSITORY / ".venv"
    extras: tuple[str, ...] = DEFAULT_EXTRAS
    backend: tuple[str, ...] = BUILD_BACKEND

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def constraints(self) -> Path:
        """The file of exact versions; tflite-runtime needs NumPy 1 and so versions of its own."""
        return self.repository / ("constraints-tflite.txt" if "tflite" in self.extras else "constraints.txt")

    def digest(self) -> str:
        """The sha256 of everything that decides what is installed, the extras left out."""
        parts = [self.repository.joinpath("pyproject.toml").read_bytes(), self.constraints.read_bytes()]
        parts += [sys.version.encode(), str(self.repository).encode(), str(self.venv).encode()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamped_extras(plan: Plan) -> set[str]:
    """Extras that the environment holds in these versions; none where no stamp of this digest says so."""
    try:
        stamp = json.loads((plan.venv / STAMP_NAME).read_text())
    except (OSError, ValueError):
        return set()  # absent, or not written by us: the environment is completed anew
    return set(stamp["extras"]) if stamp["digest"] == plan.digest() else set()


def is_complete(plan: Plan) -> bool:
    """Whether the environment already holds at least these extras, in these versions."""
    return plan.python.exists() and set(plan.extras) <= stamped_extras(plan)


def set_up(plan: Plan, progress: Progress) -> bool:
    """Complete the environment; returns whether there was anything to do.

    Raises:
        SetupError: something is missing or failed; names the fix.
    """
    if is_complete(plan):
        return False
    _check_tflite(plan)
    state = plan.repository / ".headway"
    with _locked(state / f"setup-{plan.venv.name}.lock", progress) as lock:
        if is_complete(plan):
            return False  # the run that we waited for did it
        extras = sorted({*plan.extras, *stamped_extras(plan)})
        (plan.venv / STAMP_NAME).unlink(missing_ok=True)
        steps = Steps(folder=plan.repository, log_path=state / "setup.log", lock=lock, progress=progress)
        venv.make(plan.venv, wheel_cache=plan.wheel_cache, steps=steps)
        venv.drop_half_installed(plan.venv)
        install = [str(plan.python), *_INSTALL, "-c", str(plan.constraints)]
        progress.say(f"installing the build backend: {', '.join(plan.backend)}")
        steps.run([*install, *plan.backend])
        progress.say(
            f"installing packages for {', '.join(extras)}: exact versions from {plan.constraints.name}"
        )
        steps.run([*install, "--no-build-isolation", "-e", f"{plan.repository}[{','.join(extras)}]"])
        _write_stamp(plan, extras)
    return True


def _check_tflite(plan: Plan) -> None:
    """Refuse what tflite-runtime 2.14 cannot do, before pip says it in its own words."""
    if "tflite" not in plan.extras:
        return
    if len(plan.extras) > 1:
        raise SetupError(
            "the extra tflite needs an environment of its own: --extras tflite --venv .venv-tflite"
        )
    if sys.version_info >= TFLITE_ENDS:
        raise SetupError(
            "tflite-runtime has no release for this Python: use 3.10 or 3.11, or the extra edge instead"
        )


@contextlib.contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[int]:
    """Hold the lock file; yields its descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another set-up is running here: waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _write_stamp(plan: Plan, extras: Sequence[str]) -> None:
    """The last act: whole or not at all."""
    part = plan.venv / f"{STAMP_NAME}.part"
    with part.open("w") as file:
        json.dump({"digest": plan.digest(), "extras": list(extras)}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(plan.venv / STAMP_NAME)


def main(
    arguments: Sequence[str] | None = None,
    *,
    repository: Path = REPOSITORY,
    backend: tuple[str, ...] = BUILD_BACKEND,
) -> int:
    """Entry of the script; returns the exit code: 0 ready, 1 failed, 2 usage, 130 interrupted."""
    parser = argparse.ArgumentParser(
        description="Set up the virtual environment.",
        epilog="example: python3 headway/setup.py --extras edge,worker",
    )
    parser.add_argument(
        "--extras", default=",".join(DEFAULT_EXTRAS), help="comma-separated (default: %(default)s)"
    )
    parser.add_argument("--venv", type=Path, default=repository / ".venv", help="default: %(default)s")
    options = parser.parse_args(arguments)
    extras = tuple(filter(None, options.extras.split(",")))
    plan = Plan(
        repository=repository,
        venv=options.venv.absolute(),
        extras=extras,
        backend=backend,
        wheel_cache=cache_dir(os.environ),
    )
    progress = Progress()
    try:
        worked = set_up(plan, progress)
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130
    except HeadwayError as error:
        print(f"setup failed: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"setup failed: {error}: free some space or mend the permissions, then run again", file=sys.stderr
        )
        return 1
    outcome = f"ready in {progress.elapsed_s:.0f} s" if worked else "nothing to do"
    print(f"setup: {outcome} ({plan.venv.name}: {', '.join(plan.extras)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
