"""Cuts: every legal place and nothing else, against a count by brute force on made-up flows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import GraphError
from inference.graph import cuts
from inference.graph.cuts import legal_cuts
from inference.graph.flow import Flow, FlowOperator, FlowTensor
from inference.graph.segments import segment_of


@st.composite
def flows(draw) -> Flow:
    """A random graph: each operator reads one to three earlier tensors, some of them constants."""
    constants = draw(st.integers(0, 2))
    inputs = draw(st.integers(1, 2))
    tensors = [FlowTensor(name=f"c{i}", shape=(2,), dtype="int8", constant=True) for i in range(constants)]
    tensors += [FlowTensor(name=f"x{i}", shape=(i + 1,), dtype="float32") for i in range(inputs)]
    operators = []
    for place in range(draw(st.integers(1, 9))):
        read = draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3))
        constant = all(tensors[index].constant for index in read)
        made = range(len(tensors), len(tensors) + draw(st.integers(1, 2)))
        tensors += [
            FlowTensor(name=f"t{place}.{i}", shape=(i,), dtype="float32", constant=constant) for i in made
        ]
        operators.append(FlowOperator(kind="OP", inputs=tuple(read), outputs=tuple(made)))
    outputs = draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3, unique=True))
    whole = ()
    if draw(st.booleans()):
        start = draw(st.integers(0, len(operators) - 1))
        whole = ((start, draw(st.integers(start + 1, len(operators)))),)
    return Flow(
        file_format="tflite",
        tensors=tuple(tensors),
        operators=tuple(operators),
        inputs=tuple(range(constants, constants + inputs)),
        outputs=tuple(outputs),
        whole=whole,
    )


def _needed_across(flow: Flow, position: int) -> set[int]:
    """Tensors that exist before the position without being constants, and are read behind it."""
    before = {index for op in flow.operators[:position] for index in op.outputs} | set(flow.inputs)
    behind = {
        index
        for op in flow.operators[position:]
        if not all(flow.tensors[out].constant for out in op.outputs)
        for index in op.inputs
    }
    return {index for index in before & behind if not flow.tensors[index].constant}


@given(flows())
@settings(max_examples=200, deadline=None)
def test_the_cuts_are_exactly_those_that_a_count_by_hand_finds(flow):
    last = len(flow.operators)
    expected = {}
    for position in range(last + 1):
        crossing = _needed_across(flow, position)
        split_whole = any(start < position < end for start, end in flow.whole)
        if not split_whole and (crossing or position in (0, last)):
            expected[position] = crossing
    found = legal_cuts(flow)
    assert {cut.position: set(cut.crossing) for cut in found} == expected
    for cut in found:
        assert cut.payload_bytes == sum(flow.tensors[index].payload_bytes for index in cut.crossing)
        assert not any(flow.tensors[index].constant for index in cut.crossing)


@given(flows(), st.data())
@settings(max_examples=200, deadline=None)
def test_parts_run_in_order_have_every_value_when_they_need_it(flow, data):
    """Symbolic run of head, middle and tail: what each reads was yielded, and every output comes out."""
    positions = [cut.position for cut in legal_cuts(flow)]
    borders = sorted(data.draw(st.lists(st.sampled_from(positions), max_size=2))) + [len(flow.operators)]
    have, start = set(flow.inputs), 0
    for end in borders:
        if start == end:
            continue
        try:
            part = segment_of(flow, legal_cuts(flow), start, end)
        except GraphError:  # holds nothing but what nobody needs
            start = end
            continue
        assert set(part.inputs) <= have
        run = set(part.inputs) | {i for i, tensor in enumerate(flow.tensors) if tensor.name.startswith("c")}
        for place in part.operators:
            assert set(flow.operators[place].inputs) <= run
            run.update(flow.operators[place].outputs)
        assert set(part.outputs) <= run
        have.update(part.outputs)
        start = end
    run_time = [index for index in flow.outputs if not flow.tensors[index].constant]
    assert set(run_time) <= have


def _chain(*, whole=()) -> Flow:
    tensors = tuple(FlowTensor(name=f"t{i}", shape=(4,), dtype="float32") for i in range(4))
    operators = tuple(FlowOperator(kind="OP", inputs=(i,), outputs=(i + 1,)) for i in range(3))
    return Flow(
        file_format="tflite", tensors=tensors, operators=operators, inputs=(0,), outputs=(1, 3), whole=whole
    )


def test_an_output_that_is_ready_early_is_named_at_every_later_cut():
    assert [cut.early for cut in legal_cuts(_chain())] == [(), (1,), (1,), (1, 3)]


def test_a_range_that_stays_whole_has_no_cut_inside():
    assert [cut.position for cut in legal_cuts(_chain(whole=((1, 3),)))] == [0, 1, 3]


def test_positions_that_are_no_cuts_are_refused_with_the_nearest():
    flow = _chain(whole=((1, 3),))
    with pytest.raises(GraphError, match="nearest is 1"):
        segment_of(flow, legal_cuts(flow), 0, 2)
    with pytest.raises(GraphError, match="holds no operator"):
        segment_of(flow, legal_cuts(flow), 1, 1)


def test_a_flow_in_which_everything_crosses_everything_is_refused_before_it_fills_the_memory(monkeypatch):
    """Each operator's result is read by the last one, as in a small file made to hang a reader."""
    monkeypatch.setattr(cuts, "_MAX_LISTED", 1000)
    tensors = tuple(FlowTensor(name=f"t{i}", shape=(4,), dtype="float32") for i in range(102))
    operators = [FlowOperator(kind="OP", inputs=(i,), outputs=(i + 1,)) for i in range(100)]
    operators.append(FlowOperator(kind="OP", inputs=tuple(range(101)), outputs=(101,)))
    flow = Flow(
        file_format="tflite", tensors=tensors, operators=tuple(operators), inputs=(0,), outputs=(101,)
    )
    with pytest.raises(GraphError, match="less tangled"):
        legal_cuts(flow)
