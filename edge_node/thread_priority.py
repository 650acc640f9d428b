"""Shell: lets one thread of this process go after the others, where the system knows priorities of threads."""

import os
import sys
import threading


def make_thread_nice(niceness: int, /) -> None:
    """Lower the calling thread's priority; elsewhere than on Linux that would lower the whole process's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
