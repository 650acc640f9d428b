"""Priorities of threads: a prompt one is prompt only for its block, and nothing it starts is."""

import os
import subprocess
import sys
import threading

import pytest

from edge_node.thread_priority import BEHIND, BESIDE_FRAMES, FRAMES, Priority, prompt_thread, stand_beside

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


def scheduled(otherwise_nice):
    """How a thread is scheduled that stands beside frames, and what it starts."""
    seen = []

    def look():
        who = threading.get_native_id()
        seen.append((os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority))
        seen.append(os.getpriority(os.PRIO_PROCESS, who))

    def beside():
        stand_beside(otherwise_nice=otherwise_nice)
        look()
        other = threading.Thread(target=look)
        other.start()
        other.join()

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    return seen


def test_what_shares_the_interpreter_with_frames_goes_before_others_and_after_them():
    own, _, started, _ = scheduled(5)
    if own[0] == os.SCHED_OTHER:
        pytest.skip("this user may not use real-time priorities")
    assert own == (os.SCHED_RR, BESIDE_FRAMES)
    assert BESIDE_FRAMES < FRAMES
    assert started == (os.SCHED_OTHER, 0)


def test_where_the_system_refuses_a_thread_that_computes_stands_back(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError

    usual = os.getpriority(os.PRIO_PROCESS, 0)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    own, niceness, _, _ = scheduled(5)
    assert (own[0], niceness) == (os.SCHED_OTHER, 5)
    assert scheduled(0)[1] == usual
