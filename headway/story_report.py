"""Shell: gathers what the play left behind and writes ``events.jsonl`` and ``report.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.material import Material
from headway.play import Story
from headway.report import findings_of, headset_report, missed_aims, outage_report, shortfalls

Event = dict[str, Any]


def read_events(work: Path, headsets: Sequence[str], *, story: Story | None) -> list[Event]:
    """Every line the headsets wrote, with the demo's own moments, in time order.

    A headset that was killed may leave half a line; that line is counted in a ``torn`` line, not read.
    """
    events: list[Event] = []
    for headset in headsets:
        path = work / f"{headset}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        events += [{"headset": headset, **json.loads(line)} for line in whole]
        if len(whole) != len(lines):
            events.append({"kind": "torn", "headset": headset, "lines": len(lines) - len(whole)})
    if story is not None:
        events += _moments(story)
    return sorted(events, key=lambda event: event.get("scheduled_ns") or event.get("t_ns") or 0)


def claims_of(last_words: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """The summaries that headsets printed when they ended; one that was killed left none."""
    claims = {}
    for headset, words in last_words.items():
        lines = words.decode(errors="replace").splitlines()
        if lines and lines[-1].startswith("{"):
            claims[headset] = json.loads(lines[-1])
    return claims


def _moments(story: Story) -> list[Event]:
    moments = [("cut", story.cut_ns), ("restored", story.restored_ns)]
    found: list[Event] = [{"kind": kind, "t_ns": at_ns} for kind, at_ns in moments if at_ns is not None]
    found += [
        {"kind": "deployment", "t_ns": story.start_ns + int(mark.at_s * 1e9), "text": mark.text}
        for mark in story.marks
    ]
    return found


def write_report(
    out: Path,
    *,
    events: Sequence[Event],
    story: Story | None,
    headsets: Sequence[str],
    material: Material,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write both files and return the report."""
    story = story or Story()
    entries = [headset_report(name, events, registered_s=story.registered_s.get(name)) for name in headsets]
    findings = findings_of(story.claims, events, headsets=headsets)
    report: dict[str, Any] = {
        **facts,
        "headsets": entries,
        "outage": outage_report(headsets[0], events, cut_ns=story.cut_ns, restored_ns=story.restored_ns),
        "deployments": story.deployments,
        "agreement": agreement_entry(material),
        "checker": {"agrees": not findings, "findings": findings},
    }
    report["shortfalls"] = [] if facts["interrupted"] else shortfalls(report)
    report["missed_aims"] = [] if facts["interrupted"] else missed_aims(report)
    write_whole(
        out / "events.jsonl", "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
    )
    write_whole(out / "report.json", json.dumps(report, indent=2) + "\n")
    return report


def agreement_entry(material: Material) -> dict[str, Any]:
    """How the int8 model agrees with its float original on photos it was not calibrated on."""
    if material.refused:
        return {"refused": list(material.refused), "distinct_photos": {}}
    manifest = material.small.manifest
    return {
        **manifest.agreement,
        "distinct_photos": {
            "calibration": manifest.calibration["calibration_photos"],
            "held_back": manifest.calibration["held_back_photos"],
        },
        "calibration": manifest.calibration,
    }


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
