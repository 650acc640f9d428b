"""``headway model place``: what it chooses, how it says why, and what it needs for that."""

import hashlib
import json

import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from typer.testing import CliRunner

from inference.cli import model as command
from inference.errors import PlacementError
from inference.profile.stored import read_profile
from schemas.deployments import SplitConfig

STEPS = 4


@pytest.fixture
def model(tmp_path):
    """A chain of four operators that halves its tensor with each of them."""
    size, nodes, stored = 4096, [], []
    for step in range(STEPS):
        stored.append(helper.make_tensor(f"begin{step}", TensorProto.INT64, [1], [0]))
        stored.append(helper.make_tensor(f"end{step}", TensorProto.INT64, [1], [size >> (step + 1)]))
        nodes.append(helper.make_node("Slice", [f"t{step}", f"begin{step}", f"end{step}"], [f"t{step + 1}"]))
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, [size])],
        [helper.make_tensor_value_info(f"t{STEPS}", TensorProto.FLOAT, [size >> STEPS])],
        stored,
    )
    path = tmp_path / "halves.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(made.SerializeToString())
    onnx.checker.check_model(str(path))
    return path


def profile(model, hardware, *, step_ms, **change):
    """A profile with this time an operator; half as much again at p95, twice as much at p99."""
    row = {
        "schema": "headway.profile/1",
        "hardware": hardware,
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "levels": [0.5, 0.95, 0.99],
        "positions": list(range(STEPS + 1)),
        "prefix_ns": [[step_ms * 1e6 * k * slow for k in range(STEPS + 1)] for slow in (1, 1.5, 2)],
    }
    path = model.parent / f"{hardware}.json"
    path.write_text(json.dumps(row | change))
    return path


def place(model, *more):
    profiles = [profile(model, "hmd", step_ms=4), profile(model, "desktop", step_ms=0.2)]
    words = ["place", str(model), "--device", "hmd", "--worker", "desktop", "--deadline", "20", *more]
    words += [word for path in profiles for word in ("--profile", str(path))]
    return CliRunner().invoke(command, words)


def test_a_fast_road_sends_the_input_and_the_answer_says_what_it_is_made_of(model):
    result = place(model, "--rtt", "2", "--uplink", "500", "--json")
    assert result.exit_code == 0, result.output
    view = json.loads(result.stdout)
    chosen = view["chosen"]
    assert chosen["id"] == "halves:0-4:raw"
    assert chosen["words"] == ("the headset sends 16384 B of input, the worker runs all 4 and returns 1024 B")
    assert sum(chosen["terms_ms"].values()) == pytest.approx(chosen["quantiles_ms"]["p50"], abs=0.001)
    assert chosen["terms_ms"]["rtt"] == 2
    assert {row["id"] for row in view["runners_up"]} >= {"halves:local"}
    assert all(row["why_not"] for row in view["runners_up"])


def test_survivors_join_without_gaps_from_local_to_offload(model):
    view = json.loads(place(model, "--rtt", "2", "--uplink", "500", "--json").stdout)
    reigns = view["survivors"]
    assert reigns[0]["id"] == "halves:local"
    assert reigns[-1]["id"] == "halves:0-4:raw"
    assert reigns[0]["from_mbps"] == 0
    assert reigns[-1]["to_mbps"] is None
    assert [row["to_mbps"] for row in reigns[:-1]] == [row["from_mbps"] for row in reigns[1:]]


def test_pairs_of_cuts_are_told_as_a_split_config_names_them(model):
    near = ["--rtt", "2", "--uplink", "150"]
    told = json.loads(place(model, *near, "--json").stdout)
    assert [row["id"] for row in told["survivors"]][1:3] == ["halves:2-4:raw", "halves:1-4:raw"]
    config = SplitConfig.model_validate({"policy": "deadline", **told["split_config"]})
    assert str(config.placement.placement) == "2:4"
    assert [str(other.placement) for other in config.placements] == ["1:4"]
    written = place(model, *near).stdout.split("weighs every pair):\n")[1]
    assert yaml.safe_load(written) == told["split_config"]


def test_where_no_cut_is_best_on_any_road_no_split_config_is_told(model):
    far = json.loads(place(model, "--rtt", "500", "--uplink", "40", "--json").stdout)
    assert [row["id"] for row in far["survivors"]] == ["halves:local"]
    assert far["split_config"] == {}


def test_a_slow_road_keeps_the_model_on_the_headset(model):
    result = place(model, "--rtt", "60", "--uplink", "40")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("halves:local: the headset runs all 4 operators")
    assert "not chosen:" in result.stdout


def test_a_shaky_road_is_judged_at_each_level(model):
    steady = json.loads(place(model, "--rtt", "2", "--uplink", "500", "--json").stdout)
    shaky = json.loads(place(model, "--rtt", "2,30,90", "--uplink", "500,5,1", "--json").stdout)
    assert steady["chosen"]["chance"] == pytest.approx(0.99)
    assert shaky["chosen"]["quantiles_ms"]["p99"] > shaky["chosen"]["quantiles_ms"]["p50"]
    assert shaky["chosen"]["chance"] < 0.95


def test_a_cloud_takes_the_end_of_the_model_in_the_three_tier_family(model):
    cloud = [
        "--cloud",
        "rack",
        "--profile",
        str(profile(model, "rack", step_ms=0.001)),
        "--family",
        "three-tier",
    ]
    near = ["--rtt", "2", "--uplink", "500", "--json"]
    far = json.loads(place(model, *near, *cloud, "--cloud-rtt", "50").stdout)
    assert far["chosen"]["id"] == "halves:0-4-4:raw"
    assert far["chosen"]["words"].endswith("the worker runs all 4 and returns 1024 B")
    close = json.loads(place(model, *near, *cloud, "--cloud-rtt", "0.01", "--backhaul", "100000").stdout)
    chosen = close["chosen"]
    assert chosen["id"] == "halves:0-0-4:raw"
    assert chosen["words"].endswith("the worker passes it on, the cloud runs all 4 and returns 1024 B")
    assert sum(chosen["terms_ms"].values()) == pytest.approx(chosen["quantiles_ms"]["p50"], abs=0.001)
    assert chosen["terms_ms"]["cloud_rtt"] == 0.01


def test_a_worthy_joule_moves_work_off_the_headset(model):
    road = ["--rtt", "60", "--uplink", "40", "--json", "--device-watts", "3", "--radio-watts", "0.5"]
    fast = json.loads(place(model, *road).stdout)
    thrifty = json.loads(place(model, *road, "--deadline", "500", "--joule-weight", "100000").stdout)
    assert fast["chosen"]["id"] == "halves:local"
    assert fast["chosen"]["energy_mj"] == pytest.approx(
        3 * 16 * 1.1525, rel=1e-3
    )  # watts, ms, mean of levels
    assert thrifty["chosen"]["energy_mj"] < fast["chosen"]["energy_mj"]
    assert any("costs more energy" in row["why_not"] for row in thrifty["runners_up"])


def test_a_dear_worker_is_used_only_where_it_is_worth_its_price(model):
    road = ["--rtt", "2", "--uplink", "500", "--deadline", "500", "--json", "--worker-price", "10"]
    assert json.loads(place(model, *road).stdout)["chosen"]["id"] == "halves:0-4:raw"
    cheap = json.loads(place(model, *road, "--price-weight", "10000").stdout)["chosen"]
    assert (cheap["id"], cheap["price"]) == ("halves:local", 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--family", "four-tier"], "choose one of u, three-tier"),
        (["--cloud", "rack"], "add --family three-tier"),
    ],
)
def test_families_that_do_not_fit_are_wrong_usage(model, words, reason):
    result = place(model, "--rtt", "2", "--uplink", "40", *words)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_rates_with_the_slowest_first_are_refused(model):
    result = place(model, "--rtt", "2", "--uplink", "1,5,500")
    assert result.exit_code == 1
    assert "the slowest last" in result.stderr


def test_the_picture_is_written(model):
    pytest.importorskip("matplotlib")
    picture = model.parent / "place.png"
    result = place(model, "--rtt", "2", "--uplink", "40", "--plot", str(picture))
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_missing_profile_is_named_with_its_fix(model):
    words = ["place", str(model), "--device", "hmd", "--worker", "desktop", "--rtt", "2", "--uplink", "9"]
    result = CliRunner().invoke(command, [*words, "--deadline", "20"])
    assert result.exit_code == 3
    assert "no profile of halves.onnx on hmd" in result.stderr
    assert "headway model profile" in result.stderr


@pytest.mark.parametrize("value", ["fast", "1,2", "-1", "nan", "0"])
def test_rates_that_are_none_are_wrong_usage(model, value):
    result = place(model, "--rtt", "2", "--uplink", value)
    assert result.exit_code == 2
    assert "--uplink" in result.stderr


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "other"}, "is no profile"),
        ({"levels": []}, "cannot be read"),
        ({"prefix_ns": [[0, "x"]]}, "cannot be read"),
    ],
)
def test_files_that_are_no_profiles_are_refused(model, change, reason):
    with pytest.raises(PlacementError, match=reason):
        read_profile(profile(model, "hmd", step_ms=1, **change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"positions": [0, 4]}, "covers 2 cuts"),
        ({"prefix_ns": [[0.0, 1.0, 2.0, 3.0, 4.0]]}, "a row a level"),
        ({"measured": [{"start": 0, "end": 9, "ns": [1, 2, 3]}]}, "not between its positions"),
        ({"prefix_ns": [[0.0, float("inf"), 2.0, 3.0, 4.0]] * 3}, "finite"),
    ],
)
def test_profiles_that_do_not_fit_the_model_are_refused(model, change, reason):
    with pytest.raises(PlacementError, match=reason):
        read_profile(profile(model, "hmd", step_ms=1, **change)).table(tuple(range(STEPS + 1)))


def test_a_second_model_competes_within_the_loss_that_is_allowed(model):
    other = model.parent / "quick.onnx"
    graph = onnx.load(str(model))
    graph.doc_string = "the same, and another file"
    onnx.save(graph, str(other))
    profiles = [
        profile(file, hardware, step_ms=step_ms)
        for file, hardware, step_ms in ((other, "slow", 1), (other, "fast", 0.1))
    ]
    known = [path.rename(path.with_name(f"other-{path.name}")) for path in profiles]
    known += [profile(model, "slow", step_ms=4), profile(model, "fast", step_ms=0.2)]
    words = ["place", str(model), "--device", "slow", "--worker", "fast", "--rtt", "60", "--uplink", "40"]
    words += ["--deadline", "20", "--json", *(word for path in known for word in ("--profile", str(path)))]
    for limit, chosen in (("0.1", "quick:local"), ("0.01", "halves:local")):
        done = CliRunner().invoke(command, [*words, "--variant", f"{other}=0.05", "--loss-limit", limit])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["chosen"]["id"] == chosen


@pytest.mark.parametrize("word", ["quick.onnx", "quick.onnx=much", "=0.1", "quick.onnx=2"])
def test_a_variant_without_its_loss_is_wrong_usage(model, word):
    result = place(model, "--rtt", "2", "--uplink", "9", "--variant", word)
    assert result.exit_code == 2
    assert "--variant" in result.stderr
