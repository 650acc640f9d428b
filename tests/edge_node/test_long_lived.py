"""What lives before the frames is no work for a collection while they are answered."""

import subprocess
import sys

# a process of its own: what other tests left to the collector is not this one's matter, nor is freezing it
SCRIPT = """
import gc
from edge_node.long_lived import set_aside

class Ring:
    def __init__(self):
        self.itself = self

before = len(gc.get_objects())
with set_aside():
    assert len(gc.get_objects()) < before / 10
    Ring()
    assert any(isinstance(found, Ring) for found in gc.get_objects())
    gc.collect()
    assert not any(isinstance(found, Ring) for found in gc.get_objects())
assert gc.get_freeze_count() == 0
"""


def test_what_lives_is_left_out_and_what_comes_after_is_collected():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
