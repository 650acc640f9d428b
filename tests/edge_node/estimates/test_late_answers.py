"""One late answer is no lost one: streams of answers in real order, the next frame leaving before a late one is here."""

import pytest

from edge_node.decide import Path
from edge_node.estimates.reply_sample import ReplySample
from edge_node.estimates.route import Route
from edge_node.estimates.work import PING

MS = 1_000_000
FRAME_NS = 33 * MS
BYTES = 15_000
USUAL_MS = (15.2, 16.1, 15.4, 15.9, 15.1) * 8
RUN_MS = 6


class Stream:
    """A route that sends a frame every 33 ms and hears each answer when it comes."""

    def __init__(self):
        self.route, self.now_ns, self.waits, self.next_id = Route(), 0, [], 0

    def until(self, at_ns):
        for heard_ns, sent_ns, request_id, way in sorted(w for w in self.waits if w[0] <= at_ns):
            self.waits.remove((heard_ns, sent_ns, request_id, way))
            sample = ReplySample(
                frame_id=request_id,
                payload_bytes=64 if way == PING else BYTES,
                result_bytes=700,
                sent_ns=sent_ns,
                heard_ns=heard_ns,
                queue_ns=0,
                decode_ns=0,
                run_ns=0 if way == PING else RUN_MS * MS,
                way=way,
            )
            self.route.on_reply(sample, now_ns=heard_ns)
        self.now_ns = at_ns

    def chance(self, budget_ms):
        forecast = self.route.forecast(payload_bytes=BYTES, way=Path.OFFLOAD, now_ns=self.now_ns)
        return forecast.p_at(budget_ms * MS)

    def send(self, total_ms, *, way=Path.OFFLOAD):
        size = 64 if way == PING else BYTES
        self.route.on_sent(self.next_id, payload_bytes=size, way=way, now_ns=self.now_ns)
        self.waits.append((self.now_ns + round(total_ms * MS), self.now_ns, self.next_id, way))
        self.next_id += 1

    def play(self, totals_ms, *, budget_ms=50):
        """The chance said of each frame before it left."""
        chances = []
        for total_ms in totals_ms:
            self.until(self.now_ns + FRAME_NS)
            chances.append(self.chance(budget_ms))
            self.send(total_ms)
        return chances


@pytest.mark.parametrize("late_ms", [(35.0,), (35.0, 34.0), (45.0, 20.0)])
def test_a_frame_behind_one_that_is_a_little_late_is_not_taken_for_lost(late_ms):
    stream = Stream()
    assert stream.play(USUAL_MS)[-1] > 0.9
    chances = stream.play((*late_ms, *USUAL_MS[:10]))
    assert min(chances) > 0.5
    assert min(chances[len(late_ms) + 1 :]) > 0.9


def test_the_longer_nothing_comes_the_less_is_expected():
    stream = Stream()
    stream.play(USUAL_MS)
    chances = stream.play([1e6] * 8)
    assert chances[2:] == sorted(chances[2:], reverse=True)
    assert chances[2] < 0.5
    assert chances[7] < 0.2


def test_silences_that_were_short_make_the_next_short_one_no_matter_and_long_ones_say_nothing_of_it():
    stream = Stream()
    stream.play(USUAL_MS)
    for _ in range(8):
        stream.play((35.0, *USUAL_MS[:20]))
    assert min(stream.play((35.0, *USUAL_MS[:5]))) > 0.8
    for _ in range(20):  # a black hole
        stream.until(stream.now_ns + FRAME_NS)
        stream.route.on_sent(stream.next_id, payload_bytes=BYTES, way=Path.OFFLOAD, now_ns=stream.now_ns)
        stream.route.on_loss(stream.next_id, now_ns=stream.now_ns + 20 * MS)
        stream.next_id += 1
    assert stream.chance(50) < 0.2
    stream.play(USUAL_MS)
    assert min(stream.play((35.0, *USUAL_MS[:5]))) > 0.5


def test_a_real_step_is_learned_within_three_answers():
    stream = Stream()
    stream.play(USUAL_MS)
    chances = stream.play([36.0] * 8, budget_ms=33)
    assert chances[0] > 0.9
    assert max(chances[5:]) < 0.35, "the first three answers are here"
    assert stream.play([36.0] * 20)[-1] > 0.9, "50 ms are enough, and that is learned too"


@pytest.mark.parametrize(
    ("pictures", "budget_ms", "least", "most"), [(1, 20, 0.5, 1), (3, 20, 0.7, 1), (3, 11, 0, 0.45)]
)
def test_a_few_real_answers_are_followed_whatever_the_prior_and_many_pings_said(
    pictures, budget_ms, least, most
):
    stream = Stream()
    for number in range(120):  # twelve seconds of pings, and few pictures between them
        stream.until(stream.now_ns + 100 * MS)
        stream.send(3.0, way=PING)
        if number >= 60 and number % 20 == 0 and number < 60 + 20 * pictures:
            stream.send(14.5)
    stream.until(stream.now_ns + 50 * MS)
    assert least <= stream.chance(budget_ms) <= most


def test_one_slow_answer_among_the_first_is_doubted():
    stream = Stream()
    for number in range(60):
        stream.until(stream.now_ns + 100 * MS)
        stream.send(3.0, way=PING)
        if number == 20:
            stream.send(24.0)
        if number in {30, 40}:
            stream.send(14.0)
    stream.until(stream.now_ns + 50 * MS)
    assert stream.chance(20) > 0.5
