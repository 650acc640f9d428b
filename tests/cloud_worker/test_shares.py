from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.shares import Shares, SharesConfig
from tests.cloud_worker.builders import MS

S = 1_000 * MS
SHORT = SharesConfig(present_ns=S)


def with_shares(config: SharesConfig | None = None, **run_ms: int) -> Shares:
    """Headsets that are present at 0 and got so much."""
    shares = Shares(config)
    for device in run_ms:
        shares.see(device, now_ns=0)
    for device, took_ms in run_ms.items():
        shares.charge(device, run_ns=took_ms * MS, now_ns=0)
    return shares


def test_while_nobody_is_turned_away_nobody_has_a_surplus():
    assert with_shares(rich=90, poor=10).surplus("rich", now_ns=0) == 0


def test_the_surplus_is_the_part_of_the_hungry_that_got_less():
    shares = with_shares(a=10, b=20, c=30, d=40)
    for device in "abcd":
        shares.refuse(device, now_ns=0)
    assert [shares.surplus(device, now_ns=0) for device in "abcd"] == [0, 0.25, 0.5, 0.75]


def test_who_got_a_place_or_went_away_is_hungry_no_more():
    shares = with_shares(SHORT, a=10, b=20, c=30)
    shares.refuse("a", now_ns=0)
    shares.refuse("b", now_ns=900 * MS)
    shares.admit("a")
    assert shares.surplus("b", now_ns=900 * MS) == 0
    assert shares.surplus("c", now_ns=900 * MS) == 1
    assert shares.surplus("c", now_ns=2 * S) == 0


def test_what_was_received_long_ago_weighs_less():
    shares = with_shares(SharesConfig(half_life_ns=S, present_ns=9 * S), early=30, late=0)
    shares.charge("late", run_ns=10 * MS, now_ns=2 * S)  # a quarter of 30 is left by then
    assert shares.is_poorer("early", "late", by_ns=0, now_ns=2 * S)
    assert not shares.is_poorer("early", "late", by_ns=4 * MS, now_ns=2 * S)


def test_a_newcomer_begins_level_with_the_poorest_of_those_present():
    shares = with_shares(a=10, b=20)
    shares.see("new", now_ns=0)
    assert not shares.is_poorer("new", "a", by_ns=0, now_ns=0)
    assert shares.is_poorer("new", "b", by_ns=0, now_ns=0)


def test_silence_saves_nothing_up():
    shares = with_shares(SHORT, silent=1, a=10)
    for second in range(1, 4):
        shares.see("a", now_ns=second * S)
    shares.see("silent", now_ns=3 * S)
    assert not shares.is_poorer("silent", "a", by_ns=0, now_ns=3 * S)


def test_who_stays_silent_is_forgotten():
    shares = with_shares(a=10, b=20)
    shares.refuse("a", now_ns=0)
    shares.see("b", now_ns=39 * S)
    shares.see("c", now_ns=41 * S)
    assert len(shares) == 2


def test_more_headsets_than_allowed_push_out_the_longest_silent_one():
    shares = Shares(SharesConfig(headsets=3))
    for number in range(50):
        shares.see(f"h-{number}", now_ns=number)
    assert len(shares) == 3


def test_a_correction_never_makes_a_debt():
    shares = with_shares(a=5, b=0)
    shares.charge("a", run_ns=-50 * MS, now_ns=0)
    assert not shares.is_poorer("a", "b", by_ns=0, now_ns=0)
    assert not shares.is_poorer("b", "a", by_ns=0, now_ns=0)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 100), st.integers(0, 3000)), max_size=60))
def test_shares_compare_as_if_each_had_decayed_on_its_own(script):
    config = SharesConfig(half_life_ns=S, present_ns=10**15, forget_ns=10**15)
    shares, now_ns = Shares(config), 0
    plain = dict.fromkeys("abcd", 0.0)
    for device in plain:
        shares.see(device, now_ns=0)
    for device, took_ms, waited_s in script:
        now_ns += waited_s * S // 10
        plain = {name: got * 2.0 ** (-waited_s / 10) for name, got in plain.items()}
        plain[device] += took_ms * MS
        shares.charge(device, run_ns=took_ms * MS, now_ns=now_ns)
    for one in plain:
        for other in plain:
            if abs(plain[one] - plain[other]) > 1:  # a nanosecond: what a float forgets
                assert shares.is_poorer(one, other, by_ns=0, now_ns=now_ns) == (plain[one] < plain[other])
