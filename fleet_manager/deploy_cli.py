"""The commands of ``headway deploy``. They speak REST and know nothing of the database."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console

from fleet_manager.client import ManagerClient
from fleet_manager.deployment_watch import follow, members_table, summary
from fleet_manager.terminal import (
    DEFAULT_MANAGER,
    EXIT_FAILED,
    EXIT_USAGE,
    JsonOption,
    ManagerOption,
    say_json,
    say_table,
    speaking_to,
)
from schemas.deployments import POLICY_WORDS
from schemas.documents import DeploymentSpec

deploy = typer.Typer(
    help="Deployments: apply, watch, list, show. Example: headway deploy apply --group line-a --model hands",
    no_args_is_help=True,
)


@deploy.command()
def apply(
    file: Annotated[Path | None, typer.Argument(help="A deployment written as YAML or JSON.")] = None,
    *,
    group: Annotated[str | None, typer.Option(help="Whom it is for: a group.")] = None,
    device: Annotated[str | None, typer.Option(help="Whom it is for: one headset.")] = None,
    model: Annotated[str | None, typer.Option(help="NAME, NAME:VERSION or a digest.")] = None,
    split_config: Annotated[Path | None, typer.Option(help="A split config as YAML or JSON.")] = None,
    policy: Annotated[str | None, typer.Option(help=f"Policy of the split config: {POLICY_WORDS}.")] = None,
    rtt_threshold_ms: Annotated[float | None, typer.Option(help="Threshold of rtt-threshold.")] = None,
    deadline_ms: Annotated[float | None, typer.Option(help="Deadline of every frame.")] = None,
    timeout_s: Annotated[float | None, typer.Option(help="Members must have ended by then.")] = None,
    watch_it: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    manager: ManagerOption = DEFAULT_MANAGER,
    as_json: JsonOption = False,
) -> None:
    """Give a group or a headset a model, a split config, or both.

    Example: headway deploy apply --group line-a --model hands:1-int8 --policy rtt-threshold
    """
    flags = {"policy": policy, "rtt_threshold_ms": rtt_threshold_ms, "deadline_ms": deadline_ms}
    body = _read(file) if file else {}
    split = {**(_read(split_config) if split_config else {}), **_given(flags)}
    if target := _given({"group": group, "device": device}):
        body["target"] = target
    if split:
        body["split_config"] = {**body.get("split_config", {}), **split}
    spec = _checked({**body, **_given({"model": model, "timeout_s": timeout_s})})
    with speaking_to(manager) as client:
        begun = client.post("/deployments", spec.model_dump(mode="json"))
        if watch_it:
            _follow(client, begun["id"], as_json=as_json)
    if not watch_it:
        say_json(begun) if as_json else typer.echo(summary(begun))


@deploy.command()
def watch(
    deployment: Annotated[str, typer.Argument(help="The deployment's id.")],
    *,
    manager: ManagerOption = DEFAULT_MANAGER,
    as_json: JsonOption = False,
) -> None:
    """Follow a deployment to its end; exits with 0 when it succeeded, 1 when it failed.

    Example: headway deploy watch dep-1
    """
    with speaking_to(manager) as client:
        _follow(client, deployment, as_json=as_json)


@deploy.command("ls")
def list_deployments(*, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False) -> None:
    """List deployments, the newest first.

    Example: headway deploy ls --json
    """
    with speaking_to(manager) as client:
        found = client.get("/deployments")
    if as_json:
        say_json(found)
        return
    columns = (
        "deployment",
        "for",
        "package",
        "outcome",
        "devices",
        "succeeded",
        "failed",
        "timed out",
        "reason",
    )
    say_table(columns, [_line(shown) for shown in found])


@deploy.command()
def show(
    deployment: Annotated[str, typer.Argument(help="The deployment's id.")],
    *,
    manager: ManagerOption = DEFAULT_MANAGER,
    as_json: JsonOption = False,
) -> None:
    """Show a deployment with every member.

    Example: headway deploy show dep-1
    """
    with speaking_to(manager) as client:
        shown = client.get(f"/deployments/{deployment}")
    if as_json:
        say_json(shown)
    else:
        Console().print(members_table(shown))
        typer.echo(summary(shown))


def _follow(client: ManagerClient, deployment: str, *, as_json: bool) -> None:
    ended = follow(lambda: client.get(f"/deployments/{deployment}"), as_json=as_json)
    if ended["outcome"] != "succeeded":
        raise typer.Exit(EXIT_FAILED)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _read(path: Path) -> dict[str, Any]:
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(f"{path} cannot be read: {error}") from error
    if not isinstance(written, dict):
        raise _wrong(f"{path} must hold a YAML or JSON mapping")
    return written


def _checked(values: dict[str, Any]) -> DeploymentSpec:
    try:
        return DeploymentSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "deployment"
        raise _wrong(f"{where}: {first['msg']}") from error


def _wrong(text: str) -> typer.Exit:
    typer.echo(f"error: {text}; see: headway deploy apply --help", err=True)
    return typer.Exit(EXIT_USAGE)


def _line(shown: dict[str, Any]) -> tuple[object, ...]:
    target, package = shown["spec"]["target"], shown["package"]
    return (
        shown["id"],
        f"group {target['group']}" if target["group"] else target["device"],
        f"{package['name']}:{package['version']}" if package else "",
        shown["outcome"],
        *(shown[word] for word in ("devices", "succeeded", "failed", "timed_out", "reason")),
    )
