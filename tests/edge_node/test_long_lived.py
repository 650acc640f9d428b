"""What lives before the frames is no work for a collection while they are answered."""

import gc

from edge_node.long_lived import set_aside


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self):
        self.itself = self


def test_what_lives_is_left_out_and_what_comes_after_is_collected():
    before = len(gc.get_objects())
    with set_aside():
        assert len(gc.get_objects()) < before / 10
        Ring()
        assert any(isinstance(found, Ring) for found in gc.get_objects())
        gc.collect()
        assert not any(isinstance(found, Ring) for found in gc.get_objects())
    assert gc.get_freeze_count() == 0
