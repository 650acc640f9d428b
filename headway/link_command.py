"""Shell: ``headway link``: holds a bad network open in front of a broker until it is told to stop.

Options become the rows of a script, so the command line, scripts and recordings mean the same. Refuses a recording
of delays without a rate: such a run would say nothing about frames. Whatever ends this command ends the link: its
process lives no longer than ours, even when ours is killed and can say nothing.
"""

from __future__ import annotations

import json as json_format
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from headway.link import Link, LinkError
from headway.link_script import read_script, spec_of
from headway.link_spec import LinkSpecError
from headway.link_trace import is_ping_log

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND = 1, 2, 3
LOOK_S = 0.2
ENDS_ON = (signal.SIGINT, signal.SIGTERM)


def link(  # noqa: PLR0917  typer passes every option by name
    target: Annotated[str, typer.Argument(help="HOST:PORT of the broker behind the link.")],
    script: Annotated[Path | None, typer.Option(help="YAML or JSON list of timed steps.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Recording: output of ping, or a packet-delivery file.")
    ] = None,
    rate_mbps: Annotated[float | None, typer.Option(help="Most megabits per second, each way.")] = None,
    delay_ms: Annotated[float | None, typer.Option(help="Delay each way.")] = None,
    jitter_ms: Annotated[float | None, typer.Option(help="Mean extra delay each way.")] = None,
    jitter: Annotated[str, typer.Option(help="uniform, exponential, lognormal or pareto.")] = "lognormal",
    loss: Annotated[
        float | None, typer.Option(help="Share of segments lost, sent again as TCP does.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed is the same weather.")] = 0,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    for_s: Annotated[float, typer.Option(help="End after so many seconds; 0 waits for Ctrl-C.")] = 0.0,
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Put a bad network in front of a broker.

    Example: headway link 127.0.0.1:1883 --delay-ms 8 --jitter-ms 4 --rate-mbps 20 --loss 0.001
    """
    for path in (script, trace):
        if path is not None and not path.is_file():
            _end(f"{path} is not there: name a file that is", EXIT_NOT_FOUND)
    try:
        host, target_port = _address(target)
        rows = [] if script is None else read_script(script)
        rows += _recorded(trace, rate_mbps)
        values: dict[str, dict[str, Any]] = {
            "delay": {"ms": delay_ms},
            "loss": {"share": loss},
            "rate": {"mbps": rate_mbps},
        }
        values["jitter"] = {"ms": jitter_ms, "kind": jitter}
        rows += [{"what": what, **fields} for what, fields in values.items() if None not in fields.values()]
        spec_of(rows)
    except LinkSpecError as error:
        _end(str(error), EXIT_USAGE)
    rows = [{**row, "file": str(Path(row["file"]).resolve())} if "file" in row else row for row in rows]
    try:
        _hold(Link(host, target_port, listen_port=port), target, rows, seed=seed, for_s=for_s, json=json)
    except LinkError as error:
        _end(str(error), EXIT_FAILED)


class _Ending:
    """Notes the first SIGINT or SIGTERM, so that no step breaks off half done; a second SIGINT breaks off."""

    def __init__(self) -> None:
        self.why = ""
        self._before = {number: signal.getsignal(number) for number in ENDS_ON}

    def __enter__(self) -> _Ending:
        for number in ENDS_ON:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.why = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _hold(way: Link, target: str, rows: list[dict[str, Any]], *, seed: int, for_s: float, json: bool) -> None:
    with _Ending() as ending, way:
        way.follow(rows, seed=seed)
        if json:
            _say({"event": "open", "url": way.url, "target": target, "seed": seed, "steps": rows})
        else:
            typer.echo(f"{way.url} leads to {target}; {len(rows)} steps, Ctrl-C ends it")
        ends_s = time.monotonic() + for_s if for_s else float("inf")
        while not ending.why and (rest_s := ends_s - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, rest_s))
            way.counts()  # a link that ended is an error
        counts = way.counts()
        why = ending.why or "its time is over"
    fields = {name: getattr(counts, name) for name in ("connections", "up_bytes", "down_bytes")}
    if json:
        _say({"event": "closed", "why": why, **fields})
    else:
        typer.echo(f"closed, {why}: " + ", ".join(f"{name} {value}" for name, value in fields.items()))


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.removeprefix("mqtt://").rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 1 << 16:
        raise LinkSpecError(f"target is {target!r}: write HOST:PORT, for example 127.0.0.1:1883")
    return host, int(port)


def _recorded(trace: Path | None, rate_mbps: float | None) -> list[dict[str, Any]]:
    if trace is None:
        return []
    if not is_ping_log(trace):
        return [{"what": "delivery-trace", "file": str(trace)}]
    if rate_mbps is None:
        raise LinkSpecError("a recording of delays has no rate: name the one you assume with --rate-mbps")
    return [{"what": "delay-trace", "file": str(trace), "rate_mbps": rate_mbps}]


def _say(line: dict[str, Any]) -> None:
    typer.echo(json_format.dumps(line))


def _end(text: str, code: int) -> NoReturn:
    typer.echo(f"headway link: {text}", err=True)
    raise typer.Exit(code)
