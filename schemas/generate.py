"""Generate ``schemas/generated`` from the .fbs files: ``python -m schemas.generate``.

Shell: owns the one call of flatc. Refuses any flatc but the version below, because another version
writes other bytes and the committed code is checked byte by byte. The generated code is never edited.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import SchemaError
from schemas.places import cache_dir

FLATC_VERSION = "2.0.8"
ROOM = Path(__file__).resolve().parent
GENERATED = ROOM / "generated"


class GenerateError(SchemaError):
    """flatc is missing, has the wrong version or refused a schema."""


def schema_files(folder: Path = ROOM) -> list[Path]:
    """The .fbs files of a folder in alphabetical order."""
    return sorted(folder.glob("*.fbs"))


def find_flatc(environ: Mapping[str, str] = os.environ) -> Path:
    """The first flatc of this project's version: on PATH, or unpacked in the cache.

    Raises:
        GenerateError: there is none; says what was found instead.
    """
    folders = [Path(each) for each in environ.get("PATH", os.defpath).split(os.pathsep) if each]
    others = []
    for folder in (*folders, cache_dir(environ) / "flatbuffers-compiler" / "bin"):
        found = shutil.which("flatc", path=str(folder))
        if found is None:
            continue
        said = _said_version(found)
        if FLATC_VERSION in said.split():
            return Path(found)
        others.append(f"{found} says {said}")
    raise GenerateError(
        f"no flatc {FLATC_VERSION}, which this project is generated with: install it (Debian: "
        f"flatbuffers-compiler), or run `make test` once; {', '.join(others) or 'none was found'}"
    )


def _said_version(flatc: str) -> str:
    """What a flatc says of its version; why it says nothing where it does not start."""
    try:
        done = subprocess.run([flatc, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{error.strerror} when started"
    return done.stdout.strip() or "nothing"


def generate(output: Path, *, flatc: Path) -> dict[str, bytes]:
    """Write the package ``schemas/generated`` below ``output``; returns file name to bytes.

    Raises:
        GenerateError: flatc refused a schema; holds what it said.
    """
    command = [str(flatc), "--python", "-o", str(output), *map(str, schema_files())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GenerateError(f"flatc refused a schema: {done.stdout}{done.stderr}")
    return {path.name: path.read_bytes() for path in sorted((output / "schemas" / "generated").glob("*.py"))}


def main() -> int:
    """Replace the committed generated code; 0 when it is up to date afterwards."""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            files = generate(Path(scratch), flatc=find_flatc())
    except GenerateError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's answer goes to its terminal
        return 1
    GENERATED.mkdir(exist_ok=True)
    for stale in set(GENERATED.glob("*.py")) - {GENERATED / name for name in files}:
        stale.unlink()
    for name, content in files.items():
        (GENERATED / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
