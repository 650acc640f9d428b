"""The set-up on a tiny project: a real venv, a real pip, wheels made here, no network."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from headway import setup, venv
from headway.errors import SetupError
from headway.setup import Plan, cache_dir, is_complete, set_up, stamped_extras
from headway.steps import REMEDIES, Progress, remedy
from schemas import places

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_S = 60.0

# A build backend of twenty lines. It waits while the file HOLD is there, so that tests can interrupt a set-up.
BACKEND = """
import os, time, zipfile
METADATA = "Metadata-Version: 2.1\\nName: tinyproject\\nVersion: 1.0\\nProvides-Extra: edge\\nProvides-Extra: test\\n" \\
    "Provides-Extra: absent\\nRequires-Dist: tinydep; extra == 'edge'\\nRequires-Dist: tinytest; extra == 'test'\\n" \\
    "Requires-Dist: nowhere-to-be-found; extra == 'absent'\\n"
WHEEL = "Wheel-Version: 1.0\\nTag: py3-none-any\\nRoot-Is-Purelib: true\\n"

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(folder, config_settings=None, metadata_directory=None):
    open("BUILDING", "w").close()
    deadline = time.monotonic() + 60
    while os.path.exists("HOLD") and time.monotonic() < deadline:
        time.sleep(0.02)
    name = "tinyproject-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("tinyproject-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tinyproject-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("tinyproject-1.0.dist-info/RECORD", "")
    return name
"""


def write_wheel(folder: Path, name: str, source: str = "") -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", source)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project with its environment set up once for the extra `edge`."""
    folder = tmp_path_factory.mktemp("project")
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, source in {"tinybackend": BACKEND, "tinydep": "", "tinytest": ""}.items():
        write_wheel(wheels, name, source)
    build = '[build-system]\nrequires = ["tinybackend"]\nbuild-backend = "tinybackend"\n'
    (folder / "pyproject.toml").write_text(build)
    (folder / "constraints.txt").write_text("tinybackend==1.0\ntinydep==1.0\ntinytest==1.0\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_pip(folder).items():
            patch.setenv(name, value)
        assert set_up(plan_of(folder), Progress())
    return folder


def local_pip(project: Path) -> dict[str, str]:
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(project / "wheels"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_COMPILE": "1",
    }


@pytest.fixture(autouse=True)
def only_local_wheels(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_pip(project).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def hold(project: Path):
    """While this file exists, a set-up of the project waits in its last step."""
    path = project / "HOLD"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def plan_of(project: Path, *extras: str) -> Plan:
    return Plan(
        repository=project,
        venv=project / ".venv",
        extras=extras or ("edge",),
        backend=("tinybackend",),
        wheel_cache=cache_dir(os.environ),
    )


def stamp(project: Path) -> Path:
    return project / ".venv" / setup.STAMP_NAME


def start(project: Path, *, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Run the set-up as a process group of its own, as a shell would."""
    code = (
        "import sys; from pathlib import Path; from headway.setup import main; "
        f"sys.exit(main(['--extras', 'edge'], repository=Path({str(project)!r}), backend=('tinybackend',)))"
    )
    pipe = subprocess.PIPE
    command = [*prefix, sys.executable, "-c", code]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command, cwd=project, stdout=pipe, stderr=pipe, text=True, env=environ, start_new_session=True
    )


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long: {what}"
        time.sleep(0.02)


def start_and_wait_until_building(project: Path) -> subprocess.Popen[str]:
    stamp(project).unlink(missing_ok=True)
    (project / "BUILDING").unlink(missing_ok=True)
    process = start(project)
    wait_until((project / "BUILDING").exists, "the last step begins")
    return process


@pytest.fixture
def complete(project: Path) -> None:
    """The environment is whole at the start of the test, whatever the test before left."""
    set_up(plan_of(project), Progress())


def test_the_environment_holds_the_project_and_its_extra(project, complete):
    done = subprocess.run([project / ".venv/bin/python", "-c", "import tinydep"], check=False)
    assert done.returncode == 0
    assert stamped_extras(plan_of(project)) == {"edge"}


def test_a_second_run_starts_no_process(project, complete, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a process"))
    assert not set_up(plan_of(project), Progress())


def test_a_second_run_needs_no_network(project, complete):
    prefix: tuple[str, ...] = ("unshare", "--map-root-user", "--net")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        prefix = ()  # no namespaces here: the local index alone has to do
    process = start(project, prefix=prefix)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert out == "setup: nothing to do (.venv: edge)\n"


def test_more_extras_are_added_and_fewer_need_nothing(project, complete):
    assert set_up(plan_of(project, "test"), Progress())
    assert stamped_extras(plan_of(project)) == {"edge", "test"}
    assert not set_up(plan_of(project, "edge"), Progress())


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_another_text_of_what_is_wanted_is_another_environment(project, complete, name):
    before = (project / name).read_text()
    (project / name).write_text(before + "\n# changed\n")
    assert not is_complete(plan_of(project))
    (project / name).write_text(before)
    assert is_complete(plan_of(project))


def test_another_python_is_another_environment(project, complete, monkeypatch):
    monkeypatch.setattr(sys, "version", "3.99.0")
    assert not is_complete(plan_of(project))


def test_a_package_cut_off_in_the_middle_is_installed_again(project):
    site = next((project / ".venv").glob("lib/python*/site-packages"))
    record = site / "tinydep-1.0.dist-info" / "RECORD"
    record.write_text("tinydep.py,,\n")
    (site / "tinydep.py").unlink()
    stamp(project).unlink(missing_ok=True)
    assert set_up(plan_of(project), Progress())
    assert (site / "tinydep.py").exists()
    assert venv.drop_half_installed(project / ".venv") == []


def test_a_broken_environment_is_made_anew_and_pip_comes_out_of_its_wheel_without_ensurepip(
    project, monkeypatch, tmp_path
):
    # Where ensurepip is missing here, the wheel that set this environment up is still in the cache.
    here = importlib.util.find_spec("ensurepip")
    folders = [Path(str(here.origin)).parent / "_bundled"] if here else []
    folders += [cache_dir(os.environ) / "python3-pip-whl", Path("/usr/share/python-wheels")]
    bundled = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
    assert bundled, f"no wheel of pip in {folders}"
    (tmp_path / "python3-pip-whl").mkdir()
    shutil.copy(bundled[0], tmp_path / "python3-pip-whl")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (project / ".venv/bin/python").unlink()
    plan = Plan(
        repository=project,
        venv=project / ".venv",
        extras=("edge",),
        backend=("tinybackend",),
        wheel_cache=tmp_path,
    )
    assert set_up(plan, Progress())
    assert is_complete(plan_of(project))


def test_a_full_disk_at_the_last_write_leaves_no_stamp(project):
    stamp(project).unlink(missing_ok=True)
    part = stamp(project).with_name(setup.STAMP_NAME + ".part")
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        setup._write_stamp(plan_of(project), ["edge"])
    part.unlink()
    assert not stamp(project).exists()


def test_after_sigkill_the_next_run_waits_for_what_is_left_and_completes(project, hold):
    first = start_and_wait_until_building(project)
    first.kill()
    first.communicate(timeout=WAIT_S)
    second = start(project)
    assert "waiting for it to end" in second.stdout.readline()
    hold.unlink()
    _, err = second.communicate(timeout=WAIT_S)
    assert second.returncode == 0, err
    assert is_complete(plan_of(project))


def test_of_two_runs_at_once_one_waits_and_has_nothing_to_do(project, hold):
    first = start_and_wait_until_building(project)
    second = start(project)
    assert "waiting for it to end" in second.stdout.readline()
    hold.unlink()
    first_out, _ = first.communicate(timeout=WAIT_S)
    second_out, _ = second.communicate(timeout=WAIT_S)
    assert first_out.splitlines()[-1].startswith("setup: ready")
    assert second_out.splitlines()[-1].startswith("setup: nothing to do")


def test_ctrl_c_leaves_no_stamp_and_says_how_to_go_on(project, hold):
    process = start_and_wait_until_building(project)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "run it again" in err
    assert not stamp(project).exists()


def test_a_failed_step_names_the_fix_and_leaves_no_stamp(project):
    with pytest.raises(SetupError, match="no package index can be reached"):
        set_up(plan_of(project, "absent"), Progress())
    assert not stamp(project).exists()


def test_tflite_refuses_to_share_an_environment(project):
    (project / "constraints-tflite.txt").touch()
    with pytest.raises(SetupError, match="environment of its own"):
        set_up(plan_of(project, "tflite", "edge"), Progress())


def test_tflite_is_refused_on_a_python_it_has_no_release_for(project, monkeypatch):
    (project / "constraints-tflite.txt").touch()
    monkeypatch.setattr(setup, "TFLITE_ENDS", (3, 10))
    with pytest.raises(SetupError, match=r"use 3\.10 or 3\.11"):
        set_up(plan_of(project, "tflite"), Progress())


def test_an_old_python_is_told_what_to_do():
    code = f"import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path({str(REPOSITORY / 'headway/setup.py')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.10" in done.stderr
    assert "make PYTHON=" in done.stderr


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "free about",
        ),
        ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        ("ERROR: ResolutionImpossible: for help visit", "lift that"),
        ("NewConnectionError: Temporary failure in name resolution", "connect to the network"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "connect to the network"),
        ("ERROR: something new", "whole output is in"),
    ],
)
def test_what_pip_says_names_the_fix(said, fix, tmp_path):
    assert fix in remedy([said], log_path=tmp_path / "setup.log")


def test_every_remedy_tells_what_to_do():
    assert all("run again" in fix or "lift" in fix for _, fix in REMEDIES)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HEADWAY_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/headway"),
        ({"HEADWAY_CACHE": "", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/headway"),
        ({"HEADWAY_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/headway"),
        ({"HEADWAY_CACHE": "here"}, "here"),
        ({"HOME": "/c"}, "/c/.cache/headway"),
        ({"HOME": ""}, str(Path.home() / ".cache" / "headway")),
        ({}, str(Path.home() / ".cache" / "headway")),
    ],
)
def test_the_cache_follows_the_environment_before_and_after_the_packages_are_there(environ, expected):
    assert cache_dir(environ) == places.cache_dir(environ) == Path(expected)


def test_every_package_of_the_project_has_an_exact_version():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") and not pin.url for pin in pins)
    wanted = [Requirement(text) for text in project["project"]["dependencies"]]
    for extra, texts in project["project"]["optional-dependencies"].items():
        wanted += [Requirement(text) for text in texts if extra != "tflite"]
    for version in ("3.10", "3.11", "3.12", "3.13"):
        for requirement in wanted:
            of_name = [pin for pin in pins if pin.name.lower() == requirement.name.lower()]
            valid = [
                pin for pin in of_name if not pin.marker or pin.marker.evaluate({"python_version": version})
            ]
            assert len(valid) == 1, f"{requirement.name} on Python {version}"
            assert requirement.specifier.contains(str(valid[0].specifier).removeprefix("=="))
