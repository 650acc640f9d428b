"""The one command: what it loads, what it says before loading anything, and what it answers when a part is missing."""

import json
import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

from headway import cli
from headway.cli import COMMANDS, OWN, build

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.headway.door import REPOSITORY, headway, python

ROOMS = ("edge_node", "cloud_worker", "fleet_manager", "inference", "broker", "integrations", "schemas")
HEAVY = ("sqlalchemy", "ai_edge_litert", "onnxruntime", "cv2", "numpy", "fastapi", "matplotlib", "paho")
NAMES = [row.name for row in (*COMMANDS, *OWN)]


def tree(name):
    """Every command under a name: path and click command, groups included."""
    found = []

    def walk(command, path):
        found.append((path, command))
        for word, inner in sorted(getattr(command, "commands", {}).items()):
            walk(inner, (*path, word))

    walk(typer.main.get_command(build([name])).commands[name], (name,))
    return found


EVERY = [pair for name in NAMES for pair in tree(name)]
LEAVES = [(path, command) for path, command in EVERY if not hasattr(command, "commands")]


def spoken(path):
    return " ".join(path)


def loaded_by(*arguments):
    """Modules in a process after ``headway ARGUMENTS`` ended there."""
    code = (
        "import json, sys\n"
        "from headway.cli import main\n"
        "sys.argv = ['headway', *json.loads(sys.argv[1])]\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "sys.stderr.write(json.dumps([code, sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [*python(), "-c", code, json.dumps(arguments)], capture_output=True, text=True, check=True, timeout=60
    )
    code, modules = json.loads(done.stderr[done.stderr.index("[") :])
    return code, set(modules)


def run_without(modules, *arguments):
    """``headway ARGUMENTS`` in a process where these modules cannot be imported."""
    code = (
        "import json, sys\n"
        "words = json.loads(sys.argv[1])\n"
        "sys.modules.update(dict.fromkeys(words[0]))\n"
        "sys.argv = ['headway', *words[1]]\n"
        "from headway.cli import main; main()"
    )
    return subprocess.run(
        [*python(), "-c", code, json.dumps([modules, arguments])],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_imports_no_room_and_nothing_heavy():
    code, modules = loaded_by("--help")
    assert code == 0
    assert "headway.cli" in modules
    assert not modules & {*ROOMS, *HEAVY}


def test_help_names_every_command_with_what_it_is_for():
    shown = headway("--help")
    assert shown.returncode == 0
    assert "Example: headway demo" in shown.stdout
    for row in (*COMMANDS, *OWN):
        assert row.name in shown.stdout
        assert row.summary.split(",")[0].split(":")[0] in shown.stdout


def test_no_argument_shows_the_help():
    assert "Usage" in CliRunner().invoke(build([]), []).output


def test_a_headsets_commands_load_no_database_and_no_server():
    code, modules = loaded_by("node", "run", "--help")
    assert code == 0
    assert "edge_node.cli" in modules
    assert not modules & {"sqlalchemy", "alembic", "fastapi", "uvicorn", "fleet_manager", "cloud_worker"}


def test_a_headset_that_runs_loads_no_database_and_no_server(models_dir, tmp_path):
    """Up to where it would open its source: everything that `node run` imports is imported by then."""
    code, modules = loaded_by(
        *("node", "run", "--id", "hs-1", "--broker", "mqtt://127.0.0.1:1", "--source", "walk:nothing.ring"),
        *("--state", str(tmp_path / "state"), "--models", str(models_dir)),
    )
    assert code == 3
    assert "edge_node.main" in modules
    assert not modules & {"sqlalchemy", "alembic", "fastapi", "uvicorn", "fleet_manager", "cloud_worker"}


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[spoken(path) for path, _ in EVERY])
def test_every_command_has_help_with_an_example(path, command):
    shown = CliRunner().invoke(build([path[0]]), [*path, "--help"])
    assert shown.exit_code == 0
    example = next((line for line in shown.output.splitlines() if "Example:" in line), "")
    assert f"headway {path[0]}" in example, f"`headway {spoken(path)} --help` gives no example of itself"


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[spoken(path) for path, _ in LEAVES])
def test_every_command_that_answers_can_answer_in_json(path, command):
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[spoken(path) for path, _ in LEAVES])
def test_an_unknown_option_is_a_usage_error(path, command):
    shown = CliRunner().invoke(build([path[0]]), [*path, "--no-such-option"])
    assert shown.exit_code == 2


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"], ["device", "no-such"]])
def test_a_command_that_does_not_exist_is_a_usage_error(arguments):
    shown = CliRunner().invoke(build(arguments), arguments)
    assert shown.exit_code == 2
    assert "No such" in shown.stderr
    assert shown.stdout == ""


NEEDS = [
    ("manager", ["sqlalchemy", "fastapi", "uvicorn"], ["run", "--broker", "mqtt://127.0.0.1:1"]),
    ("model", ["cv2"], ["ls"]),
    (
        "node",
        ["cv2"],
        ["run", "--id=a", "--broker=mqtt://127.0.0.1:1", "--source=webcam:0", "--state=s", "--models=m"],
    ),
    ("demo", ["matplotlib"], []),
]


@pytest.mark.parametrize(("name", "modules", "arguments"), NEEDS, ids=[row[0] for row in NEEDS])
def test_a_missing_extra_is_answered_with_the_line_that_installs_it(tmp_path, name, modules, arguments):
    shown = run_without(modules, name, *arguments)
    extra = next(row.extra for row in (*COMMANDS, *OWN) if row.name == name)
    assert shown.returncode == 3, shown.stderr
    assert f"install headway[{extra}]" in shown.stderr
    assert any(f"missing: {module}" in shown.stderr for module in modules)
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""


def test_a_command_whose_entry_point_is_gone_says_so(monkeypatch, capsys):
    monkeypatch.setattr(cli, "entry_points", lambda **_: [])
    with pytest.raises(SystemExit) as end:
        build(["device", "ls"])
    assert end.value.code == 3
    assert "install headway[manager]" in capsys.readouterr().err


def test_the_doctor_examines_a_machine_that_has_no_extra():
    shown = run_without([name for name in HEAVY if name not in ("numpy", "paho")], "doctor", "--json")
    assert "Traceback" not in shown.stderr
    assert {"python", "packages", "mosquitto"} <= {row["name"] for row in json.loads(shown.stdout)["checks"]}


def test_every_entry_point_is_a_row_of_the_door_and_every_row_has_one():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["entry-points"][cli.GROUP]) == {row.name for row in COMMANDS}
    assert project["scripts"] == {"headway": "headway.cli:main"}


def test_every_extra_that_a_row_names_exists():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for row in (*COMMANDS, *OWN) for extra in row.extra.split(",")}
    assert named <= set(project["optional-dependencies"])


def test_no_command_of_a_room_hides_one_of_the_door():
    assert len(NAMES) == len(set(NAMES))


def test_an_error_goes_to_stderr_and_leaves_stdout_to_the_answer(tmp_path):
    shown = headway("device", "ls", "--json", "--manager", "http://127.0.0.1:9")
    assert shown.returncode == 3
    assert shown.stdout == ""
    assert "headway manager run" in shown.stderr
