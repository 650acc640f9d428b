"""Priorities of threads: a prompt one is prompt only for its block, and nothing it starts is."""

import os
import subprocess
import sys
import threading

import pytest

from edge_node.thread_priority import BEHIND, Priority, prompt_thread

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no priorities of threads")


def test_a_thread_is_prompt_for_its_block_and_what_it_starts_is_not():
    before, seen = os.sched_getscheduler(0), []
    with prompt_thread() as priority:
        if priority is Priority.USUAL:
            pytest.skip("this user may not use real-time priorities")
        assert os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
        other = threading.Thread(target=lambda: seen.append(os.sched_getscheduler(0)))
        other.start()
        other.join()
    assert seen == [os.SCHED_OTHER]
    assert os.sched_getscheduler(0) == before


def test_where_the_system_refuses_the_thread_stays_usual(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with prompt_thread() as priority:
        assert priority is Priority.USUAL


def test_a_block_that_fails_gives_the_priority_back():
    before = os.sched_getscheduler(0)
    with pytest.raises(ZeroDivisionError), prompt_thread():
        1 / 0  # noqa: B018 - anything that fails
    assert os.sched_getscheduler(0) == before


def test_a_process_that_stands_back_runs_only_where_nobody_else_wants_a_core():
    ask = "import os; from edge_node.thread_priority import stand_back; stand_back(); print(os.sched_getscheduler(0), os.nice(0))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    policy, niceness = done.stdout.split()
    assert int(policy) == os.SCHED_IDLE
    assert int(niceness) == os.nice(0) + BEHIND
