"""Shell: opens an engine's head and tail for a placement and measures what part of a whole run each takes.

Runs on the caller's thread (at the start, or the updater's), never on the frame loop's.
"""

import statistics
from collections.abc import Callable
from contextlib import closing

from edge_node.jobs import EngineParts
from inference.errors import TaskError
from inference.parity.fingerprint import canaries_for
from inference.runtimes.base import Runtime
from inference.split.hands import SplitHands, open_split_hands
from inference.split.model import SplitModel
from inference.split.placed import open_part, run_whole
from inference.tasks.hands import HandTask
from schemas.messages import PartCoding
from schemas.placements import Placement
from schemas.topics import row

HEAD_BYTES = 16 * 1024  # of a message, beside the tensors' values
RUNS = 5  # of which the median counts; the first run of an engine is slower and does not


def open_engine_parts(
    task: HandTask,
    split: SplitModel,
    placement: Placement,
    *,
    runtime: Runtime,
    clock_ns: Callable[[], int],
    max_hands: int = 1,
    coding: PartCoding = PartCoding.RAW,
) -> EngineParts:
    """Head and tail of the task's landmark model around the worker's part.

    Raises:
        GraphError: the positions are no legal cuts of this model; names the nearest.
        ModelLoadError: the engine cannot open a part.
        TaskError: so many hands' tensors do not fit a message.
    """
    hands = open_split_hands(
        task, split=split, placement=placement, runtime=runtime, clock_ns=clock_ns, coding=coding
    )
    try:
        _check_room(hands, max_hands=max_hands)
        head_share, tail_share = _shares(hands, split, runtime=runtime, clock_ns=clock_ns)
    except BaseException:
        hands.close()
        raise
    return EngineParts(
        placement=placement,
        hands=hands,
        head_share=head_share,
        tail_share=tail_share,
        up_bytes=hands.up_bytes,
        coding=coding,
    )


def _check_room(hands: SplitHands, *, max_hands: int) -> None:
    for stream, each_bytes in (("infer", hands.up_bytes), ("result", hands.down_bytes)):
        room = row(stream).max_payload_bytes - HEAD_BYTES
        if max_hands * each_bytes > room:
            raise TaskError(
                f"{max_hands} x {each_bytes} bytes of tensors would travel, a message has room for {room}: "
                f"choose a narrower cut or fewer hands"
            )


def _shares(
    hands: SplitHands, split: SplitModel, *, runtime: Runtime, clock_ns: Callable[[], int]
) -> tuple[float, float]:
    """What part of a whole run head and tail take.

    The whole is opened for this alone: the task's own model belongs to the slot's thread, which may run it right now.
    """
    flow = split.flow
    (canary,) = canaries_for(flow, count=1)
    values = {flow.tensors[index].name: array for index, array in zip(flow.inputs, canary, strict=True)}
    with closing(open_part(split, 0, len(flow.operators), runtime=runtime)) as whole:
        whole_ns = _median_ns(lambda: whole.run(values), clock_ns=clock_ns)
    head_ns = tail_ns = 0
    if hands.head is not None:
        head = hands.head
        head_ns = _median_ns(lambda: head.run(values), clock_ns=clock_ns)
    if hands.tail is not None:
        # what a tail takes does not depend on the values, so those of the worker's part are made up
        tail, needed = (
            hands.tail,
            run_whole([hands.head] if hands.head else [], values) | hands.blank_return(),
        )
        tail_ns = _median_ns(lambda: tail.run(needed), clock_ns=clock_ns)
    return min(1.0, head_ns / max(1, whole_ns)), min(1.0, tail_ns / max(1, whole_ns))


def _median_ns(run: Callable[[], object], *, clock_ns: Callable[[], int]) -> int:
    run()
    took = []
    for _ in range(RUNS):
        started_ns = clock_ns()
        run()
        took.append(clock_ns() - started_ns)
    return round(statistics.median(took))
