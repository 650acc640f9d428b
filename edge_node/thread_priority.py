"""Shell: lets one thread of this process go after the others, or before them, where the system knows priorities of threads.

Only the thread that answers frames goes before others, and only where the system allows it (root, CAP_SYS_NICE or a
limit RTPRIO of at least 1): a thread of a busy host that is woken 3 ms late answers a frame 3 ms late. What it starts
has the usual priority. Work that takes long must stay off that thread.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

LOWEST_REALTIME = 1
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


@contextmanager
def prompt_thread() -> Iterator[Priority]:
    """While its block runs, wake the calling thread before all usual ones; says whether the system does that."""
    if sys.platform != "linux":
        yield Priority.USUAL
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(
            0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(LOWEST_REALTIME)
        )  # 0 is the calling thread
    except PermissionError:
        yield Priority.USUAL
        return
    try:
        yield Priority.REALTIME
    finally:
        os.sched_setscheduler(0, before, parameters)
