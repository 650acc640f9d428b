"""Shell: the second process as it runs beside live frames, saturated: it draws and encodes a long run without a pause."""

import sys
from pathlib import Path

import cv2

from edge_node.record import record
from edge_node.thread_priority import stand_back


def main(arguments: list[str]) -> int:
    """Record EVENTS over RING into OUT."""
    stand_back()
    cv2.setNumThreads(1)
    record(*(Path(argument) for argument in arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
