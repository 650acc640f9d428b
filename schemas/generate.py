"""Generate ``schemas/generated`` from the .fbs files: ``python -m schemas.generate``.

Shell: owns the one call of flatc. Refuses any flatc but the version below, because another version
writes other bytes and the committed code is checked byte by byte. The generated code is never edited.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from schemas.errors import SchemaError

FLATC_VERSION = "2.0.8"
ROOM = Path(__file__).resolve().parent
GENERATED = ROOM / "generated"


class GenerateError(SchemaError):
    """flatc is missing, has the wrong version or refused a schema."""


def schema_files(folder: Path = ROOM) -> list[Path]:
    """The .fbs files of a folder in alphabetical order."""
    return sorted(folder.glob("*.fbs"))


def find_flatc() -> Path:
    """The flatc that this project's code is generated with.

    Raises:
        GenerateError: none on PATH, or another version.
    """
    found = shutil.which("flatc")
    if found is None:
        raise GenerateError(
            f"flatc is not on PATH; install flatc {FLATC_VERSION} (Debian: flatbuffers-compiler)"
        )
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.split()
    if FLATC_VERSION not in said:
        raise GenerateError(f"{found} says {' '.join(said)}; this project is generated with {FLATC_VERSION}")
    return Path(found)


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
