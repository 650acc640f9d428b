"""One worker as reached from here: predictions, their errors, and what becomes of them when the link changes."""

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.decide import Path
from edge_node.estimates.forecast import Forecast
from edge_node.estimates.reply_sample import ReplySample
from edge_node.estimates.route import EXPIRED, PRIOR_ON_TIME, Route
from edge_node.estimates.sketch import NEVER_NS
from edge_node.estimates.work import PING

S = 1_000_000_000
MS = 1_000_000


class Link:
    """A way of known rate, start and jitter to a worker of known speed, and a route that watches it."""

    def __init__(self, *, seed=1, mbit=40.0, start_ms=4.0, jitter=0.3, run_ms=6.0, alike=0.0):
        self.rng = random.Random(seed)
        self.mbit, self.start_ms, self.jitter, self.run_ms = mbit, start_ms, jitter, run_ms
        self.alike, self.wander, self.slow = alike, self.wandering(), 1.0
        self.route = Route()
        self.now_ns = 0
        self.next_id = 0

    def total_ms(self, size):
        return (self.start_ms + size * 8 / self.mbit / 1000) * self.slow + self.run_ms

    def wandering(self):
        """Lognormal slowness whose neighbours are as alike as ``alike`` says."""
        state = 0.0
        while True:
            state = self.alike * state + math.sqrt(1 - self.alike**2) * self.rng.gauss(0.0, 1.0)
            yield math.exp(self.jitter * state)

    def frame(self, *, size=None, lost=False, way=Path.OFFLOAD):
        """One frame or ping every 33 ms; returns what was forecast of it and what it took."""
        self.now_ns += 33 * MS
        size = size or self.rng.randrange(9_000, 21_000)
        forecast = self.route.forecast(payload_bytes=size, way=way, now_ns=self.now_ns)
        self.slow = next(self.wander)
        total_ns = round(self.total_ms(size) * MS) - (round(self.run_ms * MS) if way == PING else 0)
        self.route.on_sent(self.next_id, payload_bytes=size, way=way, now_ns=self.now_ns)
        if lost:
            self.route.on_loss(self.next_id, ping=way == PING, now_ns=self.now_ns + 20 * MS)
        else:
            self.route.on_reply(self.sample(size, total_ns, way), now_ns=self.now_ns + total_ns)
        self.next_id += 1
        return forecast, total_ns

    def refuse(self, *, sent=True, size=15_000, reason="overloaded"):
        """A frame that the worker would not run; not ``sent``: one that was counted as lost before."""
        self.now_ns += 33 * MS
        if sent:
            self.route.on_sent(self.next_id, payload_bytes=size, way=Path.OFFLOAD, now_ns=self.now_ns)
        took_ns = round((self.total_ms(size) - self.run_ms) * MS)
        refused = dataclasses.replace(self.sample(size, took_ns, Path.OFFLOAD), run_ns=0)
        self.route.on_refusal(refused, reason=reason, now_ns=self.now_ns + 20 * MS)
        self.next_id += 1

    def sample(self, size, total_ns, way):
        run_ns = 0 if way == PING else round(self.run_ms * MS)
        return ReplySample(
            frame_id=self.next_id,
            payload_bytes=size,
            result_bytes=700,
            sent_ns=self.now_ns,
            heard_ns=self.now_ns + total_ns,
            queue_ns=0,
            decode_ns=0,
            run_ns=run_ns,
            way=way,
        )

    def ask(self, *, size=15_000, way=Path.OFFLOAD) -> Forecast:
        return self.route.forecast(payload_bytes=size, way=way, now_ns=self.now_ns + 33 * MS)


def test_nothing_known_promises_little():
    forecast = Link().ask()
    assert (forecast.samples, forecast.p50_ns) == (0, NEVER_NS)
    assert forecast.p_at(50 * MS) == PRIOR_ON_TIME
    assert forecast.p_at(0) == 0.0


@pytest.mark.parametrize("alike", [0.0, 0.6, 0.95])
def test_promises_are_kept_as_often_as_they_say(alike):
    link, rows = Link(jitter=0.5, alike=alike), []
    for index in range(4_000):
        budget_ns = link.rng.randrange(9, 24) * MS
        forecast, total_ns = link.frame()
        if index > 100:
            rows.append((forecast.p_at(budget_ns), total_ns <= budget_ns))
    off = 0.0
    for tenth in range(10):
        bin_ = [(p, kept) for p, kept in rows if tenth <= 10 * p < tenth + 1 or (tenth == 9 and p == 1)]
        off += abs(sum(p - kept for p, kept in bin_))
    assert off / len(rows) <= 0.05  # the expected calibration error


def test_where_delays_wander_the_newest_answers_are_followed():
    skill = {}
    for alike in (0.0, 0.95):
        link, wrong, base = Link(jitter=0.5, alike=alike), 0.0, 0.0
        kept = []
        for _ in range(4_000):
            forecast, total_ns = link.frame(size=15_000)
            rate = (sum(kept[-300:]) + 0.5) / (len(kept[-300:]) + 1)
            kept.append(total_ns <= 13 * MS)
            wrong += (forecast.p_at(13 * MS) - kept[-1]) ** 2
            base += (rate - kept[-1]) ** 2
        skill[alike] = 1 - wrong / base
    assert skill[0.95] > 0.4
    assert skill[0.0] > -0.05  # where there is nothing to know, next to nothing is made up


def test_more_bytes_are_expected_later_and_a_larger_budget_is_never_worse():
    link = Link()
    for index in range(200):
        link.frame(**({"size": 64, "way": PING} if index % 3 == 0 else {}))
    small, large = link.ask(size=8_000), link.ask(size=40_000)
    assert small.p50_ns < large.p50_ns
    chances = [large.p_at(budget * MS) for budget in range(0, 60, 3)]
    assert chances == sorted(chances)
    assert small.p50_ns <= small.p90_ns <= small.p99_ns


def test_pings_alone_tell_enough_to_leave_by():
    link = Link()
    for _ in range(60):
        link.frame(size=64, way=PING)
    forecast = link.ask(size=12_000)
    assert forecast.samples == 60
    assert forecast.p_at(45 * MS) > 0.9


def test_a_black_hole_ends_all_promises_and_the_first_replies_bring_them_back():
    link = Link()
    for _ in range(300):
        link.frame()
    assert link.ask().p_at(40 * MS) > 0.95
    for _ in range(3):
        link.frame(lost=True)
    assert link.ask().p_at(40 * MS) < 0.4
    for _ in range(60):
        link.frame(lost=True, size=64, way=PING)
    assert link.ask().p_at(40 * MS) < 0.1
    for _ in range(8):
        link.frame(size=64, way=PING)
    assert link.ask().p_at(40 * MS) > 0.6


def test_a_slower_link_is_believed_within_a_few_frames():
    link = Link()
    for index in range(300):
        link.frame(**({"size": 64, "way": PING} if index % 10 == 0 else {}))
    before = link.ask()
    link.mbit = 10.0
    for _ in range(12):
        link.frame()
    after = link.ask()
    assert link.route.changes >= 1
    assert link.route.changed_at_ns is not None
    assert before.p_at(20 * MS) > 0.9
    assert after.p_at(20 * MS) < 0.6
    assert after.p50_ns == pytest.approx((link.start_ms + 12 + link.run_ms) * MS, rel=0.3)


@pytest.mark.parametrize(("before", "after"), [(40.0, 8.0), (8.0, 40.0)])
@pytest.mark.parametrize("sizes", [(20_000, 20_001), (17_000, 23_000)])
def test_a_new_rate_is_known_five_frames_after_a_step_from_frames_alone(before, after, sizes):
    for seed in range(8):
        link = Link(seed=seed, mbit=before, jitter=0.1)
        for _ in range(300):
            link.frame(size=link.rng.randrange(*sizes))
        link.mbit = after
        for _ in range(5):
            link.frame(size=link.rng.randrange(*sizes))
        assert link.route.changes >= 1
        for size in (20_000, 10_000):
            truth_ns = (link.start_ms + size * 8 / after / 1000) * MS
            assert link.route.bandwidth.transfer_ns(size, now_ns=link.now_ns) == pytest.approx(
                truth_ns, rel=0.25
            )


def test_after_a_step_the_first_answers_are_judged_by_the_new_level():
    link = Link(jitter=0.1)
    for _ in range(300):
        link.frame(size=20_000)
    link.mbit = 8.0
    while not link.route.changes:
        link.frame(size=20_000)
    slow_ns = round(link.total_ms(20_000) / link.slow * MS)
    chances = [link.ask(size=20_000).p_at(slow_ns + extra * MS) for extra in (-8, 8)]
    assert chances[0] < 0.15
    assert chances[1] > 0.7


def test_answers_that_a_stall_held_up_together_are_no_new_level():
    link = Link(jitter=0.1)
    for _ in range(100):
        link.frame()
    first_ns = link.now_ns + 33 * MS
    for index in range(6):  # let go at once, 200 ms after the first left
        sent_ns = first_ns + index * 33 * MS
        link.route.on_sent(link.next_id + index, payload_bytes=15_000, way=Path.OFFLOAD, now_ns=sent_ns)
    for index in range(6):
        sent_ns, heard_ns = first_ns + index * 33 * MS, first_ns + (200 + index) * MS
        sample = link.sample(15_000, 0, Path.OFFLOAD)
        held = dataclasses.replace(sample, frame_id=link.next_id + index, sent_ns=sent_ns, heard_ns=heard_ns)
        link.route.on_reply(held, now_ns=heard_ns)
    assert link.route.changes == 0


def test_a_stall_that_takes_several_answers_is_no_new_rate_of_losses_but_losses_between_answers_are():
    link = Link()
    for _ in range(60):
        link.frame()
    for _ in range(4):
        link.frame(lost=True)
    link.frame()
    assert link.route.changes == 0
    for index in range(40):
        link.frame(lost=index % 2 == 0)
    assert link.route.changes == 1


def test_a_level_far_above_the_time_between_frames_is_learned_and_no_silence():
    link, waits, total_ns = Link(jitter=0.05), [], 0
    for _ in range(100):
        link.frame()
    link.start_ms += 30
    for index in range(60):  # each answer comes after the next frame left
        link.now_ns += 33 * MS
        silent = link.route.is_stalled(now_ns=link.now_ns)
        link.route.on_sent(link.next_id, payload_bytes=15_000, way=Path.OFFLOAD, now_ns=link.now_ns)
        waits.append((link.next_id, link.now_ns))
        link.next_id += 1
        total_ns = round(link.total_ms(15_000) / link.slow * MS)
        while waits and waits[0][1] + total_ns <= link.now_ns + 33 * MS:
            frame_id, sent_ns = waits.pop(0)
            sample = dataclasses.replace(link.sample(15_000, total_ns, Path.OFFLOAD), frame_id=frame_id)
            heard = dataclasses.replace(sample, sent_ns=sent_ns, heard_ns=sent_ns + total_ns)
            link.route.on_reply(heard, now_ns=sent_ns + total_ns)
        assert not (silent and index > 3)
    assert link.ask().predicted_ns == pytest.approx(total_ns, rel=0.1)


def test_what_this_host_spends_before_sending_and_after_receiving_counts():
    route = Route()
    for frame_id in range(60):
        decided_ns = frame_id * 33 * MS
        route.on_sent(frame_id, payload_bytes=15_000, way=Path.OFFLOAD, now_ns=decided_ns)
        sample = ReplySample(
            frame_id=frame_id,
            payload_bytes=15_000,
            result_bytes=700,
            sent_ns=decided_ns + 4 * MS,
            heard_ns=decided_ns + 17 * MS,
            queue_ns=0,
            decode_ns=0,
            run_ns=6 * MS,
            way=Path.OFFLOAD,
        )
        route.on_reply(sample, now_ns=decided_ns + 19 * MS)
    forecast = route.forecast(payload_bytes=15_000, way=Path.OFFLOAD, now_ns=2 * S)
    assert forecast.predicted_ns == pytest.approx(19 * MS, rel=0.03)
    assert (forecast.p_at(18 * MS) < 0.1, forecast.p_at(20 * MS) > 0.9) == (True, True)
    assert route.bandwidth.transfer_ns(15_000, now_ns=2 * S) == pytest.approx(7 * MS, rel=0.05)


def test_a_steady_link_is_not_forgotten():
    link = Link(jitter=0.3)
    for _ in range(6_000):
        link.frame()
    assert link.route.changes <= 4


def test_a_silent_link_is_known_while_its_replies_are_still_awaited():
    link = Link()
    for _ in range(100):
        link.frame()
    size, sent = 15_000, []
    for _ in range(6):
        link.now_ns += 33 * MS
        chance = link.route.forecast(payload_bytes=size, way=Path.OFFLOAD, now_ns=link.now_ns).p_at(40 * MS)
        link.route.on_sent(link.next_id, payload_bytes=size, way=Path.OFFLOAD, now_ns=link.now_ns)
        sent.append((link.next_id, link.now_ns, chance))
        link.next_id += 1
    assert sent[0][2] > 0.95
    assert max(chance for _, _, chance in sent[2:]) < 0.4
    assert sent[-1][2] < 0.2
    assert link.route.is_stalled(now_ns=link.now_ns)
    link.now_ns += 33 * MS
    awake = link.next_id
    for frame_id, sent_ns, _ in sent:
        link.next_id = frame_id
        reply = dataclasses.replace(link.sample(size, 0, Path.OFFLOAD), sent_ns=sent_ns, heard_ns=link.now_ns)
        link.route.on_reply(reply, now_ns=link.now_ns)
    link.next_id = awake
    assert not link.route.is_stalled(now_ns=link.now_ns)
    assert link.route.changes == 0
    for _ in range(3):
        link.frame()
    assert link.ask().p_at(40 * MS) > 0.9


def test_silence_after_a_loss_lasts_until_something_is_heard():
    link = Link()
    for _ in range(100):
        link.frame()
    link.frame(lost=True)
    link.now_ns += 5 * S
    assert link.route.is_stalled(now_ns=link.now_ns)
    assert link.ask().stalled
    link.frame(size=64, way=PING)
    assert not link.route.is_stalled(now_ns=link.now_ns)


def test_refusals_count_as_losses_but_say_nothing_of_the_link():
    link = Link()
    for _ in range(20):
        link.frame()
    before = link.ask().p_at(40 * MS)
    for _ in range(20):
        link.refuse()
    assert link.route.changes == 0
    assert link.route.refusals == {"overloaded": 20}
    assert link.ask().p_at(40 * MS) < 0.6 * before


def test_a_refusal_proves_that_the_link_is_alive():
    link = Link()
    for _ in range(100):
        link.frame()
    link.frame(lost=True)
    assert link.route.is_stalled(now_ns=link.now_ns)
    link.refuse()
    assert not link.route.is_stalled(now_ns=link.now_ns)


def test_a_refusal_teaches_the_transport_and_no_run():
    told, silent = Link(jitter=0.0), Link(jitter=0.0)
    for link in (told, silent):
        for _ in range(60):
            link.frame()
    run_ns = told.route.worker.run_ns(Path.OFFLOAD)
    told.start_ms += 30
    for _ in range(12):
        told.refuse()
    later_ns = told.route.bandwidth.transfer_ns(15_000, now_ns=told.now_ns)
    assert later_ns > silent.route.bandwidth.transfer_ns(15_000, now_ns=told.now_ns) + 15 * MS
    assert told.route.rtt.last_ns == pytest.approx(37 * MS, abs=MS)
    assert told.route.worker.run_ns(Path.OFFLOAD) == run_ns


def test_a_refusal_of_what_was_counted_as_lost_is_no_second_loss():
    link = Link()
    for _ in range(20):
        link.frame()
    before = link.ask()
    link.refuse(sent=False)
    assert link.ask().samples == before.samples
    assert link.ask().p_refused > before.p_refused == 0.0


def test_what_a_link_kept_until_it_had_expired_says_nothing_of_the_worker():
    link = Link()
    for _ in range(20):
        link.frame()
    link.frame(lost=True)
    link.refuse(sent=False, reason=EXPIRED)
    assert link.ask().p_refused == 0.0
    link.refuse(reason=EXPIRED)
    assert link.ask().p_refused > 0.0


def test_what_a_worker_tells_everybody_gives_way_to_its_word_on_our_own_requests():
    link = Link()
    for _ in range(50):
        link.frame()
    link.route.on_load(300 * MS, now_ns=link.now_ns + 40 * MS)
    assert link.route.worker.queue_ns(now_ns=link.now_ns + 40 * MS) == 0


def test_an_overload_is_believed_within_ten_answers_and_its_end_too():
    link = Link()
    for _ in range(300):
        link.frame()
    for index in range(10):
        link.frame() if index % 3 == 2 else link.refuse()
    assert link.ask().p_at(60 * MS) < 0.65
    assert link.ask().p_at(60 * MS) == pytest.approx(
        (1 - link.ask().p_refused) * dataclasses.replace(link.ask(), p_refused=0.0).p_at(60 * MS)
    )
    for _ in range(10):
        link.frame()
    assert link.ask().p_at(60 * MS) > 0.85


def test_where_more_are_refused_than_may_be_late_no_time_is_long_enough():
    link = Link()
    for _ in range(60):
        link.frame()
    forecast = dataclasses.replace(link.ask(), p_refused=0.4)
    assert forecast.at(0.61) == NEVER_NS
    assert forecast.at(0.3) == dataclasses.replace(forecast, p_refused=0.0).at(0.5)


def test_a_worker_that_refused_is_soon_worth_a_try():
    link = Link()
    for _ in range(60):
        link.frame()
    for _ in range(30):
        link.refuse()
    assert link.ask().p_refused > 0.9
    link.now_ns += 10 * S
    assert link.ask().p_refused < 0.25


def test_a_queue_that_was_told_makes_answers_later_and_is_soon_forgotten():
    link = Link()
    for _ in range(50):
        link.frame()
    before_ns = link.ask().predicted_ns
    link.now_ns += S
    for _ in range(6):
        link.route.on_load(30 * MS, now_ns=link.now_ns)
    assert link.ask().predicted_ns > before_ns + 25 * MS
    link.now_ns += 10 * S
    assert link.ask().predicted_ns == pytest.approx(before_ns, abs=1 * MS)


def test_a_late_reply_to_what_was_counted_as_lost_changes_no_promise():
    link = Link()
    for _ in range(50):
        link.frame()
    link.route.on_sent(999, payload_bytes=9_000, way=Path.OFFLOAD, now_ns=link.now_ns)
    link.route.on_loss(999, now_ns=link.now_ns)
    after = link.ask().p_at(30 * MS)
    waited_ns = link.route.rtt.rto_ns
    link.next_id = 999
    link.route.on_reply(link.sample(9_000, 300 * MS, Path.OFFLOAD), now_ns=link.now_ns)
    link.route.on_loss(999, now_ns=link.now_ns)
    assert link.ask().p_at(30 * MS) == after
    assert link.route.rtt.rto_ns != waited_ns


def test_a_ping_and_a_frame_of_the_same_id_are_two_requests():
    route = Route()
    route.on_sent(7, payload_bytes=64, way=PING, now_ns=0)
    route.on_sent(7, payload_bytes=9_000, way=Path.OFFLOAD, now_ns=0)
    assert len(route._pending) == 2
    route.on_loss(7, ping=True, now_ns=10 * MS)
    assert len(route._pending) == 1


@given(st.lists(st.sampled_from(["frame", "ping", "loss", "refusal"]), max_size=80), st.integers(0, 10**6))
def test_whatever_happens_a_chance_is_a_chance(events, seed):
    link = Link(seed=seed, jitter=1.0)
    for event in events:
        if event == "refusal":
            link.refuse(sent=link.rng.random() < 0.5)
        else:
            link.frame(lost=event == "loss", way=PING if event == "ping" else Path.OFFLOAD)
        chance = link.ask().p_at(link.rng.randrange(60) * MS)
        assert 0.0 <= chance <= 1.0
