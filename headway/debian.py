"""Shell that takes Debian packages apart without root: download, unpack, nothing installed.

Standard library only, because the bootstrap needs it before any dependency exists. Packages come through
the system's own ``apt-get``, so its mirrors, proxies and signatures apply; where the system's package lists are
empty or stale, private lists are fetched into the cache. Refuses to install anything, to run maintainer
scripts and to write outside the folder it was given. What knows single packages does not belong here.
"""

import fcntl
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from headway.errors import DebianError

_APT_TIMEOUT_S = 900


def is_available() -> bool:
    """Whether this machine has the two programs that everything here is made of."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: a second run that needs the same downloads waits for the first.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def download(packages: Collection[str], *, cache: Path, into: Path) -> list[Path]:
    """Download the .deb files of packages, as apt would install them here.

    Raises:
        DebianError: no apt, no network, or no such package.
    """
    _require_apt(packages)
    failure = ""
    # The system's lists first: they are there on most machines. Private ones where those lack the package or are stale.
    for options in ([], _private_lists(cache)):
        if options:
            _apt("apt-get", *options, "update", folder=into)
        done = _apt("apt-get", *options, "download", *packages, folder=into)
        debs = sorted(into.glob("*.deb"))
        if done.returncode == 0 and len(debs) >= len(packages):
            return debs
        failure = _last_error(done)
    raise DebianError(
        f"apt-get could not download {', '.join(packages)} ({failure}): connect to the network, "
        "or install them as root with apt-get install"
    )


def closure(package: str, *, cache: Path) -> list[str]:
    """The package and those libraries it depends on that are not installed here, taken from the metadata.

    Only packages of the section "libs" are followed: a program that is merely unpacked needs its shared
    libraries, not the account tools or init scripts that its installation would want.

    Raises:
        DebianError: the package is unknown to apt.
    """
    _require_apt([package])
    options: list[str] = []
    if not _metadata(package, options):
        options = _private_lists(cache)
        if not _metadata(package, options):
            _apt("apt-get", *options, "update", folder=cache)
    if not _metadata(package, options):
        raise DebianError(
            f"apt does not know the package {package}: connect to the network, or check apt's sources"
        )
    wanted, waiting = [package], [package]
    while waiting:
        fields = _metadata(waiting.pop(), options)
        groups = parse_depends(fields.get("Pre-Depends", "")) + parse_depends(fields.get("Depends", ""))
        for names in groups:
            if any(name in wanted or _is_installed(name) for name in names):
                continue
            library = next((name for name in names if _is_library(_metadata(name, options))), None)
            if library is not None:
                wanted.append(library)
                waiting.append(library)
    return wanted


def parse_depends(field: str) -> list[tuple[str, ...]]:
    """Names of a dependency field: one tuple per requirement, holding its alternatives; versions are dropped."""
    groups = []
    for requirement in filter(None, (part.strip() for part in field.split(","))):
        names = tuple(
            choice.split("(")[0].split("[")[0].split(":")[0].strip() for choice in requirement.split("|")
        )
        groups.append(names)
    return groups


def unpack(debs: Collection[Path], into: Path) -> None:
    """Unpack .deb files into a folder; no script of theirs runs.

    Raises:
        DebianError: a file is damaged or the disk is full.
    """
    for deb in debs:
        done = subprocess.run(
            ["dpkg-deb", "-x", str(deb), str(into)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DebianError(
                f"could not unpack {deb.name} ({_last_error(done)}): free some space and run again"
            )


def extract(deb: Path, names: Collection[str]) -> dict[str, bytes]:
    """Contents of those regular files of a .deb whose base names are asked for; the rest is read past.

    Raises:
        DebianError: the package is damaged or lacks one of them.
    """
    found: dict[str, bytes] = {}
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdout is not None
        try:
            with tarfile.open(fileobj=reader.stdout, mode="r|") as members:
                for member in members:
                    content = members.extractfile(member) if Path(member.name).name in names else None
                    if content is not None:
                        found[Path(member.name).name] = content.read()
            while reader.stdout.read(1 << 16):
                pass  # the padding after the archive: closing early would look like a failure of the reader
        except tarfile.TarError as error:
            raise DebianError(f"{deb.name} is damaged ({error}): run again to download it anew") from error
    if reader.returncode != 0:
        raise DebianError(f"{deb.name} is damaged: run again to download it anew")
    absent = set(names) - set(found)
    if absent:
        raise DebianError(f"{deb.name} does not hold {', '.join(sorted(absent))}: this release of it differs")
    return found


def unpack_program(package: str, program: str, *, cache: Path) -> Path:
    """Unpack a program with its missing libraries into ``<cache>/<package>``; returns a launcher that runs it.

    Nothing is downloaded where the launcher is there. The folder appears whole or not at all.

    Raises:
        DebianError: no apt, no network, disk full, or the program does not start.
    """
    home = cache / package
    launcher = home / "bin" / Path(program).name
    with locked(cache):
        if launcher.exists():
            return launcher
        with tempfile.TemporaryDirectory(dir=cache, prefix=f".{package}-") as scratch:
            debs, tree = Path(scratch) / "debs", Path(scratch) / "tree"
            debs.mkdir()
            unpack(download(closure(package, cache=cache), cache=cache, into=debs), tree)
            _write_launcher(tree, program)
            _check_starts(tree / "bin" / Path(program).name)
            # Only a folder without a launcher can be in the way: one that an older version left half done.
            shutil.rmtree(home, ignore_errors=True)
            tree.replace(home)
    return launcher


def _write_launcher(tree: Path, program: str) -> None:
    """Write bin/<name>, which finds the unpacked libraries from wherever the folder lies and becomes the program."""
    folders = sorted({path.parent.relative_to(tree).as_posix() for path in tree.rglob("*.so*")})
    libraries = ":".join(f"$home/{folder}" for folder in folders)
    launcher = tree / "bin" / Path(program).name
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(
        "#!/bin/sh\n"
        'home=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
        f'LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
        f'export LD_LIBRARY_PATH\nexec "$home/{program}" "$@"\n',
    )
    launcher.chmod(0o755)


def _check_starts(launcher: Path) -> None:
    """Refuse a program whose loader fails: 127 is the loader's and the shell's way to say so."""
    done = subprocess.run([str(launcher), "-h"], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode in {126, 127}:
        raise DebianError(
            f"{launcher.name} does not start here ({_last_error(done)}): install it as root with apt-get"
        )


def _require_apt(packages: Collection[str]) -> None:
    if not is_available():
        wanted = ", ".join(packages)
        raise DebianError(f"no apt-get here to get {wanted} with: install it by your system's own means")


def _private_lists(cache: Path) -> list[str]:
    state, archives = cache / "apt" / "lists", cache / "apt" / "cache"
    (state / "partial").mkdir(parents=True, exist_ok=True)
    (archives / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::lists={state}", "-o", f"Dir::Cache={archives}"]


def _apt(program: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # As root, apt drops to an account of its own that cannot read a cache in root's home.
    command = [program, "-q", "-o", "APT::Sandbox::User=root", *arguments]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_APT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DebianError(f"{program} took over {_APT_TIMEOUT_S} s: try a faster network") from error


def _metadata(package: str, options: Collection[str]) -> dict[str, str]:
    """First paragraph that apt knows of a package, folded lines left out; empty where it knows none."""
    done = _apt("apt-cache", *options, "show", "--no-all-versions", package, folder=Path.cwd())
    lines = done.stdout.split("\n\n", 1)[0].splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))


def _is_library(fields: dict[str, str]) -> bool:
    return fields.get("Section", "").split("/")[-1] == "libs"


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}\n", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return "installed" in done.stdout.splitlines()


def _last_error(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("W:")]
    return lines[-1].removeprefix("E: ") if lines else f"exit status {done.returncode}"
