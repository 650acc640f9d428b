import itertools
import json
import subprocess
import sys
import time

import pytest

from bench.offload import _moments, _turn, aims, quantile_ms, summary

MS = 1_000_000


def samples(**ms: float) -> dict[str, list[int]]:
    return {name: [int(value * MS)] * 9 for name, value in ms.items()}


def test_ours_is_set_against_the_floor_and_against_paho():
    figures = summary(
        samples(floor=0.5, paho=1.0, session=1.1, codec=1.5),
        dict.fromkeys(("floor", "paho", "session", "codec"), 0),
    )
    assert figures["without_codec"] == {"ratio_p50": 2.2, "added_ms_p50": 0.6, "against_paho_p50": 1.1}
    assert figures["with_codec"]["added_ms_p50"] == 1.0
    assert figures["paths"]["paho"] == {"n": 9, "lost": 0, "p50_ms": 1.0, "p99_ms": 1.0}


def test_a_path_without_replies_has_no_figures_and_meets_no_aim():
    figures = summary(
        {"floor": [MS], "paho": [MS], "session": [], "codec": []},
        {"floor": 0, "paho": 0, "session": 4, "codec": 4},
    )
    rows = aims({"50KB": {"paced": figures}, "150KB": {"paced": figures}})
    assert [row["met"] for row in rows] == [False] * 4


@pytest.mark.parametrize(("added", "met"), [(1.0, True), (1.001, False)])
def test_an_aim_is_met_up_to_its_limit(added, met):
    figures = {"without_codec": {"added_ms_p50": added, "against_paho_p50": 1.0}}
    rows = aims({"50KB": {"paced": figures}, "150KB": {"paced": figures}})
    assert {row["met"] for row in rows if row["what"] == "added_ms_p50"} == {met}


def test_quantiles_are_samples_in_milliseconds():
    assert quantile_ms([3 * MS, 1 * MS, 2 * MS], 0.5) == 2.0
    assert quantile_ms([], 0.5) is None


def test_every_path_takes_every_place_in_a_round():
    orders = [_turn(["a", "b", "c"], by) for by in range(3)]
    assert {order[0] for order in orders} == {"a", "b", "c"}
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)


def test_paced_round_trips_are_due_at_even_distances():

    started_s = time.perf_counter()
    due = list(itertools.islice(_moments(started_s, seconds=60, slots=4, paced=True), 5))
    assert due[4] - due[0] == pytest.approx(1 / 30)


def test_the_bench_measures_every_size_and_mode_on_every_path(mosquitto_binary, tmp_path):
    out = tmp_path / "offload.json"
    command = [sys.executable, "-m", "bench.offload", "--seconds", "2", "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert json.loads(done.stdout) == report
    assert list(report["results"]) == ["20KB", "50KB", "150KB", "900KB"]
    for size in report["results"].values():
        for row in size.values():
            assert all(path["n"] > 0 for path in row["paths"].values())
            assert set(row) == {"paths", "without_codec", "with_codec"}
    assert report["machine"]["mosquitto"]
    assert len(report["aims"]) == 4
