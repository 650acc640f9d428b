"""Shell that makes a virtual environment with a working pip, on Pythons that came without either.

Standard library only. Debian ships Python without ensurepip; there pip runs out of its own wheel, which
Debian has as a package that can be taken apart without root. Refuses to install pip for the user or the system.
"""

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from headway import debian
from headway.errors import DebianError, SetupError
from headway.steps import Steps


def make(venv: Path, *, wheel_cache: Path, steps: Steps) -> None:
    """Complete the environment: of this Python, and with pip in it. Nothing is done where it is whole.

    Raises:
        SetupError: there is no pip to be had; names the package to install.
    """
    python = venv / "bin" / "python"
    if not _runs(python, f"import sys; assert sys.version_info[:2] == {sys.version_info[:2]}"):
        if venv.exists():
            steps.progress.say(f"removing {venv.name}: made by another Python, or never finished")
            shutil.rmtree(venv)
        steps.progress.say(f"creating {venv.name} with Python {sys.version.split()[0]}")
        steps.run([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    if _runs(python, "import pip._internal.cli.main"):
        return
    if importlib.util.find_spec("ensurepip") is not None:
        steps.run([str(python), "-m", "ensurepip", "--upgrade", "--default-pip"])
        return
    wheel = _pip_wheel(wheel_cache, steps=steps)
    run_from_wheel = [str(python), str(wheel / "pip"), "--disable-pip-version-check"]
    steps.run([*run_from_wheel, "install", "--no-index", "--no-deps", str(wheel)])


def drop_half_installed(venv: Path) -> list[str]:
    """Forget packages whose installation was cut off, so that pip installs them again; returns their folders' names.

    Pip writes a package's RECORD last, and only that last version of it lists INSTALLER.
    """
    dropped = []
    for info in venv.glob("lib/python*/site-packages/*.dist-info"):
        record = info / "RECORD"
        if not record.is_file() or f"{info.name}/INSTALLER" not in record.read_text(encoding="utf-8"):
            shutil.rmtree(info)
            dropped.append(info.name)
    return sorted(dropped)


def _runs(python: Path, statement: str) -> bool:
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", statement], capture_output=True, check=False).returncode == 0


def _pip_wheel(cache: Path, *, steps: Steps) -> Path:
    """Pip's own wheel: from this system, else out of Debian's package of it."""
    folders = [
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
        "/usr/share/python-wheels",
        cache / "python3-pip-whl",
    ]
    wheels = [wheel for folder in folders if folder for wheel in sorted(Path(folder).glob("pip-*.whl"))]
    if wheels:
        return wheels[-1]
    steps.progress.say("this Python came without pip: getting Debian's package of it")
    try:
        with debian.locked(cache), tempfile.TemporaryDirectory(dir=cache, prefix=".pip-") as scratch:
            debs = debian.download(["python3-pip-whl"], cache=cache, into=Path(scratch))
            debian.unpack(debs, Path(scratch) / "tree")
            wheel = next((Path(scratch) / "tree").rglob("pip-*.whl"))
            home = cache / "python3-pip-whl"
            home.mkdir(exist_ok=True)
            return wheel.replace(home / wheel.name)
    except (DebianError, StopIteration) as error:
        raise SetupError(f"{error}; or install your system's python3-venv package") from error
