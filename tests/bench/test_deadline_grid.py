"""Policies side by side: pairs of blocks, the columns behind a row, traces, and aims that can fail."""

import json

import numpy as np
import pytest

from bench.deadline_frames import Frames, frames_of
from bench.deadline_grid import Cell, Job, cell_rows, play
from bench.deadline_grid_aims import judged
from bench.deadline_grid_rows import Ran, joules, pooled
from bench.deadline_traces import RECORDED, recorded, step, traces, wifi_jitter
from bench.paired import interval_of_difference
from bench.world.agenda import Draws, JobDraws
from bench.world.facts import assumptions
from bench.world.run import Setting, simulate
from bench.world.site import RUN_MS
from edge_node.decide import Path
from edge_node.energy import POWERS
from headway.link_spec import LinkSpec, Window
from schemas.documents import SplitConfig


def test_a_difference_that_every_block_has_is_sure_though_the_blocks_differ_much():
    rng = np.random.default_rng(1)
    theirs = rng.integers(50, 100, size=40).astype(float)
    frames = np.full(40, 150.0)
    assert interval_of_difference(theirs + 3, theirs, frames=frames) == pytest.approx((0.02, 0.02, 0.02))


def test_a_difference_by_chance_has_an_interval_around_nought():
    rng = np.random.default_rng(2)
    ours, theirs = rng.binomial(150, 0.9, size=(2, 60)).astype(float)
    measured, low, high = interval_of_difference(ours, theirs, frames=np.full(60, 150.0))
    assert low < 0 < high
    assert low < measured < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(2 * 0.9 * 0.1 / 150 / 60), rel=0.4)


def test_blocks_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match="one sum per block"):
        interval_of_difference(np.ones(3), np.ones(2), frames=np.ones(3))


def test_columns_say_what_came_of_every_frame():
    config = SplitConfig.model_validate({"policy": "always-duplicate", "deadline_ms": 50})
    seen, _ = simulate(Setting(link=wifi_jitter(10).link, config=config, frames=300))
    frames = frames_of(seen)
    assert len(frames.hit) == 300
    assert (frames.hit + frames.carried + frames.unanswered <= 1).all()
    assert frames.local_runs.sum() == sum(seen.runs.values())
    assert frames.wasted_runs.sum() > 200  # both ends compute nearly every frame
    assert np.nanmin(frames.remote_ms) > 3.0  # two ways and a run
    assert frames.blocks("hit", frames=150).sum() == frames.hit.sum()


def test_whatever_leaves_costs_joules_be_it_a_picture_a_shadow_of_one_or_a_ping():
    """A headset whose worker is too far for its frames sends copies and pings only to learn."""
    config = SplitConfig.model_validate({"policy": "deadline", "deadline_ms": 33})
    far = LinkSpec.even(delay_ms=40.0)
    seen, counts = simulate(Setting(link=far, config=config, frames=900, practised_runs=400))
    assert sum(flight.shadow for flight in seen.flights) == counts["pictures"] > 0
    assert counts["awake_ns"] > 40e6 * counts["pictures"]
    quiet = {"frames": frames_of(seen), "switches": 0, "downlink_bytes": 0, "busy_ns": 0, "seconds": 30.0}
    learns = Ran(
        **quiet,
        uplink_bytes=counts["uplink_bytes"],
        pictures=counts["pictures"],
        awake_ns=counts["awake_ns"],
        hedge_start_ms=10.0,
    )
    power = POWERS["xr-fast"]
    assert joules([learns], power=power) > counts["pictures"] * power.run_j(power.encode_ns)


def test_a_run_takes_its_frame_the_same_whatever_ran_before_and_whoever_is_asked():
    """The landmark model's draw of a frame is the same with and without the palm detector before it."""
    draws = JobDraws(Draws(3))
    draws.about(7)
    with_palm = [draws.random(), draws.random()]
    draws.about(7, done=1)
    assert draws.random() == with_palm[1]
    link = LinkSpec.even(delay_ms=60.0, cuts=(Window(at_s=2.0, for_s=4.0),))
    ended = []
    for policy in ("local", "always-duplicate"):
        config = SplitConfig.model_validate({"policy": policy})
        seen, _ = simulate(Setting(link=link, config=config, frames=300))
        ended.append([f.answer.latency_ns for f in seen.flights if f.answer and f.answer.path is Path.LOCAL])
    assert np.isin(ended[0], ended[1]).mean() > 0.95


def test_what_the_world_takes_for_granted_stands_beside_its_figures():
    found = json.loads(json.dumps(assumptions()))
    assert found["worker_run_ms"]["0.5"] == RUN_MS[2]
    assert all(found.values())


def test_cells_of_one_trace_are_drawn_together():
    """Twice the same cell says no more than one."""
    rng = np.random.default_rng(5)
    columns = {name: np.zeros(3000) for name in Frames.__slots__}

    def policies():
        return {
            name: Frames(**{**columns, "hit": rng.binomial(1, 0.8, 3000).astype(float)})
            for name in ("deadline", "offload")
        }

    once, other = policies(), policies()
    alone = pooled({"step": [once]}, policy="offload")["hit_less_deadline"]
    twice = pooled({"step": [once, once]}, policy="offload")["hit_less_deadline"]
    assert twice == pytest.approx(alone)
    two = pooled({"step": [once], "outage": [other]}, policy="offload")["hit_less_deadline"]
    assert two[2] - two[1] < twice[2] - twice[1]


def test_fewer_than_four_recordings_are_an_aim_missed():
    rows = (row("deadline"), row("always-duplicate", local=1.0))
    aims = [judged(rows, over_all=rows, traces=FOUR[:number])["aims"][3] for number in (3, 4)]
    assert [aim["met"] for aim in aims] == [False, True]


def test_every_policy_of_a_cell_meets_the_same_link_and_runs():
    cell = Cell(trace=wifi_jitter(10), device="xr-fast", deadline_ms=50)
    job = Job(cell=cell, policies=("deadline", "always-duplicate", "offload"), number=0, of=1, frames=300)
    ran = play(job)
    together = {policy: run.frames for policy, run in ran.items()}
    rows = {row["policy"]: row for row in cell_rows(cell, [ran], together=together, agreement=None)}
    assert rows["deadline"]["hit_less_deadline"] == [0, 0, 0]
    assert rows["always-duplicate"]["local_runs"] == pytest.approx(1, abs=0.02)
    assert rows["always-duplicate"]["joules_per_frame"] > rows["deadline"]["joules_per_frame"] > 0
    sent = ~np.isnan(together["offload"].remote_ms) & ~np.isnan(together["always-duplicate"].remote_ms)
    same = together["offload"].remote_ms[sent] == together["always-duplicate"].remote_ms[sent]
    assert same.mean() > 0.9  # the few that differ waited behind something that only one of the two sent


def test_recordings_begin_elsewhere_in_each_run_and_missing_ones_are_named(tmp_path):
    lines = (f"64 bytes: icmp_seq={n} ttl=64 time={10 + n} ms\n" for n in range(1, 91))
    (tmp_path / f"ping-{RECORDED[0]}.txt").write_text("".join(lines))
    found, missing = traces(seconds=30, folder=tmp_path)
    assert len(found) == 5
    assert missing == [f"5g-{name}" for name in RECORDED[1:]]
    begins = [recorded(RECORDED[0], folder=tmp_path).part(n, of=3).link.trace.start_s for n in range(3)]
    assert begins == [0, 30, 60]
    assert step(30).part(1, of=3) == step(30)


def row(
    policy, *, hit=0.9, local=0.2, worker=0.8, apart=(0.0, 0.0, 0.0), by_worker=(0.0, 0.0, 0.0), p90=10.0
):
    """A row of one cell, or of all."""
    return {
        "trace": "step",
        "device": "xr-fast",
        "deadline_ms": 50,
        "policy": policy,
        "hit": hit,
        "local_runs": local,
        "by_worker": worker,
        "remote_p90_ms": p90,
        "hedge_start_ms": 20.0,
        "hit_less_deadline": list(apart),
        "by_worker_less_deadline": list(by_worker),
    }


FOUR = [f"5g-{number}" for number in range(4)]


def met(*rows):
    return [aim["met"] for aim in judged(rows, over_all=rows, traces=FOUR)["aims"]][:3]


def test_each_aim_can_be_met_and_missed():
    bound = row("always-duplicate", local=1.0, by_worker=(-0.7, -0.8, -0.6))
    assert met(row("deadline"), bound) == [True, True, True]
    better = row("always-duplicate", hit=0.904, local=1.0, apart=(0.004, 0.001, 0.008))
    assert met(row("deadline"), better)[0] is False
    assert met(row("deadline", hit=0.89), row("always-duplicate", hit=0.9, local=1.0))[1] is False
    assert met(row("deadline", local=0.6), bound)[1] is False
    eager = row("offload", by_worker=(0.03, 0.01, 0.05))
    assert met(row("deadline"), bound, eager)[2] is False
    worse = row("offload", hit=0.8, apart=(-0.1, -0.12, -0.08), by_worker=(0.03, 0.01, 0.05))
    assert met(row("deadline"), bound, worse)[2] is True  # it hits less often: more by the worker is no merit


def test_where_answers_come_after_the_latest_start_duplication_is_forced_and_counted():
    rows = (row("deadline", local=1.0), row("always-duplicate", local=1.0, p90=21.0))
    found = judged(rows, over_all=rows, traces=FOUR)
    assert (found["duplication_free_cells"], found["duplication_forced_cells"]) == (0, 1)
    assert found["aims"][1]["measured"] is None
