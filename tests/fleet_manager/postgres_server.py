"""A throw-away PostgreSQL server on a free loopback port, never run as root."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet_scene import eventually


def find_postgres() -> Path | None:
    """Folder with initdb and postgres, the newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    on_path = shutil.which("postgres")
    return found[0].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres_server(programs: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """The URL of a fresh database; the server and its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-pg-"))
    port = free_port()
    who = {}
    if os.getuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "fleet", "-A", "trust", "--no-sync", "-E", "UTF8"],
        check=True,
        capture_output=True,
        cwd=folder,
        **who,
    )
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"],
        stdout=log,
        stderr=log,
        cwd=folder,
        **who,
    )
    try:
        eventually(lambda: _accepts(port), within_s=30)
        eventually(lambda: b"ready to accept connections" in (folder / "log").read_bytes(), within_s=30)
        yield f"postgresql://fleet@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(10)
        log.close()
        shutil.rmtree(folder)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
