"""Judging a road by its echo, with a made-up clock in milliseconds."""

from broker.pulse import EchoMark, Pulse, PulseLimits, Verdict

MS = 1_000_000
LIMITS = PulseLimits(
    suspect_floor_ns=150 * MS,
    suspect_cap_ns=1000 * MS,
    dead_floor_ns=3000 * MS,
    dead_cap_ns=10_000 * MS,
    echo_active_ns=100 * MS,
    echo_idle_ns=1000 * MS,
)


def echo(pulse, *, at_ms, rtt_ms):
    seq = pulse.echo_sent(now_ns=at_ms * MS)
    pulse.heard(now_ns=(at_ms + rtt_ms) * MS)
    pulse.echo_returned(seq, now_ns=(at_ms + rtt_ms) * MS)


def connected(*, at_ms=1000):
    pulse = Pulse(LIMITS)
    pulse.connected(now_ns=at_ms * MS)
    pulse.begin()
    return pulse


def test_a_road_waits_until_its_own_echo_came_back():
    pulse = connected()
    pulse.heard(now_ns=1001 * MS)
    assert pulse.verdict(now_ns=1001 * MS) is Verdict.WAITING
    echo(pulse, at_ms=1002, rtt_ms=1)
    assert pulse.verdict(now_ns=1003 * MS) is Verdict.ALIVE
    pulse.connected(now_ns=2000 * MS)
    assert pulse.verdict(now_ns=2000 * MS) is Verdict.WAITING


def test_an_overdue_echo_makes_it_suspect_until_a_newer_one_returns():
    pulse = connected()
    echo(pulse, at_ms=1000, rtt_ms=1)
    pulse.echo_sent(now_ns=1100 * MS)
    assert pulse.verdict(now_ns=1250 * MS) is Verdict.ALIVE
    assert pulse.verdict(now_ns=1251 * MS) is Verdict.SUSPECT
    newer = pulse.echo_sent(now_ns=1260 * MS)
    pulse.echo_returned(newer, now_ns=1261 * MS)
    assert pulse.verdict(now_ns=1261 * MS) is Verdict.ALIVE


def test_silence_makes_it_dead_and_any_byte_keeps_it_from_that():
    pulse = connected()
    echo(pulse, at_ms=1000, rtt_ms=1)
    pulse.heard(now_ns=2000 * MS)
    assert pulse.verdict(now_ns=5000 * MS) is Verdict.ALIVE
    assert pulse.verdict(now_ns=5001 * MS) is Verdict.DEAD


def test_thresholds_follow_the_measured_p99_between_floor_and_cap():
    pulse = connected()
    assert (pulse.suspect_after_ns, pulse.dead_after_ns) == (150 * MS, 3000 * MS)
    for number in range(100):
        echo(pulse, at_ms=2000 + 100 * number, rtt_ms=100)
    assert pulse.suspect_after_ns == 400 * MS
    for number in range(100):
        echo(pulse, at_ms=20_000 + 1000 * number, rtt_ms=700)
    assert pulse.suspect_after_ns == 1000 * MS
    assert pulse.dead_after_ns == 7000 * MS


def test_one_outage_does_not_move_the_thresholds():
    pulse = connected()
    for number in range(100):
        echo(pulse, at_ms=2000 + 100 * number, rtt_ms=1)
    echo(pulse, at_ms=20_000, rtt_ms=4000)
    assert pulse.suspect_after_ns == 150 * MS


def test_echoes_come_often_while_traffic_flows_and_do_not_pile_up_in_an_outage():
    pulse = connected(at_ms=10_000)
    now_ms, sent = 10_000, []
    while now_ms < 11_000:
        if pulse.echo_due(now_ns=now_ms * MS, active=True):
            echo(pulse, at_ms=now_ms, rtt_ms=1)
            sent.append(now_ms)
        now_ms += 1
    assert len(sent) == 10
    unanswered = []
    while now_ms < 13_000:
        if pulse.echo_due(now_ns=now_ms * MS, active=True):
            pulse.echo_sent(now_ns=now_ms * MS)
            unanswered.append(now_ms)
        now_ms += 1
    assert len(unanswered) <= 14
    assert not pulse.echo_due(now_ns=now_ms * MS, active=False) or now_ms - unanswered[-1] >= 1000


def test_the_next_check_is_never_in_the_past_and_never_misses_a_change():
    pulse = connected(at_ms=0)
    now_ns, last, waits = 0, pulse.verdict(now_ns=0), []
    while now_ns < 4000 * MS:
        if pulse.echo_due(now_ns=now_ns, active=True):
            pulse.echo_sent(now_ns=now_ns)
        wait_ns = pulse.next_check_ns(now_ns=now_ns, active=True)
        assert wait_ns > 0
        waits.append(wait_ns)
        now_ns += wait_ns + 1
    last = pulse.verdict(now_ns=now_ns)
    assert last is Verdict.DEAD
    assert max(waits) <= 1000 * MS


def test_an_echo_is_only_ours_with_our_nonce_and_an_untouched_number():
    mark = EchoMark("00ff")
    assert mark.write(7) == b'{"echo":"00ff","n":7}'
    assert mark.read(mark.write(7)) == 7
    for foreign in (
        b"",
        b'{"echo":"00fe","n":7}',
        b'{"echo":"00ff","n":}',
        b'{"echo":"00ff","n":7',
        b'{"echo":"00ff","n":-7}',
    ):
        assert mark.read(foreign) is None


def test_an_unknown_echo_changes_nothing():
    pulse = connected()
    pulse.echo_returned(99, now_ns=1001 * MS)
    assert pulse.verdict(now_ns=1001 * MS) is Verdict.WAITING
    assert pulse.last_rtt_ns is None
