"""The simulated world: the real cores on a virtual clock answer every frame exactly once."""

from collections import Counter

import pytest

from bench.deadline_apart import came_of
from bench.deadline_cells import Block, plan
from bench.world.blocks import simulate_blocks
from bench.world.host import Host
from bench.world.load import Load
from bench.world.place import Place
from bench.world.run import Setting, lines, simulate, simulate_site, summary
from bench.world.site import RUN_MS, Fault
from edge_node.outcome import Outcome
from headway.checker import check
from headway.link_spec import LinkSpec
from schemas.documents import SplitConfig

FAULTS = (
    Fault(kind="broker-kill", at_s=4, for_s=1),
    Fault(kind="broker-stop", at_s=9, for_s=2),
    Fault(kind="worker-kill", at_s=14, for_s=2),
)


def setting(policy: str, **changes: object) -> Setting:
    """Twenty seconds of a near worker."""
    config = SplitConfig.model_validate({"policy": policy, "deadline_ms": 50})
    fields = {
        "link": LinkSpec.even(delay_ms=1.5),
        "config": config,
        "frames": 600,
        "practised_runs": 400,
        **changes,
    }
    return Setting(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["local", "offload", "rtt-threshold"])
def test_every_frame_has_one_answer_under_all_faults_and_the_checker_agrees(policy: str) -> None:
    """The judge recomputes what the headset claims."""
    seen, _ = simulate(setting(policy, faults=FAULTS, bad_replies=0.05))
    outcomes = [flight.answer.outcome for flight in seen.flights if flight.answer]
    claimed = {"scheduled": 600, **{outcome.value: outcomes.count(outcome) for outcome in Outcome}}
    assert check("d-1", lines(seen), claimed) == []


def test_equal_settings_give_equal_lines() -> None:
    """Nothing in the world depends on anything but its setting."""
    once, again = (lines(simulate(setting("rtt-threshold", faults=FAULTS))[0]) for _ in range(2))
    assert once == again


def test_a_near_worker_answers_what_a_local_policy_computes_itself() -> None:
    """Remote frames come from the worker, local ones never leave."""
    far, near = setting("local"), setting("offload")
    assert summary(far, *simulate(far))["by_worker"] == 0
    assert summary(near, *simulate(near))["by_worker"] > 0.9


def test_blocks_of_links_are_played_in_their_order():
    """The outage keeps frames here, the clean link sends them; all are answered."""
    blocks = plan(each=1, seed=4)
    found = simulate_blocks(blocks, places=[Place()] * 4)
    assert found.keys() == {"clean", "jitter", "step", "outage"}
    came = {cell: came_of(frames) for cell, frames in found.items()}
    assert all(each["hit_rate"] > 0.9 and each["frames"] == 450 for each in came.values())
    assert came["clean"]["kinds"]["by the worker"] > came["outage"]["kinds"]["by the worker"]


def test_what_was_seen_of_host_and_worker_makes_the_same_blocks_worse():
    """A late host misses more, a slow worker answers less."""
    blocks = [Block(cell="clean", seed=1)]
    late = Host(lateness=((0.0, 0.1), (0.5, 6.0), (1.0, 30.0)), run=((0.0, 12.0), (1.0, 36.0)))
    slow = (25.0, 25.0, 26.0, 28.0, 30.0, 30.0)
    places = (Place(), Place(host=late), Place(worker_run_ms=slow))
    prompt, on_late_host, slow_worker = (
        came_of(simulate_blocks(blocks, places=[place])["clean"]) for place in places
    )
    assert on_late_host["hit_rate"] < prompt["hit_rate"] - 0.05
    by = [came["kinds"].get("by the worker", 0.0) for came in (prompt, slow_worker)]
    assert by[0] > 0.9 > 0.5 > by[1]
    assert prompt["worker_took_ms"]["p50"] == pytest.approx(RUN_MS[2], abs=0.5)


def test_each_block_is_played_where_it_was():
    """A host that is late in one block is prompt again in the next."""
    blocks = [Block(cell="clean", seed=1), Block(cell="step", seed=2)]
    late = Place(host=Host(lateness=((0.0, 20.0), (1.0, 30.0)), run=((0.0, 3.5), (1.0, 3.5))))
    found = simulate_blocks(blocks, places=[late, Place()])
    assert came_of(found["clean"])["hit_rate"] < 0.5
    assert came_of(found["step"])["hit_rate"] > 0.9


def test_a_worker_that_others_ask_too_answers_fewer_frames():
    """Their requests wait in the same line."""
    busy = Load(headsets=16, at_s=0.0, for_s=30.0, every_s=30.0, budget_ms=48.0)
    alone, crowded = setting("offload"), setting("offload", load=busy)
    by_worker = [summary(each, *simulate(each))["by_worker"] for each in (alone, crowded)]
    assert by_worker[1] < by_worker[0] - 0.2


def test_several_headsets_share_a_worker_evenly_and_none_hears_what_another_asked():
    """Each has its own link, line and answers."""
    sites = simulate_site(setting("offload", frames=300), headsets=4)
    assert [len(seen.flights) for seen, _ in sites] == [300] * 4
    shares = [summary(setting("offload"), *site)["by_worker"] for site in sites]
    assert min(shares) > 0.8 * max(shares) > 0.5
    assert all(counts["dropped_unasked"] == 0 for _, counts in sites)


@pytest.mark.parametrize("trouble", ["crowd", "death"])
def test_frames_go_to_another_worker_when_theirs_is_crowded_or_dies(trouble):
    """With one worker they stay at home meanwhile."""
    crowd = Load(headsets=24, at_s=6.0, for_s=14.0, every_s=30.0, budget_ms=48.0)
    death = (Fault(kind="worker-kill", at_s=4, for_s=12),)
    fields = {"load": crowd} if trouble == "crowd" else {"faults": death}
    alone, three = (setting("deadline", workers=count, **fields) for count in (1, 3))
    (seen_alone, _), (seen, _) = simulate(alone), simulate(three)
    found = [summary(alone, seen_alone, Counter()), summary(three, seen, Counter())]
    assert [each["unanswered"] for each in found] == [0, 0]
    assert found[1]["by_worker"] > found[0]["by_worker"] + 0.25
    assert [flight.worker for flight in seen.flights][::599] == ["w-1", "w-2"], "w-1 is the one in trouble"
    assert found[1]["switches_per_min"] <= found[0]["switches_per_min"]
