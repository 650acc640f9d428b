"""Bad replies are made at the asked rates, and never of themselves."""

import random

import pytest

from bench.bad_replies import KINDS, Troublemaker
from schemas.codec import Encoder, decode
from schemas.messages import Header, Result, Task, Timing

TOPIC = "hw/1/s/d/hs-1/result/w-1/hands"
BOOT = bytes(range(16))


def reply(frame_id):
    header = Header(boot_id=BOOT, task=Task.HANDS, frame_id=frame_id, capture_ns=1, send_ns=2, budget_us=3)
    return Encoder().encode(
        Result(header=header, timing=Timing(received_ns=1, queue_us=1, decode_us=1, run_us=1))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_at_its_rate_and_its_own_echo_causes_nothing(kind):
    maker = Troublemaker({kind: 0.25}, rng=random.Random(1))
    for number in range(2000):
        for _, name, bad in maker.heard(TOPIC, reply(number), now_ns=number):
            assert maker.heard(name, bad, now_ns=number) == []
    assert maker.counts["genuine"] == 2000
    assert maker.counts[kind] == pytest.approx(500, rel=0.15)


def test_what_is_made_is_what_its_name_says():
    good = reply(7)
    made = {
        kind: Troublemaker({kind: 1.0}, rng=random.Random(2)).heard(TOPIC, good, now_ns=0) for kind in KINDS
    }
    assert made["duplicate"] == [(0, TOPIC, good)]
    assert made["reordered"] == []  # nothing older yet
    [(due_ns, _, late)] = made["late"]
    assert (late, due_ns > 0) == (good, True)
    [(_, _, short)] = made["truncated"]
    assert len(short) < len(good)
    assert good.startswith(short)
    [(_, _, garbled)] = made["garbled"]
    assert (len(garbled), garbled != good) == (len(good), True)
    [(_, _, strange)] = made["stranger"]
    header = decode(strange).header
    assert (header.frame_id, header.boot_id != BOOT) == (7, True)


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no kind of bad reply: odd"):
        Troublemaker({"odd": 1}, rng=random.Random(1))
