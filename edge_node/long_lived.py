"""Shell: keeps collections of garbage short while frames are answered.

A full collection looks at everything that lives, with every thread of the process held up: after the imports of a
headset that is some 80,000 objects and takes tens of milliseconds, a frame's whole time. What lives by now lives as long
as the headset, so it is set aside, and a collection looks only at what came after.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_aside() -> Iterator[None]:
    """Leave out of every collection, while the block runs, what lives now."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
