"""``node run --placement``: what is no placement is a usage error that says how to write one."""

import pytest
from typer.testing import CliRunner

from edge_node.cli import node


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
