"""The policy ``deadline`` among ways that are about equally sure: quality, energy, heat, charge, cost and ceilings."""

from dataclasses import replace

import pytest
from policy_views import BUDGET_NS, CHIP, COOL, FRAME_NS, MS, Chance, Race, S, pair, rung, view

from edge_node.decide import POLICIES, Path
from edge_node.device_class import Thermal
from edge_node.policies.deadline import HOT_TOLERANCE, TOLERANCE
from edge_node.policies.joule_price import KEEPS_NS, SOON_S
from edge_node.policies.quality import picture_loss
from edge_node.policies.steps import BEAR_NS, FIRST_HOLD_NS, SCORE_HOLD_NS
from schemas.documents import SplitConfig

PROVED = {"pairs": (pair(),)}
THRIFTY = {"weights": {"energy": 1, "quality": 0}}  # nothing but joules count
EVEN = {"p": 0.99, "p_now": 0.999, "p_hedged": 0.999}  # every way is about as sure
LOW = replace(COOL, battery_fraction=0.1)
SOON = replace(COOL, throttle_in_s=1.0)


def ask_for(duration_ns, *, now_ns=0, policy=None, config=None, **fields):
    """The last decision of a policy asked once per frame."""
    policy = policy or POLICIES["deadline"](SplitConfig.model_validate(config or {}))
    decision = None
    for at_ns in range(now_ns, now_ns + duration_ns + 1, FRAME_NS):
        decision = policy.decide(view(now_ns=at_ns, **fields))
    return decision


def settled(config=None, **fields):
    return ask_for(2 * FIRST_HOLD_NS, config=config, **fields)


def row_of(decision, path, quality=None):
    (row,) = [row for row in decision.considered if (row.path, row.quality) == (path, quality)]
    return row


# -- the split ---------------------------------------------------------------------------------------


def test_a_split_that_is_proved_is_weighed_and_a_picture_for_the_better_model_wins():
    decision = settled(**PROVED)
    assert (decision.path, decision.worker, decision.quality) == (Path.OFFLOAD, "w-1", 80)
    split = row_of(decision, Path.SPLIT)
    assert (split.worker, split.cost) == ("w-2", 0.06)
    assert split.why_not.startswith("as sure, scores")


def test_where_pictures_may_not_leave_the_split_that_spares_the_chip_is_taken():
    light, heavy = (pair(head_ns=head_ms * MS, tail_ns=MS) for head_ms in (2, 15))
    tiers = {"tiers": ("local", "split")}
    decision = settled(config=tiers, **EVEN, pairs=(light,))
    assert (decision.path, decision.worker, decision.quality) == (Path.SPLIT, "w-2", None)
    assert not decision.duplicate
    assert decision.energy_j < CHIP.power.run_j(CHIP.run_ns)
    assert settled(config=tiers, **EVEN, pairs=(heavy,)).path is Path.LOCAL


def test_a_split_counts_the_time_of_head_and_tail():
    class Uniform(Chance):
        def p_at(self, budget_ns):
            return min(1.0, budget_ns / BUDGET_NS)

    slow = pair(forecast=Uniform(p=1.0), head_ns=20 * MS, tail_ns=10 * MS)
    decision = settled(pairs=(slow,), p_hedged=0.0)
    assert row_of(decision, Path.SPLIT).p_on_time == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pairs": (pair(reason="w-2 has not proved it"),)}, "not proved it"),
        ({"pairs": (pair(too_late=True),)}, "a whole run must begin before a head"),
        ({"critical": True}, "a critical frame's own run needs the slot"),
    ],
    ids=["not proved", "too late", "critical"],
)
def test_a_split_that_cannot_be_taken_says_why(fields, reason):
    decision = settled(config={"tiers": ("local", "split")}, **{**PROVED, **fields})
    assert decision.path is Path.LOCAL
    assert reason in row_of(decision, Path.SPLIT).why_not
    assert reason in decision.reason


def test_a_worker_who_may_prove_the_placement_is_asked_whatever_way_is_taken():
    unproved = pair(reason="not yet")
    assert settled(pairs=(unproved,)).unproved == (unproved,)
    assert settled(pairs=(pair(at=(4, 63)), unproved)).unproved == (unproved,)
    assert settled(**PROVED).unproved == ()
    assert settled(config={"tiers": ("local", "offload")}, pairs=(unproved,)).unproved == ()


# -- rungs -------------------------------------------------------------------------------------------

RUNGS = {"jpeg_qualities": (50, 30)}


def rungs(*chances, sizes=(20_000, 12_000, 9_000)):
    qualities = (80, 50, 30)
    return tuple(
        rung(p, quality=quality, payload_bytes=size)
        for p, quality, size in zip(chances, qualities, sizes, strict=True)
    )


def test_the_best_quality_that_is_as_sure_as_the_surest_leaves():
    surest = settled(config=RUNGS, offloads=rungs(0.98, 0.99, 0.99))
    assert surest.quality == 80
    slow_uplink = settled(config=RUNGS, offloads=rungs(0.2, 0.98, 0.99), p_now=0.5, p_hedged=0.5)
    assert slow_uplink.quality == 50
    assert "a picture is surer" in row_of(slow_uplink, Path.OFFLOAD, 80).why_not
    assert settled(config=RUNGS, offloads=rungs(0.2, 0.3, 0.99)).quality == 30


def test_the_quality_falls_at_once_and_rises_after_a_while_and_no_way_is_changed():
    policy = POLICIES["deadline"](SplitConfig.model_validate(RUNGS))
    good, bad = rungs(0.99, 0.99, 0.99), rungs(0.2, 0.2, 0.99)
    assert ask_for(S, policy=policy, offloads=good).quality == 80
    assert ask_for(0, policy=policy, now_ns=2 * S, offloads=bad).quality == 30
    assert ask_for(200 * MS, policy=policy, now_ns=3 * S, offloads=good).quality == 30
    assert ask_for(S, policy=policy, now_ns=4 * S, offloads=good).quality == 80
    for second in range(5, 60, 2):  # far more often than a way may change
        assert ask_for(0, policy=policy, now_ns=second * S, offloads=bad).quality == 30
        assert ask_for(S, policy=policy, now_ns=second * S + FRAME_NS, offloads=good).quality == 80


def test_a_rung_above_the_ceiling_of_the_uplink_is_no_candidate():
    config = {**RUNGS, "uplink_ceiling_kbps": 3500}  # 20 kB and 12 kB at 30 per second are 4800 and 2900
    decision = settled(config=config, offloads=rungs(0.99, 0.99, 0.99))
    assert decision.quality == 50
    assert row_of(decision, Path.OFFLOAD, 80).why_not.endswith("kbit/s, allowed are 3150")
    tight = settled(config={**RUNGS, "uplink_ceiling_kbps": 2000}, offloads=rungs(0.99, 0.99, 0.99))
    assert tight.path is Path.LOCAL


def test_a_rung_that_leaves_already_may_use_all_of_the_ceiling_and_a_new_one_nine_tenths():
    policy = POLICIES["deadline"](SplitConfig(uplink_ceiling_kbps=5000))
    rate_bytes = 5_000_000 / 8 * FRAME_NS / S
    near, over = ((rung(payload_bytes=round(share * rate_bytes)),) for share in (0.95, 1.05))
    small = (rung(payload_bytes=1000),)
    assert ask_for(S, policy=policy, offloads=near).path is Path.LOCAL
    assert ask_for(S, policy=policy, now_ns=2 * S, offloads=small).path is Path.OFFLOAD
    assert ask_for(S, policy=policy, now_ns=4 * S, offloads=near).path is Path.OFFLOAD
    assert ask_for(0, policy=policy, now_ns=6 * S, offloads=over).path is Path.LOCAL


def test_a_missed_frame_does_not_make_the_rate_look_lower():
    policy = POLICIES["deadline"](SplitConfig(uplink_ceiling_kbps=5400))
    for number in range(40):
        decision = policy.decide(view(0.99, now_ns=number * FRAME_NS))
    assert decision.path is Path.OFFLOAD
    decision = policy.decide(view(0.99, now_ns=41 * FRAME_NS, offloads=(rung(payload_bytes=23_400),)))
    assert decision.path is Path.LOCAL


def test_where_the_run_behind_it_would_answer_first_a_picture_is_not_worth_its_bytes():
    sure = {"p_now": 1.0, "p_hedged": 1.0, "hedge_in_ns": 5 * MS}  # its own run ends in 25 ms
    won, lost = (
        settled(offloads=(replace(rung(), forecast=Race(p=1.0, predicted_ns=ms * MS)),), **sure)
        for ms in (24, 26)
    )
    assert (won.path, lost.path) == (Path.OFFLOAD, Path.LOCAL)
    losses = [row_of(each, Path.OFFLOAD, 80).loss for each in (won, lost)]
    assert losses == [pytest.approx(picture_loss(80)), SplitConfig().model_loss.local]


# -- joules, heat and charge -------------------------------------------------------------------------


def test_weights_decide_among_equals_and_nothing_else():
    assert settled(**EVEN).path is Path.OFFLOAD
    sparing = {"weights": {"energy": 0, "quality": 0, "cost": 10}}
    assert settled(config=sparing, **EVEN).path is Path.LOCAL
    assert settled(config=sparing, p_now=0.5, p_hedged=0.5).path is Path.OFFLOAD


@pytest.mark.parametrize(("run_ms", "path"), [(30, Path.OFFLOAD), (3, Path.LOCAL)])
def test_with_energy_alone_a_frame_goes_where_it_costs_less(run_ms, path):
    chip = replace(CHIP, run_ns=run_ms * MS)
    assert settled(config=THRIFTY, chip=chip, **EVEN).path is path


def test_joules_of_a_frame_that_leaves_count_the_run_that_probably_begins_nevertheless():
    sure, doubtful = (row_of(settled(p=p), Path.OFFLOAD, 80).energy_j for p in (1.0, 0.5))
    assert doubtful - sure == pytest.approx(0.5 * CHIP.power.run_j(CHIP.run_ns))


def test_below_the_battery_floor_a_joule_counts_double():
    def points(body):
        decision = settled(config={"weights": {"quality": 0}}, vitals=body)
        return [row.score for row in decision.considered]

    assert points(LOW) == pytest.approx([2 * score for score in points(COOL)])


def test_a_hot_headset_leaves_before_it_throttles_where_a_cool_one_stays():
    worse = {"p": 0.6, "p_now": 0.999, "p_hedged": 0.963}  # all in all 1.4 % less sure than staying
    assert TOLERANCE < 0.999 - (1 - 0.4 * (1 - 0.963)) < HOT_TOLERANCE
    assert settled(vitals=COOL, **worse).path is Path.LOCAL
    decision = settled(vitals=SOON, **worse)
    assert decision.path is Path.OFFLOAD
    assert row_of(decision, Path.LOCAL).why_not.startswith("as sure, scores")


@pytest.mark.parametrize(
    ("body", "hot"),
    [
        (replace(COOL, throttle_in_s=SOON_S), False),
        (replace(COOL, throttle_in_s=SOON_S / 2), True),
        (replace(COOL, thermal=Thermal.THROTTLED), True),
        (replace(COOL, temperature_c=41.0), False),
        (replace(COOL, temperature_c=42.0), True),
    ],
)
def test_a_joule_counts_more_the_nearer_the_throttle_and_from_the_ceiling_on(body, hot):
    config = {"heat_ceiling_c": 42, "weights": {"quality": 0}}
    body_score, cool_score = (
        row_of(settled(config=config, vitals=each), Path.LOCAL).score for each in (body, COOL)
    )
    assert (body_score < cool_score) is hot


def test_heat_is_remembered_until_the_headset_has_cooled_so_that_frames_are_not_back_at_once():
    worse = {"p": 0.6, "p_now": 0.999, "p_hedged": 0.963}
    warm, cool = (replace(SOON, throttle_in_s=None, temperature_c=at_c) for at_c in (42.5, 42.0))
    hot = replace(SOON, temperature_c=45.0)
    policy = POLICIES["deadline"](SplitConfig())
    assert ask_for(S, policy=policy, vitals=hot, **worse).path is Path.OFFLOAD
    assert ask_for(S, policy=policy, now_ns=15 * S, vitals=cool, **worse).path is Path.OFFLOAD
    after_ns = 2 * S + KEEPS_NS
    assert ask_for(S, policy=policy, now_ns=after_ns, vitals=warm, **worse).path is Path.OFFLOAD
    assert ask_for(S, policy=policy, now_ns=after_ns + 2 * S, vitals=cool, **worse).path is Path.LOCAL


def test_a_headset_that_cannot_feel_its_heat_has_cooled_after_a_minute():
    worse = {"p": 0.6, "p_now": 0.999, "p_hedged": 0.963}
    numb = replace(COOL, temperature_c=0.0)
    policy = POLICIES["deadline"](SplitConfig())
    throttled = replace(numb, thermal=Thermal.THROTTLED)
    assert ask_for(S, policy=policy, vitals=throttled, **worse).path is Path.OFFLOAD
    assert ask_for(S, policy=policy, now_ns=2 * S + KEEPS_NS, vitals=numb, **worse).path is Path.LOCAL


def test_coming_back_for_a_better_score_is_slower_than_for_a_worse_chance():
    policy = POLICIES["deadline"](SplitConfig.model_validate(THRIFTY))
    slow_chip, fast_chip = (replace(CHIP, run_ns=run_ms * MS) for run_ms in (30, 2))
    good = {**EVEN, "policy": policy}
    assert ask_for(S, chip=slow_chip, **good).path is Path.OFFLOAD
    back_ns = 2 * S
    assert ask_for(SCORE_HOLD_NS - FRAME_NS, now_ns=back_ns, chip=fast_chip, **good).path is Path.OFFLOAD
    assert ask_for(0, now_ns=back_ns + SCORE_HOLD_NS, chip=fast_chip, **good).path is Path.LOCAL
    assert ask_for(S, now_ns=back_ns + 2 * SCORE_HOLD_NS, chip=slow_chip, **good).path is Path.OFFLOAD
    bad_ns = back_ns + 3 * SCORE_HOLD_NS
    assert ask_for(BEAR_NS + FRAME_NS, policy=policy, now_ns=bad_ns, p=0.01).path is Path.LOCAL


def test_a_better_score_for_a_moment_brings_no_frame_back():
    policy = POLICIES["deadline"](SplitConfig.model_validate(THRIFTY))
    slow_chip, fast_chip = (replace(CHIP, run_ns=run_ms * MS) for run_ms in (30, 2))
    assert ask_for(S, chip=slow_chip, policy=policy, **EVEN).path is Path.OFFLOAD
    for second in range(2, 60, 2):
        for chip in (fast_chip, slow_chip):
            now_ns = second * S + (chip is slow_chip) * S
            assert ask_for(S, now_ns=now_ns, chip=chip, policy=policy, **EVEN).path is Path.OFFLOAD


# -- what stands behind a frame that left --------------------------------------------------------------


def test_a_critical_frame_that_leaves_has_its_own_run_begun_at_once_without_any_token():
    decision = settled(critical=True, may_duplicate=False, p=0.9, p_now=0.95, p_hedged=0.5)
    assert (decision.path, decision.duplicate) == (Path.OFFLOAD, True)
    assert decision.p_on_time == pytest.approx(1 - 0.1 * 0.05)
    assert decision.energy_j > CHIP.power.run_j(CHIP.run_ns)


def test_a_critical_frame_goes_where_it_is_surer_by_little_and_a_routine_one_by_score():
    dear = {"config": THRIFTY, "p": 0.99, "p_now": 0.998, "chip": replace(CHIP, run_ns=MS)}
    assert settled(critical=True, **dear).path is Path.OFFLOAD
    assert settled(critical=False, p_hedged=0.998, **dear).path is Path.LOCAL


@pytest.mark.parametrize(
    ("fields", "duplicate"),
    [
        ({"may_duplicate": True}, True),
        ({"may_duplicate": False}, False),
        ({"may_duplicate": True, "p_hedged": 0.95}, False),  # the later run is as good
        ({"may_duplicate": True, "vitals": SOON}, False),
        ({"may_duplicate": True, "vitals": LOW}, False),
    ],
    ids=["worth it", "no token", "not worth it", "hot", "low"],
)
def test_a_routine_frame_is_computed_twice_where_that_helps_and_a_token_and_joules_are_there(
    fields, duplicate
):
    decision = settled(**{"p": 0.9, "p_now": 0.95, "p_hedged": 0.6, **fields})
    assert (decision.path, decision.duplicate) == (Path.OFFLOAD, duplicate)


def test_a_duplicate_does_not_make_a_way_surer_when_ways_are_compared():
    decision = settled(p=0.6, p_now=0.99, p_hedged=0.6, may_duplicate=True)
    assert (decision.path, decision.duplicate) == (Path.LOCAL, False)


def test_a_tier_that_is_not_named_is_no_first_choice_and_local_stays_the_net():
    away = {"tiers": ("offload",)}
    decision = settled(config=away, p=0.6, p_now=0.999, p_hedged=0.0)
    assert decision.path is Path.OFFLOAD
    assert row_of(decision, Path.LOCAL).why_not == "tiers do not name local"
    assert settled(config=away, p=0.02).path is Path.LOCAL
    assert [row.path for row in settled(config={"tiers": ("local", "split")}, **PROVED).considered] == [
        Path.LOCAL,
        Path.SPLIT,
    ]


def test_without_a_chip_or_a_body_it_decides_all_the_same():
    decision = settled(chip=None, vitals=None)
    assert decision.path is Path.OFFLOAD
