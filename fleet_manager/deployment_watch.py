"""Follows one deployment to its end: a live table on a terminal, a line per change elsewhere."""

import time
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from fleet_manager.terminal import say_json, table

POLL_S = 0.2

Fetch = Callable[[], dict[str, Any]]


def follow(fetch: Fetch, *, as_json: bool) -> dict[str, Any]:
    """Show a deployment until it ended, and return it as it ended."""
    console = Console()
    if console.is_terminal and not as_json:
        return _follow_live(fetch, console)
    return _follow_lines(fetch, as_json=as_json)


def _follow_live(fetch: Fetch, console: Console) -> dict[str, Any]:
    shown = fetch()
    with Live(members_table(shown), console=console, auto_refresh=False) as live:
        while True:
            live.update(members_table(shown), refresh=True)
            if shown["outcome"] != "running":
                break
            time.sleep(POLL_S)
            shown = fetch()
    typer.echo(summary(shown))
    return shown


def _follow_lines(fetch: Fetch, *, as_json: bool) -> dict[str, Any]:
    last: dict[str, str] = {}
    while True:
        shown = fetch()
        for result in shown["results"]:
            line = _member_line(result)
            if last.get(result["device"]) != line and not as_json:
                typer.echo(f"{shown['id']}  {line}")
            last[result["device"]] = line
        if shown["outcome"] != "running":
            break
        time.sleep(POLL_S)
    if as_json:
        say_json(shown)
    else:
        typer.echo(summary(shown))
    return shown


def members_table(shown: dict[str, Any]) -> Table:
    """The members of a deployment."""
    made = table(
        ("headset", "outcome", "state", "fetched", "reason", "detail"),
        [
            (r["device"], r["outcome"], r["state"], _share(r), r["reason"], r["detail"])
            for r in shown["results"]
        ],
    )
    made.title = f"{shown['id']} {shown['outcome']}"
    return made


def summary(shown: dict[str, Any]) -> str:
    """One line that says how it went."""
    reason = f" ({shown['reason']})" if shown["reason"] else ""
    detail = f": {shown['detail']}" if shown["detail"] else ""
    return f"{shown['id']} {shown['outcome']}{reason}{detail}"


def _member_line(result: dict[str, Any]) -> str:
    words = (result["device"], result["outcome"], result["state"], _share(result), result["reason"])
    return " ".join(word for word in words if word)


def _share(result: dict[str, Any]) -> str:
    total = result["total_bytes"]
    return f"{100 * result['progress_bytes'] // total} %" if total else ""
