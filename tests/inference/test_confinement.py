"""Children that open strange model files have little of the machine, and nothing of the environment's secrets."""

import resource
import signal
import subprocess
import sys

import pytest

from inference import child
from inference.child import open_in_child
from inference.confinement import child_environment
from tests.inference.made_tflite import Made

LIMITED = "from inference.confinement import confine; confine(cpu_s={cpu_s}, memory_bytes=64 << 20); {then}"


def in_child(then, *, cpu_s=20):
    command = [sys.executable, "-c", LIMITED.format(cpu_s=cpu_s, then=then)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_more_memory_than_allowed_is_refused_to_the_child():
    done = in_child("bytearray(1 << 30)")
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_a_child_that_computes_without_end_is_ended_by_the_system():
    assert in_child("sum(1 for _ in iter(int, 1))", cpu_s=0).returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def test_a_child_leaves_no_core_dump():
    done = in_child("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))")
    assert done.stdout.strip() == "(0, 0)"


def test_the_parent_keeps_its_own_limits(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_AS)
    open_in_child(tmp_path / "gone.tflite", runtime="litert")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_no_secret_of_the_environment_reaches_a_child():
    given = {
        "PATH": "/bin",
        "PYTHONPATH": "src",
        "HEADWAY_PASSWORD": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    passed_on = child_environment(given)
    assert passed_on["PYTHONPATH"] == "src"
    assert "secret" not in passed_on.values()


def test_a_model_that_wants_more_than_there_is_is_refused(tmp_path):
    maker = Made(shape=(1, 1 << 15, 1 << 15))
    maker.operator("ADD", ["x", "x"], ["y"])
    path = tmp_path / "huge.tflite"
    path.write_bytes(maker.content())
    report = open_in_child(path, runtime="litert")
    assert report.outcome in ("refused", "crashed"), report
    assert not report.passed


def test_an_exhausted_time_of_the_processor_counts_as_hung(monkeypatch, tmp_path):
    fake = tmp_path / "python"
    fake.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import os; os.kill(os.getpid(), {int(signal.SIGXCPU)})'\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(fake))
    assert open_in_child(tmp_path / "model.tflite", runtime="litert").outcome == "hung"


@pytest.mark.parametrize("runtime", ["litert", "tflite"])
def test_a_runtime_that_is_not_there_or_a_file_that_is_not_is_said(tmp_path, runtime):
    report = open_in_child(tmp_path / "gone.tflite", runtime=runtime)
    assert report.outcome == "refused"
    assert report.detail
