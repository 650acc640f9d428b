"""The one local slot, wanted by several frames at once: whoever can wait does, and nobody is late for it."""

from edge_bench import MS, Bench

from edge_node.decide import LocalView, Path
from edge_node.run_times import FEW, WARM_UP
from schemas.documents import SplitConfig


def knowing(b, *, run_ms):
    """Let the bench's headset have run often enough to know what a run takes at worst: a quarter more."""
    b.local_ms = run_ms
    for _ in range(FEW + WARM_UP):
        b.frame()
        b.wait(run_ms)
        b.local_done()
        b.wait(33 - run_ms)
    return b


def out_then_here(*, deadline_ms, run_ms=8):
    """A frame leaves; the next one, an interval later, is computed here at its capture."""
    b = knowing(Bench(deadline_ms=deadline_ms), run_ms=run_ms)
    b.journey.use(SplitConfig(policy="offload", deadline_ms=deadline_ms))
    out = b.frame()
    b.journey.use(SplitConfig(policy="local", deadline_ms=deadline_ms))
    return b, out


def test_a_frame_that_left_gets_the_slot_before_the_next_one_takes_it():
    b, out = out_then_here(deadline_ms=50)
    b.wait(33)  # its latest start alone would be 50 - 10 - 5 = 35: too late behind a newer frame's run
    assert len(b.starter.jobs) == FEW + WARM_UP
    here = b.frame()
    assert b.starter.jobs[-1].frame_id == out
    b.wait(8)
    b.local_done()
    assert b.starter.jobs[-1].frame_id == here
    b.wait(8)
    b.local_done()
    b.wait(2200)  # the line of the one that left waits for its reply
    assert {b.answers[frame].path for frame in (out, here)} == {Path.LOCAL}
    assert b.outcomes()[-2:] == ["fresh_on_time"] * 2


def test_a_hedge_that_would_be_in_the_way_of_a_newer_frame_begins_earlier():
    b, out = out_then_here(deadline_ms=83)
    b.wait(33)
    b.frame()
    b.wait(8)
    b.local_done()
    b.wait(14)  # 55 of the 64.7 ms that it could wait, were there no frame at 66
    assert b.starter.jobs[-1].frame_id != out
    b.wait(2)
    assert b.starter.jobs[-1].frame_id == out
    b.wait(8)
    b.local_done()
    b.wait(1)
    newest = b.frame()
    assert b.starter.jobs[-1].frame_id == newest, "at its capture"


def test_the_view_of_a_frame_counts_what_the_slot_is_busy_with():
    views = []

    class Watching:
        def decide(self, view):
            views.append(view)
            return b.policy.decide(view)

        def __getattr__(self, name):
            return getattr(b.policy, name)

    b = knowing(Bench(deadline_ms=33), run_ms=20)
    b.policy, b.journey._dispatch.policy = b.journey._dispatch.policy, Watching()
    b.frame()
    assert views[-1].local.p_now == 1.0
    b.wait(1)
    b.frame()
    assert isinstance(views[-1].local, LocalView)
    assert views[-1].local.p_now == 0.0, "the slot is free in 19 ms, and a run takes 20 of 33"
    b.wait(19)
    b.local_done()
    assert b.now_ns % MS == 0
