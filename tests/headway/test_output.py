"""What a command says where nobody can take it: on a full disk, and to a reader that has gone."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.headway.door import python

FULL = Path("/dev/full")
LOST = (
    "headway: what it says cannot be written (No space left on device): "
    "make room where its output and its files go\n"
)
NOTHING_THERE = ("model", "ls", "--json", "--store", "nowhere")
COMMANDS = [
    ("--help",),
    ("model", "inspect", "--help"),
    ("doctor", "--json"),
    ("broker", "run", "--json"),
]


def said_to(output, *arguments, held_back=True, **given):
    """Run ``headway ARGUMENTS`` to its end; ``held_back``: Python collects output before it writes it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [*python(), "-m", "headway", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        env=environment if held_back else {**environment, "PYTHONUNBUFFERED": "1"},
        text=True,
        check=False,
        timeout=60,
        **given,
    )


@pytest.fixture
def full():
    if not FULL.exists():
        pytest.skip("needs a device that is always full")
    with FULL.open("w") as output:
        yield output


@pytest.fixture
def left():
    """A pipe whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_below_the_output_ends_a_command_with_one_line(arguments, full):
    done = said_to(full, *arguments)
    assert (done.returncode, done.stderr) == (1, LOST)


def test_a_full_disk_is_told_where_python_holds_nothing_back(full):
    done = said_to(full, "model", "inspect", "--help", held_back=False)
    assert (done.returncode, done.stderr) == (1, LOST)


def test_a_command_that_said_why_it_failed_keeps_its_word_and_its_exit_code(full):
    done = said_to(full, "device", "ls", "--json", "--manager", "http://127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "headway manager run" in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), NOTHING_THERE], ids=" ".join)
def test_a_reader_that_has_gone_ends_a_command_without_a_word(arguments, left, tmp_path):
    done = said_to(left, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_process_without_an_output_still_ends_as_its_command_says():
    done = said_to(None, "device", "ls", "--manager", "http://127.0.0.1:9", preexec_fn=lambda: os.close(1))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
