"""Shell: what this machine can carry.

Measured on two cores of a server CPU: a frame costs 13 ms with the full landmark model and 7 ms with the lite one.
Three headsets and a worker at 30 fps need 1.2 cores more with the full models.
"""

import os

CORES_FOR_FULL = 4


def host_variant() -> str:
    """The hand models that a whole site on this machine should run: full or lite."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return "full" if usable >= CORES_FOR_FULL else "lite"
