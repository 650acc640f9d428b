"""A journey of an engine that was cut at two pairs: each frame's head, part and tail are of one of them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from edge_bench import (
    CUT_ENGINE,
    KERNEL,
    LIVE,
    MODEL,
    MS,
    PLACEMENT,
    Bench,
    Uplink,
    looked_at,
    worker_presence,
)

from edge_node.decide import Path
from edge_node.device_class import Thermal
from edge_node.dispatch import KEPT_HERE_FRAMES
from edge_node.jobs import JobKind
from edge_node.proof_asks import ASK_AGAIN_NS, FIRST_ID, PATIENCE_NS, ProofAsks
from edge_node.replies import RemoteReply
from edge_node.workers import WorkerBook
from schemas.messages import Task
from schemas.placements import Placement

WIDE = Placement(start=4, end=63)
BOTH = {MODEL: (PLACEMENT.id, WIDE.id)}
PAIRS = {
    "placement": {"head_end": PLACEMENT.start, "tail_start": PLACEMENT.end},
    "placements": [{"head_end": WIDE.start, "tail_start": WIDE.end}],
}
OTHER = replace(
    CUT_ENGINE,
    parts=replace(CUT_ENGINE.parts, placement=WIDE, head_share=0.1, tail_share=0.05, up_bytes=150_000),
)
ENGINE = replace(CUT_ENGINE, parts=replace(CUT_ENGINE.parts, head_share=0.3, tail_share=0.1), others=(OTHER,))


def bench(*, proved, **fields):
    b = Bench(
        policy="deadline",
        engine=ENGINE,
        tiers=("local", "split"),
        weights={"energy": 20},
        local_ms=30,
        **PAIRS,
        **fields,
    )
    b.remote.workers.on_presence(worker_presence(kernels={MODEL: KERNEL}, placements=proved))
    return b


def answer_frames(b, *, count):
    """Frames that are all answered; probes and asks too."""
    for _ in range(count):
        sent, jobs = len(b.uplink.parts), len(b.starter.jobs)
        frame = b.frame()
        if len(b.uplink.parts) > sent and b.uplink.parts[-1].ask:
            out = b.uplink.parts[-1]
            b.part_reply(out.frame_id, refusal="unknown_placement", ask=True, retry_after_ms=500)
            sent += 1
        if len(b.starter.jobs) > jobs:
            job = b.starter.jobs[-1]
            took_ms = round(b.local_ms * job.engine.share(job.kind))
            b.wait(took_ms)
            b.local_done(started_ns=b.now_ns - took_ms * MS)
        b.wait(0)
        if len(b.uplink.parts) > sent:
            b.wait(6)
            b.part_reply(frame)
            if b.starter.jobs[-1].kind is JobKind.TAIL:
                b.wait(2)
                b.local_done(started_ns=b.now_ns - 2 * MS)
        while b.uplink.pings:
            b.reply(b.uplink.pings.pop(), task=Task.PING, rtt_ms=1)
        b.wait(max(1, 33 - (b.now_ns // MS) % 33))


def newest(b):
    return b.journey.decisions.rows()[-1]


def splits(b):
    return {row["placement"]: row for row in newest(b)["considered"] if row["path"] == "split"}


def test_frames_go_at_the_pair_that_is_better_and_head_part_and_tail_are_all_of_it():
    b = bench(proved=BOTH)
    answer_frames(b, count=100)
    assert (newest(b)["path"], newest(b)["placement"]) == ("split", str(WIDE))
    assert splits(b)[str(PLACEMENT)]["why_not"] == f"the model is cut at {WIDE}"
    answered = [line for line in b.lines if line.answer.path is Path.SPLIT]
    assert len([line for line in answered if line.engine is OTHER]) > 20
    for line in answered:
        parts = [job for job in b.starter.jobs if job.frame_id == line.frame_id]
        assert [job.kind for job in parts] == [JobKind.HEAD, JobKind.TAIL]
        assert all(job.engine is line.engine for job in parts)
        (out,) = [out for out in b.uplink.parts if out.frame_id == line.frame_id]
        assert out.wanted.placement_id == line.engine.cut
    assert len(b.switches) == 1


def test_a_whole_run_is_that_of_the_engine_itself_whichever_pair_a_frame_took():
    b = bench(proved=BOTH)
    answer_frames(b, count=100)
    b.frame()
    b.wait(5)
    b.local_done(started_ns=b.now_ns - 3 * MS)
    b.wait(80)  # no reply
    assert b.starter.jobs[-1].kind is JobKind.WHOLE
    assert b.starter.jobs[-1].engine is ENGINE


def test_the_pair_that_was_proved_goes_and_the_other_is_asked_for_meanwhile():
    b = bench(proved={MODEL: (PLACEMENT.id,)})
    answer_frames(b, count=100)
    assert (newest(b)["path"], newest(b)["placement"]) == ("split", str(PLACEMENT))
    assert splits(b)[str(WIDE)]["why_not"].startswith("w-1 has not proved this placement yet")
    asks = [out for out in b.uplink.parts if out.ask]
    assert {out.wanted.placement_id for out in asks} == {WIDE.id}
    assert not {out.frame_id for out in asks} & set(range(100))  # a worker takes one id twice for a copy
    b.remote.workers.on_presence(worker_presence(kernels={MODEL: KERNEL}, placements=BOTH))
    switches = len(b.switches)
    answer_frames(b, count=100)
    assert (newest(b)["placement"], len(b.switches)) == (str(WIDE), switches)


def test_what_parts_take_is_known_for_each_pair():
    b = bench(proved=BOTH)
    answer_frames(b, count=100)
    times = b.perception.times
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.3, cut=ENGINE.cut) == pytest.approx(9 * MS, rel=0.1)
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.1, cut=OTHER.cut) == pytest.approx(3 * MS, rel=0.1)
    assert b.perception.runs.well == len(b.starter.jobs)
    b.perception.watch(replace(ENGINE, label="new"))
    assert times.usual_ns(JobKind.TAIL, 0.5, share=0.5, cut=OTHER.cut) == pytest.approx(15 * MS, rel=0.1)


def test_the_size_of_what_crosses_is_known_for_each_pair_and_told_by_the_cut_before():
    b = bench(proved=BOTH)
    routes = b.remote.routes
    assert routes.part_bytes(OTHER) - routes.part_bytes(ENGINE) == 100_000
    routes.part_left("w-1", 0, OTHER, payload_bytes=70_000, now_ns=0)
    assert routes.part_bytes(OTHER) == 70_000
    assert routes.part_bytes(ENGINE) == pytest.approx(50_000, rel=0.01)


def test_one_slow_head_is_doubted_at_its_own_cut_only():
    b = bench(proved=BOTH)
    times = b.perception.times
    for cut, head_ms in ((ENGINE.cut, 90), (OTHER.cut, 3)):
        for _ in range(3):
            times.add(JobKind.HEAD, head_ms * MS, regions=1, cut=cut, thermal=Thermal.NOMINAL, encoding=False)
    answer_frames(b, count=2)
    assert "a whole run must begin" in splits(b)[str(PLACEMENT)]["why_not"]
    answer_frames(b, count=KEPT_HERE_FRAMES)
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.3, cut=ENGINE.cut) < 30 * MS
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.9, cut=OTHER.cut) == pytest.approx(3 * MS, rel=0.1)


def test_another_engine_has_waiting_heads_of_every_pair_computed_whole():
    b = bench(proved=BOTH)
    answer_frames(b, count=100)
    frame = b.frame()
    b.wait(1)
    b.frame()  # its head waits behind the first one's
    b.journey.local.use(replace(ENGINE, label="new"), now_ns=b.now_ns)
    b.local_done(looked=looked_at(LIVE))
    b.wait(1)
    assert (b.starter.jobs[-1].kind, b.starter.jobs[-1].engine.label) == (JobKind.WHOLE, "new")
    assert frame != b.starter.jobs[-1].frame_id


def test_a_pair_that_another_worker_proved_does_not_take_the_pictures_there():
    b = bench(proved={MODEL: (PLACEMENT.id,)})
    b.remote.workers.on_presence(
        worker_presence("w-2", kernels={MODEL: KERNEL}, placements={MODEL: (WIDE.id,)})
    )
    for _ in range(5):
        b.frame()
        b.wait(33)
        assert b.remote.worker(now_ns=b.now_ns) == "w-1"
    told = b.journey.decisions.rows()[-1]["considered"]
    assert {row["placement"]: row["worker"] for row in told if row["path"] == "split"} == {
        str(PLACEMENT): "w-1",
        str(WIDE): "w-2",
    }


FLIGHT = SimpleNamespace(scheduled_ns=0, trace_id=bytes(16))  # what an ask takes of a frame

# -- asking ------------------------------------------------------------------------------------------


class Asker:
    """Asks for two pairs whenever it may."""

    def __init__(self):
        self.uplink = Uplink()
        self.asks = ProofAsks(self.uplink, workers=WorkerBook(task="hands", rng=None))

    def ask(self, now_ns, *, others_out=False, pairs=((ENGINE, "w-1"), (OTHER, "w-1"))):
        if self.asks.is_due(now_ns=now_ns, others_out=others_out):
            self.asks.send(FLIGHT, pairs, now_ns=now_ns)
        return [out.wanted.placement_id for out in self.uplink.parts]


def refused(asker, *, retry_after_ms, now_ns):
    out = asker.uplink.parts[-1]
    asker.asks.hear(
        RemoteReply(
            task=Task.HANDS,
            frame_id=out.frame_id,
            worker="w-1",
            received_ns=now_ns,
            rtt_ns=MS,
            capture_ns=0,
            model_digest=MODEL,
            result=None,
            refusal="unknown_placement",
            retry_after_ms=retry_after_ms,
            wanted=out.wanted,
            ask=True,
        ),
        now_ns=now_ns,
    )


def test_pairs_are_asked_for_in_turn_one_at_a_time_each_under_an_id_of_its_own():
    asker = Asker()
    assert asker.ask(0) == [ENGINE.cut]
    assert asker.ask(ASK_AGAIN_NS - 1) == [ENGINE.cut]
    assert asker.ask(ASK_AGAIN_NS) == [ENGINE.cut, OTHER.cut]
    assert asker.ask(2 * ASK_AGAIN_NS) == [ENGINE.cut, OTHER.cut, ENGINE.cut]
    assert [out.frame_id - FIRST_ID for out in asker.uplink.parts] == [0, 1, 2]


def test_a_worker_says_when_to_ask_again():
    asker = Asker()
    asker.ask(0)
    refused(asker, retry_after_ms=3000, now_ns=0)
    assert len(asker.ask(3000 * MS - 1)) == 1
    assert len(asker.ask(3000 * MS)) == 2


def test_an_ask_waits_for_a_moment_when_nothing_else_is_out_though_not_for_ever():
    asker = Asker()
    asker.ask(0)
    assert len(asker.ask(ASK_AGAIN_NS, others_out=True)) == 1
    assert len(asker.ask(ASK_AGAIN_NS + PATIENCE_NS, others_out=True)) == 2
