"""``node run --placement`` and ``--policy``: what cannot stand is a usage error that says how to write it."""

from typing import get_args

import pytest
from typer.testing import CliRunner

from edge_node.cli import _split_config, node
from schemas.deployments import PolicyName, SplitConfig


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--policy", "split"], "needs placement.head_end and placement.tail_start"),
        (["--policy", "split", "--placement", "20"], "write two positions, such as 20:59"),
        (["--policy", "split", "--placement", "a:b"], "write two positions"),
        (["--policy", "split", "--placement", "59:20"], "tail_start must lie behind placement.head_end"),
        (["--policy", "split", "--placement", "0:70000"], "tail_start"),
    ],
)
def test_a_placement_that_cannot_stand_is_refused_before_anything_runs(options, text, tmp_path):
    command = ["run", "--id", "hs-1", "--broker", "mqtt://127.0.0.1:1", "--source", "webcam:0"]
    command += ["--state", str(tmp_path), "--models", str(tmp_path), *options]
    shown = CliRunner().invoke(node, command)
    assert shown.exit_code == 2
    assert text in shown.stderr


def test_an_unknown_policy_is_refused_in_one_line_that_names_those_there_are(tmp_path):
    command = ["run", "--id", "hs-1", "--broker", "mqtt://127.0.0.1:1", "--source", "webcam:0"]
    command += ["--state", str(tmp_path / "state"), "--models", str(tmp_path), "--policy", "nonsense"]
    shown = CliRunner().invoke(node, command)
    assert (shown.exit_code, shown.stdout, shown.stderr.count("\n")) == (2, "", 1)
    assert "policy: " in shown.stderr
    assert all(f"'{name}'" in shown.stderr for name in get_args(PolicyName))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("weights: {quality: much}", "weights.quality: "),
        ("weigths: {quality: 0}", "weigths: "),
        ("- policy", "must hold a YAML or JSON mapping"),
        ("policy: [", "cannot be read"),
        ("a" * 70_000, "is it another file?"),
        (None, "cannot be read"),
    ],
)
def test_a_split_config_file_that_cannot_stand_is_refused_with_what_is_wrong(content, text, tmp_path):
    file = tmp_path / "split.yaml"
    if content is not None:
        file.write_text(content)
    command = ["run", "--id", "hs-1", "--broker", "mqtt://127.0.0.1:1", "--source", "webcam:0"]
    command += ["--state", str(tmp_path), "--models", str(tmp_path), "--split-config", str(file)]
    shown = CliRunner().invoke(node, command)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert text in shown.stderr


def test_options_go_before_the_fields_of_the_file(tmp_path):
    file = tmp_path / "split.json"
    file.write_text('{"policy": "offload", "deadline_ms": 33, "weights": {"quality": 0}}')
    split = _split_config(file, policy=None, deadline_ms=50.0)
    assert (split.policy, split.deadline_ms, split.weights.quality) == ("offload", 50.0, 0)
    assert _split_config(None, policy=None) == SplitConfig()
