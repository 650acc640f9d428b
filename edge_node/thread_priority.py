"""Shell: lets one thread of this process go after the others, or before them, where the system knows priorities of threads.

Only where the system allows it (root, CAP_SYS_NICE or a limit RTPRIO of at least 2) does anything go before others. First
the thread that answers frames: one that is woken 3 ms late on a busy host answers a frame 3 ms late. Then those it shares
the interpreter with, local runs, roads and events: whoever holds the interpreter and is put off the core for another
process keeps the frames waiting for as long, however prompt their thread is. What any of them starts has the usual
priority. Work that takes long must stay off the first.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

FRAMES, BESIDE_FRAMES = 2, 1  # real-time priorities
BEHIND = 10


class Priority(str, Enum):
    """How the system treats a thread."""

    REALTIME = "realtime"
    USUAL = "usual"


def make_thread_nice(niceness: int, /) -> None:
    """Lower the calling thread's priority; elsewhere than on Linux that would lower the whole process's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def stand_back() -> None:
    """Let this whole process, while it has one thread, run only where nothing else wants a core (Linux), or less often.

    A lower share alone does not help whoever is woken: it waits until the turn of the other is over.
    """
    os.nice(BEHIND)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def stand_beside(*, otherwise_nice: int = 0) -> None:
    """Let the calling thread go before all usual ones for as long as it lives, and after the one that answers frames.

    ``otherwise_nice``: its niceness where the system does not allow that.
    """
    if _go_before(BESIDE_FRAMES) is Priority.USUAL and otherwise_nice:
        make_thread_nice(otherwise_nice)


@contextmanager
def prompt_thread() -> Iterator[Priority]:
    """While its block runs, wake the calling thread before all others; says whether the system does that."""
    if sys.platform != "linux":
        yield Priority.USUAL
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    priority = _go_before(FRAMES)
    try:
        yield priority
    finally:
        if priority is Priority.REALTIME:
            os.sched_setscheduler(0, before, parameters)


def _go_before(rank: int) -> Priority:
    if sys.platform != "linux":
        return Priority.USUAL
    try:
        os.sched_setscheduler(
            0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(rank)
        )  # 0 is the calling thread
    except PermissionError:
        return Priority.USUAL
    return Priority.REALTIME
