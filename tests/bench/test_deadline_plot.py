"""The picture of the deadline: drawn of what there is, refused where there is nothing."""

from bench.deadline_plot import draw

POLICIES = ("deadline", "offload")


def row(policy, hit, apart, **more):
    return {
        "policy": policy,
        "hit": hit,
        "by_worker": 0.6,
        "local_runs": 0.4,
        "hit_less_deadline": apart,
        "by_worker_less_deadline": apart,
        **more,
    }


GRID = {
    "by_trace": {
        "step": [row("deadline", 0.99, [0, 0, 0]), row("offload", 0.9, [-0.09, -0.12, -0.05])],
        "outage": [row("deadline", 0.98, [0, 0, 0]), row("offload", 0.8, [-0.18, -0.2, -0.1])],
    },
    "rows": [
        row(policy, 0.9, [0, 0, 0], trace=trace, device=device, deadline_ms=deadline_ms)
        for trace in ("step", "outage")
        for device in ("xr-fast", "xr-slow")
        for deadline_ms in (20, 33, 50)
        for policy in POLICIES
    ],
}
BINS = [{"from": 0.1, "frames": 40, "stated": 0.15, "came": 0.2}]
SKILL = {"skill": 0.4, "error": 0.03}
CALIBRATION = {
    "bins": BINS,
    "bins_after_changes": [],
    "together": {"all": SKILL, "after_changes": SKILL},
}
TRIES = (("offload", "fresh_on_time"), ("local", "fresh_on_time"), ("carried", "late"))
BLACKHOLE = {
    "deadline_ms": 50.0,
    "timeline_back_s": 3.0,
    "timeline": [
        {"after_s": number / 30, "latency_ms": 20.0, "path": path, "outcome": outcome}
        for number, (path, outcome) in enumerate(TRIES)
    ],
}
SIDES = {"real": {"hit_rate": 0.99}, "simulated": {"hit_rate": None}}
CELLS = {"rows": [{"cell": "clean", **SIDES}]}
OVERLOAD = {
    "cells": [
        {
            "name": "even",
            "run": 9,
            "begun_expired": 0,
            "goodput_over_capacity": 0.95,
            "refused_within_rtt_p99": None,
            "jain": 0.99,
        }
    ]
}
SIM = {"rows": [{"host": "prompt", "deadline_ms": 33, "frames": 1_000_000, "unanswered": 0}]}
WHOLE = {
    "sim": SIM,
    "grid": GRID,
    "calibration": CALIBRATION,
    "blackhole": BLACKHOLE,
    "cells": CELLS,
    "overload": OVERLOAD,
}


def test_a_whole_report_is_drawn_and_so_is_each_part_alone(tmp_path):
    out = tmp_path / "deadline.png"
    assert draw(WHOLE, out=out)
    assert out.read_bytes().startswith(b"\x89PNG")
    for part in ("grid", "blackhole", "overload"):
        assert draw({part: WHOLE[part]}, out=out)


def test_where_nothing_that_is_shown_was_measured_nothing_is_drawn(tmp_path):
    assert not draw({"grid": {}, "sim": SIM}, out=tmp_path / "deadline.png")
    assert not (tmp_path / "deadline.png").exists()
