"""What every benchmark of several parts does: choose them, time each, show that it goes on, keep what was measured.

A part that fails is recorded with its error, and the others go on. What a part measures and aims at stays with it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.host_use import HostUse
from bench.machine import machine_facts

PACKAGES = ("headway", "numpy", "ai-edge-litert", "ai-edge-quantizer", "onnx", "onnxruntime", "zstandard")
Tell = Callable[[str], None]
TellOf = Callable[[str, str], None]  # (part, line)


def chosen(only: str, parts: Iterable[str]) -> list[str]:
    """The parts named with commas between; all of them where none is named.

    Raises:
        typer.Exit: a name is none of them; it was said.
    """
    known = list(parts)
    names = [name.strip() for name in only.split(",") if name.strip()] or known
    if unknown := [name for name in names if name not in known]:
        print(f"error: no part {', '.join(unknown)}: choose out of {', '.join(known)}", file=sys.stderr)
        raise typer.Exit(2)
    return names


def timed(measure: Callable[[], Any], **facts: Any) -> tuple[dict[str, Any], Any]:
    """A record of how a part went and how busy the host was, with these facts, and what it measured; None where it failed."""
    record: dict[str, Any] = {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **facts,
        "load_before": round(os.getloadavg()[0], 2),
        "error": None,
    }
    began_s, before = time.perf_counter(), HostUse.now()
    value: Any = None
    try:
        value = measure()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever stops one part must not stop the others
        record["error"] = f"{type(error).__name__}: {error}"
    record |= {
        "seconds": round(time.perf_counter() - began_s, 1),
        "load_after": round(os.getloadavg()[0], 2),
        "host": HostUse.now().since(before),
    }
    return record, value


def earlier(path: Path) -> dict[str, Any]:
    """The report of a file that was measured on this machine; empty otherwise."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(found, dict) and found.get("machine") == machine_facts(PACKAGES)
    return found if same else {}


def shown(run: Callable[[TellOf], dict[str, Any]]) -> dict[str, Any]:
    """What ``run`` reports, with its newest line on the terminal meanwhile."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("begins", total=None)
        return run(lambda name, line: progress.update(task, description=f"{name}: {line[:100]}"))


def keep(report: dict[str, Any], out: Path) -> None:
    """Write the figures in the place of those before, which stay where that fails.

    Raises:
        typer.Exit: they cannot be written; they stand on the standard output instead, so that nothing is lost.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half = out.with_name(f"{out.name}.half")
        half.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        half.replace(out)
    except OSError as error:
        print(json.dumps(report))
        print(
            f"error: {out} cannot be written ({error}): the figures are above; choose another --out",
            file=sys.stderr,
        )
        raise typer.Exit(1) from error
