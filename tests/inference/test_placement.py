"""Placement: equal to brute force, to the published table and to the minimum cut where that applies."""

import dataclasses

import numpy as np
import pytest

from bench.placement_ans import EXPECTED, ans_placements, ans_survivors, differences
from bench.placement_brute import every_row, random_conditions, random_flow, random_inputs
from bench.placement_checks import (
    additive_case,
    bytes_never_fall,
    returns_for_free,
    same_as_brute_force,
)
from inference.errors import PlacementError
from inference.graph.flow import Flow, FlowOperator, FlowTensor
from inference.placement.decision import Chooser, judge
from inference.placement.families import LOCAL, TERMS, three_tiers, u_shape
from inference.placement.inputs import (
    Conditions,
    InputQuality,
    ModelVariant,
    PlacementInputs,
    Rates,
    Wish,
    level_weights,
)
from inference.placement.survivors import envelope, never_beaten, survivors
from inference.placement.words import Choice
from inference.profile.durations import DurationTable
from inference.split.traffic import transfer_bytes

MS = 1e6


def chain(*sizes: int) -> Flow:
    """A chain whose tensors have these sizes in bytes, the input first."""
    return Flow(
        file_format="tflite",
        tensors=tuple(FlowTensor(name=f"t{k}", shape=(size,), dtype="int8") for k, size in enumerate(sizes)),
        operators=tuple(
            FlowOperator(kind="CONV_2D", inputs=(k,), outputs=(k + 1,)) for k in range(len(sizes) - 1)
        ),
        inputs=(0,),
        outputs=(len(sizes) - 1,),
    )


def variant(*sizes: int, device_ms: float = 4, worker_ms: float = 0.4, **more: object) -> ModelVariant:
    flow = chain(*sizes)
    positions = range(len(flow.operators) + 1)
    return ModelVariant(
        name="m",
        transfer=transfer_bytes(flow, positions),
        device=prefixes([device_ms * k for k in positions]),
        worker=prefixes([worker_ms * k for k in positions]),
        **more,
    )


def prefixes(ms: list[float]) -> DurationTable:
    return DurationTable.from_prefixes([[value * MS * slow for value in ms] for slow in (1, 1.5, 2)])


def road(mbps: float, *, rtt_ms: float = 2, queue_ms: float = 0) -> Conditions:
    return Conditions(
        uplink_bps=(mbps * 1e6,) * 3,
        downlink_bps=(mbps * 1e6,) * 3,
        rtt_ns=(rtt_ms * MS,) * 3,
        queue_ns=(queue_ms * MS,) * 3,
    )


@pytest.mark.parametrize("family", ["u-shape", "three-tier"])
@pytest.mark.parametrize("is_chain", [True, False])
def test_placements_equal_brute_force_on_random_models(family, is_chain):
    rng = np.random.default_rng(11)
    assert all(same_as_brute_force(rng, family=family, chain=is_chain) for _ in range(100))


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: f"{row.net} {row.wire}")
def test_the_published_profiles_have_their_known_optima(row):
    assert differences(row) == []


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: f"{row.net} {row.wire}")
def test_scanning_rates_finds_no_better_cut_than_the_envelope_on_published_profiles(row):
    placements, found = ans_survivors(row.net, wire=row.wire)
    rates = np.concatenate([np.geomspace(1e5, 1e10, 2000), np.array(found.switch_bps) * 1.0001])
    times = placements.base_ns[0] + placements.up_bytes * 8e9 / rates[:, None]
    assert [found.best(rate) for rate in rates] == list(times.argmin(axis=1))


def test_bytes_at_the_optimum_never_fall_as_the_uplink_gets_faster():
    rng = np.random.default_rng(12)
    for _ in range(100):
        flow = random_flow(rng, operators=8, chain=False)
        assert bytes_never_fall(u_shape(random_inputs(rng, [flow], cloud=False)), rates=200)
    assert bytes_never_fall(ans_placements("tiny-yolo-v2", wire="u8"), rates=2000)


@pytest.mark.parametrize("cloud", [False, True])
def test_the_minimum_cut_equals_the_best_interval_on_chains_of_additive_cost(cloud):
    rng = np.random.default_rng(13)
    for _ in range(100):
        ours, cut, tried = additive_case(rng, chain=True, cloud=cloud)
        assert ours == cut
        assert tried in {-1, cut}


@pytest.mark.parametrize("cloud", [False, True])
def test_the_minimum_cut_is_never_above_the_best_interval_on_graphs(cloud):
    rng = np.random.default_rng(14)
    for _ in range(60):
        ours, cut, tried = additive_case(rng, chain=False, cloud=cloud, operators=6)
        assert ours >= cut
        assert tried in {-1, cut}


def test_a_cut_without_reverse_arcs_returns_for_free_and_ours_does_not():
    assert returns_for_free() == (12, 101, 101.0)


def test_a_skip_connection_past_the_worker_is_not_sent():
    tensors = tuple(FlowTensor(name=f"t{k}", shape=(10**k,), dtype="int8") for k in range(4))
    operators = (
        FlowOperator(kind="A", inputs=(0,), outputs=(1,)),
        FlowOperator(kind="B", inputs=(1,), outputs=(2,)),
        FlowOperator(kind="ADD", inputs=(0, 1, 2), outputs=(3,)),
    )
    flow = Flow(file_format="onnx", tensors=tensors, operators=operators, inputs=(0,), outputs=(3, 1))
    table = transfer_bytes(flow, (0, 1, 2, 3))
    assert table.up[1, 2] == 10  # not the input, which the last operator reads at home
    assert table.down[1, 2] == 100
    assert table.down[0, 2] == 10 + 100  # the early output as well
    assert table.up[1, 3] == 11
    assert table.crossing.tolist() == [1, 11, 111, 0]
    assert table.returned.tolist() == [1010, 1000, 1000, 0]


def test_an_output_whose_size_only_a_run_tells_counts_nothing():
    tensors = [
        FlowTensor(name=name, shape=shape, dtype="int8") for name, shape in (("x", (5,)), ("boxes", (-1,)))
    ]
    found = FlowOperator(kind="NonMaxSuppression", inputs=(0,), outputs=(1,))
    flow = Flow(file_format="onnx", tensors=tuple(tensors), operators=(found,), inputs=(0,), outputs=(1,))
    table = transfer_bytes(flow, (0, 1))
    assert (table.up[0, 1], table.down[0, 1], bool(table.runs[0, 1])) == (5, 0, True)


def test_positions_that_miss_an_end_are_refused():
    with pytest.raises(PlacementError, match="ascend from 0 to 2"):
        transfer_bytes(chain(1, 1, 1), (0, 1))


def test_local_offload_split_and_worker_first_are_all_u_shapes():
    placements = u_shape(PlacementInputs(variants=(variant(100, 10, 10, 10),)))
    pairs = set(zip(placements.start.tolist(), placements.end.tolist(), strict=True))
    assert pairs == {(3, 3), (0, 3), (0, 1), (0, 2), (1, 2), (1, 3), (2, 3)}
    assert placements.group[placements.start == 3].tolist() == [LOCAL]


@pytest.mark.parametrize(
    ("tiers", "pairs"),
    [
        ({"device"}, {(2, 2)}),
        ({"worker"}, {(0, 2)}),
        ({"device", "worker"}, {(2, 2), (0, 2), (0, 1), (1, 2)}),
    ],
)
def test_only_allowed_tiers_get_a_part(tiers, pairs):
    inputs = PlacementInputs(variants=(variant(9, 9, 9),), tiers=frozenset(tiers))
    for family in (u_shape, three_tiers):
        placements = family(inputs)
        found = set(zip(placements.start.tolist(), placements.end.tolist(), strict=True))
        assert found == (pairs - {(0, 1)} if family is three_tiers else pairs)


def test_a_tier_without_durations_is_refused():
    with pytest.raises(PlacementError, match="tier cloud is allowed, but no durations"):
        PlacementInputs(variants=(variant(9, 9),), tiers=frozenset({"device", "cloud"}))


def test_pictures_take_the_place_of_the_input_only():
    rung = InputQuality(name="q80", payload_bytes=7, encode_ns=(1, 2, 3), decode_ns=(4, 5, 6), loss=0.01)
    placements = u_shape(PlacementInputs(variants=(variant(1000, 10, 10, qualities=(rung,)),)))
    pictured = placements.quality == 0
    assert set(placements.start[pictured].tolist()) == {0}
    assert set(placements.up_bytes[pictured].tolist()) == {7.0}
    assert placements.terms_ns[:, TERMS.index("encode"), pictured][:, 0].tolist() == [1, 2, 3]
    assert placements.loss[pictured].tolist() == pytest.approx([0.01, 0.01])


def test_the_chance_of_the_deadline_comes_before_the_mean():
    inputs = PlacementInputs(variants=(variant(1000, 10, 10),))
    placements = u_shape(inputs)
    wish = Wish(deadline_ns=17 * MS)
    chooser = Chooser(placements, inputs=inputs, wishes=(wish,))
    shaky = Conditions(
        uplink_bps=(1e9, 1e6, 5e5), downlink_bps=(1e9, 1e6, 5e5), rtt_ns=(1e6, 9e6, 40e6), queue_ns=(0, 0, 0)
    )
    careful = chooser.decide(shaky, wish)
    assert placements.group[careful.index] == LOCAL  # slower at the median, and always in time
    relaxed = chooser.decide(shaky, Wish(deadline_ns=500 * MS))
    assert placements.group[relaxed.index] != LOCAL


def test_energy_moves_work_off_the_headset_once_it_counts():
    inputs = PlacementInputs(variants=(variant(1000, 10, 10),), rates=Rates(device_w=3, radio_w=0.5))
    placements = u_shape(inputs)
    wishes = (Wish(deadline_ns=200 * MS), Wish(deadline_ns=200 * MS, joule_ns=1e12))
    chooser = Chooser(placements, inputs=inputs, wishes=wishes)
    fast, thrifty = (chooser.decide(road(100, rtt_ms=30), wish) for wish in wishes)
    assert placements.group[fast.index] == LOCAL
    assert placements.group[thrifty.index] != LOCAL


def test_a_faster_variant_wins_unless_its_loss_is_beyond_the_limit():
    inputs = PlacementInputs(
        variants=(variant(100, 10, 10), variant(100, 10, 10, device_ms=1, worker_ms=0.1, loss=0.2))
    )
    placements = u_shape(inputs)
    wishes = (Wish(deadline_ns=50 * MS), Wish(deadline_ns=50 * MS, loss_limit=0.1))
    chooser = Chooser(placements, inputs=inputs, wishes=wishes)
    free, strict = (chooser.decide(road(50), wish) for wish in wishes)
    assert (placements.variant[free.index], placements.variant[strict.index]) == (1, 0)
    with pytest.raises(PlacementError, match="loss limit"):
        Chooser(placements, inputs=inputs, wishes=(Wish(deadline_ns=50 * MS, loss_limit=-1),))


def test_survivors_do_not_depend_on_the_order_of_lines():
    rng = np.random.default_rng(15)
    fixed, road_bytes = rng.integers(0, 30, (2, 80)).astype(float)
    found = envelope(fixed, road_bytes)
    order = rng.permutation(80)
    again = envelope(fixed[order], road_bytes[order])
    assert (again.switch_bps, again.fixed_ns, again.road_bytes) == (
        found.switch_bps, found.fixed_ns, found.road_bytes,
    )  # fmt: skip
    assert list(found.switch_bps) == sorted(found.switch_bps)
    assert list(found.road_bytes) == sorted(found.road_bytes)


def test_what_is_never_beaten_holds_every_envelope():
    rng = np.random.default_rng(16)
    flow = random_flow(rng, operators=7, chain=False)
    inputs = random_inputs(rng, [flow], cloud=True)
    placements = three_tiers(inputs)
    mean_ns = level_weights(inputs.levels) @ placements.base_ns
    kept = placements.take(never_beaten(placements, cost_ns=mean_ns))
    assert len(kept) < len(placements)
    waits = np.array([0.0, 40.0, 90.0, 60.0])
    for level in range(3):
        whole, few = (
            survivors(rows, fixed_ns=rows.base_ns[level] + waits[rows.group], down_ratio=2.0)
            for rows in (placements, kept)
        )
        assert whole.switch_bps == pytest.approx(few.switch_bps)


def test_brute_force_counts_every_placement_once():
    rng = np.random.default_rng(17)
    flow = random_flow(rng, operators=5, chain=False)
    inputs = random_inputs(rng, [flow], cloud=False)
    rows = list(every_row(inputs, [flow], random_conditions(rng, bps=1e9), family="u-shape"))
    assert len({row.name for row in rows}) == len(rows) == len(u_shape(inputs))


def test_timed_parts_go_before_differences_of_prefixes():
    table = DurationTable.from_prefixes([[0, 5, 4, 9]], suffix_ns=[[9, 6, 5, 0]], measured_ns={(1, 2): [0.5]})
    assert table.ns[0].tolist() == [[0, 5, 4, 9], [0, 0, 0.5, 6], [0, 0, 0, 5], [0, 0, 0, 0]]


def test_quantiles_of_a_part_never_fall_from_level_to_level():
    table = DurationTable.from_prefixes([[0, 1, 5], [0, 4, 6]])
    assert table.ns[:, 1, 2].tolist() == [4, 4]


@pytest.mark.parametrize(
    "values",
    [
        np.full((1, 2, 2), -1.0),
        np.full((1, 2, 2), np.nan),
        np.zeros((2, 2)),
        np.array([[[0.0, 2.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]),
    ],
)
def test_values_that_are_no_durations_are_refused(values):
    with pytest.raises(PlacementError):
        DurationTable(ns=values)


def test_the_way_down_is_said_exactly_once():
    placements = u_shape(PlacementInputs(variants=(variant(9, 9),)))
    for wrong in ({}, {"down_ratio": 1.0, "downlink_bps": 1e6}, {"down_ratio": 0.0}):
        with pytest.raises(PlacementError, match="down_ratio or downlink_bps"):
            survivors(placements, fixed_ns=placements.base_ns[0], **wrong)


@pytest.mark.parametrize(
    "change",
    [{"variants": ()}, {"levels": (0.9, 0.5, 0.99)}, {"levels": (0.5,)}, {"backhaul_bps": 0.0}],
)
def test_inputs_that_do_not_fit_together_are_refused(change):
    with pytest.raises(PlacementError):
        dataclasses.replace(PlacementInputs(variants=(variant(9, 9),)), **change)


def test_durations_for_other_cuts_are_refused():
    with pytest.raises(PlacementError, match="profile this model at its legal cuts"):
        dataclasses.replace(variant(9, 9, 9), worker=prefixes([0, 1]))


@pytest.mark.parametrize("levels", [(0.5,), (0.5, 0.95, 0.99), (0.1, 0.9)])
def test_weights_of_levels_make_a_mean(levels):
    weights = level_weights(levels)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()


def test_a_chooser_made_for_some_prices_refuses_others():
    inputs = PlacementInputs(variants=(variant(100, 10, 10),), rates=Rates(device_w=3))
    chooser = Chooser(u_shape(inputs), inputs=inputs, wishes=(Wish(deadline_ns=1, joule_ns=5),))
    chooser.decide(road(50), Wish(deadline_ns=50 * MS, joule_ns=5))
    with pytest.raises(PlacementError, match="other prices"):
        chooser.decide(road(50), Wish(deadline_ns=50 * MS))
    with pytest.raises(PlacementError, match="at least one wish"):
        Chooser(u_shape(inputs), inputs=inputs, wishes=())


def test_a_spent_budget_still_gets_the_cheapest_placement():
    inputs = PlacementInputs(variants=(variant(1000, 10, 10),))
    placements = u_shape(inputs)
    wish = Wish(deadline_ns=-5 * MS)
    decision = Chooser(placements, inputs=inputs, wishes=(wish,)).decide(road(50), wish)
    everything = np.arange(len(placements))
    outlook = judge(placements, everything, inputs=inputs, conditions=road(50), wish=wish)
    assert (decision.chance, decision.index) == (0, outlook.cost_ns.argmin())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("slack", [0.0, 0.005, 0.3])
def test_no_placement_at_all_is_better_than_the_decision(seed, slack):
    """What the chooser left out when it was made counts as well, at deadlines around every quantile."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(rng, [random_flow(rng, operators=9, chain=False)], cloud=True)
    placements = three_tiers(inputs)
    conditions = random_conditions(rng, bps=1e10)
    some = Wish(deadline_ns=0, joule_ns=1e8, slack=slack)
    chooser = Chooser(placements, inputs=inputs, wishes=(some,))
    everything = np.arange(len(placements))
    times = judge(placements, everything, inputs=inputs, conditions=conditions, wish=some).quantiles_ns
    for deadline_ns in np.unique(times)[::5] * rng.choice([1.0, 0.999, 1.001]):
        wish = dataclasses.replace(some, deadline_ns=float(deadline_ns))
        decision = chooser.decide(conditions, wish)
        outlook = judge(placements, everything, inputs=inputs, conditions=conditions, wish=wish)
        best = outlook.chance.max()
        enough = outlook.chance >= best - slack - 1e-9
        assert decision.chance >= best - slack - 1e-9
        assert decision.cost_ns <= outlook.cost_ns[outlook.chance >= best - slack].min() * (1 + 1e-12)
        assert enough[decision.index]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rtt_ns": (9.0, 5.0, 1.0)}, "the longest last"),
        ({"queue_ns": (0.0, 0.0)}, "give 3"),
        ({"rtt_ns": (0.0, 0.0, float("inf"))}, "delays"),
        ({"uplink_bps": (1.0, 2.0, 3.0)}, "the slowest last"),
        ({"downlink_bps": (1.0, 1.0, 0.0)}, "above 0"),
        ({"cloud_rtt_ns": (1.0, 1.0, 1.0)}, "give 3"),
    ],
)
def test_conditions_that_contradict_themselves_are_refused(change, reason):
    with pytest.raises(PlacementError, match=reason):
        dataclasses.replace(road(50), **change)


def test_conditions_of_other_levels_or_without_the_cloud_are_refused():
    wish = Wish(deadline_ns=MS)
    inputs = PlacementInputs(variants=(variant(9, 9),))
    chooser = Chooser(u_shape(inputs), inputs=inputs, wishes=(wish,))
    one_level = Conditions(uplink_bps=(1e6,), downlink_bps=(1e6,), rtt_ns=(0.0,), queue_ns=(0.0,))
    with pytest.raises(PlacementError, match="conditions need 3 levels"):
        chooser.decide(one_level, wish)
    model = variant(9, 9)
    inputs = PlacementInputs(
        variants=(dataclasses.replace(model, cloud=model.worker),), tiers=frozenset({"device", "cloud"})
    )
    with pytest.raises(PlacementError, match="conditions of the cloud are missing"):
        Chooser(three_tiers(inputs), inputs=inputs, wishes=(wish,)).decide(road(50), wish)


@pytest.mark.parametrize(
    "change", [{"slack": -0.1}, {"joule_ns": float("nan")}, {"deadline_ns": float("nan")}]
)
def test_wishes_that_are_no_numbers_are_refused(change):
    with pytest.raises(PlacementError, match="must be numbers"):
        dataclasses.replace(Wish(deadline_ns=1), **change)


def test_three_tiers_are_told_in_the_order_of_the_tiers():
    model = variant(100, 50, 20, 10, 5)
    inputs = PlacementInputs(
        variants=(dataclasses.replace(model, cloud=model.worker),),
        tiers=frozenset({"device", "worker", "cloud"}),
        backhaul_bps=1e9,
    )
    conditions = dataclasses.replace(road(50), cloud_rtt_ns=(1.0,) * 3, cloud_queue_ns=(2.0,) * 3)
    placements = three_tiers(inputs)
    choice = Choice(
        inputs=inputs,
        placements=placements,
        conditions=conditions,
        wish=Wish(deadline_ns=MS),
        family="three-tier",
    )
    (index,) = np.flatnonzero((placements.start == 0) & (placements.end == 2))
    assert choice.words(index) == (
        "the headset sends 100 B of input, the worker runs 0 to 1, the cloud runs 2 to 3 and returns 5 B"
    )
    assert choice.name(index) == "m:0-2-4:raw"
    assert choice.explained()["candidates"] == len(placements)


def test_rates_below_zero_are_refused():
    with pytest.raises(PlacementError, match="none below 0"):
        Rates(radio_w=-1)
