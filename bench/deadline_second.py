"""Shell: the second process as it runs beside live frames, saturated: it draws and encodes a long run without a pause."""

import sys
from pathlib import Path
from typing import NoReturn

import cv2

from edge_node.record import record
from edge_node.thread_priority import stand_back


def main(arguments: list[str]) -> NoReturn:
    """Record EVENTS over RING into OUT, again and again until it is ended: how fast it is must not decide how long."""
    stand_back()
    cv2.setNumThreads(1)
    while True:
        record(*(Path(argument) for argument in arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
