"""A parity check that begins a pair and then dies as an engine does that was given a bad model."""

import os
import signal
import sys

if __name__ == "__main__":
    sys.stdin.read()
    sys.stdout.write('{"pair": [0, 5]}\n')
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
