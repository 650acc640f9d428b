"""What a headset knows of the outside: workers that ask to be left alone, and what they tell everybody."""

import random
from collections import Counter

import pytest
from edge_bench import worker_presence

from edge_node.decide import POLICIES
from edge_node.estimates.work import PRIOR_RUN_NS
from edge_node.probes import OTHERS_NS
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from edge_node.workers import REST_NS, WorkerBook
from schemas.documents import Load, SplitConfig
from schemas.messages import Task, Timing

MS = 1_000_000
CONFIG = SplitConfig(policy="offload")


class NoUplink:
    """Takes everything and carries nothing."""

    def send_frame(self, out, *, worker):
        return 9_000

    send_part = send_frame

    def __init__(self):
        self.asked = []

    def send_ping(self, ping_id, *, worker, budget_ns):
        self.asked.append(worker)
        return 64


def remote(*workers, port=None):
    made = Remote(port or NoUplink(), workers=WorkerBook(task="hands", rng=random.Random(3)))
    for worker in workers:
        made.workers.on_presence(worker_presence(worker))
    return made


def reply(worker, *, frame_id=1, task=Task.HANDS, refusal="", retry_after_ms=0):
    return RemoteReply(
        task=task,
        frame_id=frame_id,
        worker=worker,
        received_ns=12 * MS,
        rtt_ns=9 * MS,
        capture_ns=0,
        model_digest="f" * 64,
        result=None,
        refusal=refusal,
        retry_after_ms=retry_after_ms,
        payload_bytes=9_000,
        timing=Timing(received_ns=5, queue_us=3000),
    )


@pytest.mark.parametrize(("retry_after_ms", "rest_ns"), [(40, 40 * MS), (5000, 5000 * MS), (0, REST_NS)])
def test_a_worker_that_names_a_time_is_asked_again_then_and_not_before(retry_after_ms, rest_ns):
    site = remote("w-1", "w-2")
    first = site.worker(now_ns=0)
    site.note(
        reply(first, refusal="busy", retry_after_ms=retry_after_ms),
        policy=POLICIES["offload"](CONFIG),
        now_ns=0,
    )
    other = site.worker(now_ns=rest_ns - 1)
    assert other != first
    site.workers.on_presence(worker_presence(other, online=False))
    assert site.worker(now_ns=1) == first, "there is nobody else"
    site.workers.on_presence(worker_presence(other))
    site.rest(other, now_ns=rest_ns)
    assert site.worker(now_ns=rest_ns) == first


def test_the_newest_round_trip_is_that_of_the_route():
    site = remote("w-1")
    assert (site.rtt_ns("w-1"), site.rtt_ns(None)) == (None, None)
    site.note(reply("w-1"), policy=POLICIES["offload"](CONFIG), now_ns=12 * MS)
    assert site.rtt_ns("w-1") == site.routes.of("w-1").rtt.last_ns == 9 * MS
    assert site.rtt_ns("w-2") is None


def test_what_a_worker_tells_everybody_is_expected_of_a_picture():
    site = remote("w-1", "w-2")
    site.routes.picture_left("w-1", 1, payload_bytes=9_000, now_ns=0)
    before_ns = site.rungs("w-1", now_ns=0)[0].forecast.predicted_ns
    for worker in ("w-1", "w-2", "stranger"):
        busy = Load(
            worker=worker,
            boot_id="0" * 32,
            queued=8,
            running=1,
            run_p50_us=5_000,
            run_p99_us=9_000,
            answered=0,
            refused=0,
            sent_ms=0,
        )
        site.on_load(busy, now_ns=0)
    assert site.rungs("w-1", now_ns=0)[0].forecast.predicted_ns == before_ns - PRIOR_RUN_NS + 5 * MS + 20 * MS
    assert list(site.routes._of) == ["w-1"], "nothing is kept of a worker never spoken to"


def test_a_policy_that_weighs_workers_sees_the_one_before_first_and_two_others():
    site = remote("w-1", "w-2", "w-3", "w-4")
    weighing = SplitConfig(policy="deadline")
    site.use(weighing, POLICIES["deadline"](weighing))
    first = site.worker(now_ns=0)
    seen = [rung.worker for rung in site.rungs(first, now_ns=0)]
    assert (seen[0], len(seen), len(set(seen))) == (first, 3, 3)
    site.rest(seen[1], now_ns=0)
    assert seen[1] not in [rung.worker for rung in site.rungs(first, now_ns=0)], "it rests"
    site.workers.took(seen[2])
    assert site.worker(now_ns=0) == seen[2]


@pytest.mark.parametrize("fields", [{"policy": "offload"}, {"policy": "deadline", "worker": "w-2"}])
def test_nobody_else_is_weighed_where_the_policy_or_the_operator_names_one(fields):
    site = remote("w-1", "w-2")
    config = SplitConfig(**fields)
    site.use(config, POLICIES[config.policy](config))
    assert [rung.worker for rung in site.rungs("w-2", now_ns=0)] == ["w-2"]


def test_workers_that_frames_do_not_go_to_are_probed_in_turn_and_sparsely():
    port = NoUplink()
    site = remote("w-1", "w-2", "w-3", port=port)
    config = SplitConfig(policy="deadline", tiers=("local", "offload"))
    policy = POLICIES["deadline"](config)
    site.use(config, policy)
    site.ready = True
    site.workers.took("w-1")
    for step in range(40):
        site.probe(policy, now_ns=step * OTHERS_NS // 4)
    asked = Counter(port.asked)
    assert asked["w-2"] == asked["w-3"] == 5
    assert asked["w-1"] > 10, "the one in question is probed as ever"
