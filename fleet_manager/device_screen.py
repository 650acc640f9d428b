"""How a headset looks on a terminal: the REST answer as short lines a person can read. Pure."""

from datetime import datetime, timezone
from typing import Any

DIGEST_CHARS = 12

Json = dict[str, Any]


def device_rows(shown: Json) -> list[tuple[str, str]]:
    """A headset, what is desired of it and what it reported, as (field, value)."""
    desired, reported, telemetry = shown["desired"], shown["reported"], shown["telemetry"]
    return [
        ("headset", f"{shown['id']} ({shown['device_class']}, software {shown['software']})"),
        ("admission", shown["admission"]),
        ("connectivity", f"{shown['connectivity']}, last heard {clock(shown['last_seen_ms'])}"),
        ("tasks", ", ".join(shown["tasks"])),
        ("runtimes", ", ".join(f"{name} {version}" for name, version in shown["runtimes"].items())),
        ("runs", _runs(shown)),
        ("desired", _desired(desired) if desired else "nothing yet"),
        ("reported", _reported(reported) if reported else "nothing yet"),
        ("telemetry", _telemetry(telemetry) if telemetry else "none since it was last offline"),
    ]


def journal_rows(shown: Json) -> list[tuple[str, str, str]]:
    """What happened to it, as (time, kind, detail)."""
    return [(clock(entry["at_ms"]), entry["kind"], entry["detail"]) for entry in shown["journal"]]


def clock(at_ms: int) -> str:
    """Unix milliseconds as UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=timezone.utc):%Y-%m-%d %H:%M:%S}Z"


def package(ref: Json) -> str:
    """A package by name, version and the head of its digest."""
    return f"{ref['name']}:{ref['version']} ({ref['digest'][:DIGEST_CHARS]})"


def _runs(shown: Json) -> str:
    """The package that is active; what a headset was delivered with has no package, only a name."""
    return package(shown["package"]) if shown["package"] else f"{shown['model'] or '-'} (as delivered)"


def _desired(desired: Json) -> str:
    split = desired["split_config"]
    policy = f", policy {split['policy']}" if split else ""
    what = package(desired["package"]) if desired["package"] else "no package"
    return f"{what}{policy}, by {desired['deployment']}, version {desired['epoch']}.{desired['version']}"


def _reported(reported: Json) -> str:
    words = (reported["state"], reported["reason"], reported["deployment"], reported["detail"])
    return ", ".join(word for word in words if word)


def _telemetry(telemetry: Json) -> str:
    latency, outcomes = telemetry["latency_ms"], telemetry["outcomes"]
    unanswered = outcomes["late"] + outcomes["none"]
    return (
        f"{telemetry['mode']}, {telemetry['fps']:.1f} fps, p50 {latency['p50']:.1f} ms, "
        f"p99 {latency['p99']:.1f} ms, rtt {telemetry['rtt_ms']:.1f} ms, {unanswered} unanswered, "
        f"battery {telemetry['battery_fraction']:.0%}"
    )
