"""What people may write about a road: URLs, limits, counters on disk, waiting times."""

import random

import pytest

from broker.address import parse_url
from broker.backoff import Backoff
from broker.errors import RoadMisuse
from broker.road import Traffic
from broker.session_config import SessionConfig
from broker.session_counter import SessionCounter

BASE = {"url": "mqtt://localhost", "client_id": "c", "echo_topic": "e", "traffic": Traffic.DATA}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("mqtt://localhost", "localhost", 1883),
        ("mqtt://10.0.0.1:1", "10.0.0.1", 1),
        ("mqtt://[::1]:1883/", "::1", 1883),
    ],
)
def test_urls_are_read(url, host, port):
    address = parse_url(url)
    assert (address.host, address.port) == (host, port)
    assert parse_url(str(address)) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:1883", "write mqtt://host:port"),
        ("http://x", "write mqtt://host:port"),
        ("mqtts://x", "not supported"),
        ("mqtt://", "write mqtt://host:port"),
        ("mqtt://x:0", "1 to 65535"),
        ("mqtt://x:70000", "1 to 65535"),
        ("mqtt://x/path", "more than host and port"),
    ],
)
def test_bad_urls_say_what_to_write(url, reason):
    with pytest.raises(RoadMisuse, match=reason):
        parse_url(url)


def test_credentials_in_a_url_are_refused_and_not_repeated():
    with pytest.raises(RoadMisuse, match="credentials") as caught:
        parse_url("mqtt://someone:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"keepalive_s": 0}, "keepalive_s is 0"),
        ({"echo_topic": "e/#"}, "without wildcards"),
        ({"protocol": 4}, "choose 5 or 311"),
        ({"password": "p"}, "needs a username"),
        ({"backoff_floor_ns": 10, "backoff_cap_ns": 1}, "backoff_floor_ns"),
        ({"queue_messages": 0}, "queue_messages"),
        ({"client_id": ""}, "client_id"),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(change, reason):
    with pytest.raises(RoadMisuse, match=reason):
        SessionConfig(**{**BASE, **change})


def test_a_config_never_shows_its_password():
    config = SessionConfig(**BASE, username="u", password="hidden")
    assert "hidden" not in repr(config)


def test_only_data_has_a_default_budget():
    assert SessionConfig(**BASE).outbox_limits.default_budget_ns == 1_000_000_000
    control = SessionConfig(**{**BASE, "traffic": Traffic.CONTROL})
    assert control.outbox_limits.default_budget_ns is None


def test_session_numbers_rise_across_processes_and_survive_damage(tmp_path):
    path = tmp_path / "deep" / "session"
    first = SessionCounter(path, wall_s=1000).next()
    assert first == 1001
    again = SessionCounter(path, wall_s=0)
    assert [again.next(), again.next()] == [1002, 1003]
    path.write_text("not a number")
    assert again.next() > 1003
    assert SessionCounter(path, wall_s=5).next() == 1005
    assert list(path.parent.iterdir()) == [path]


def test_session_numbers_rise_without_a_file():
    counter = SessionCounter(None, wall_s=7)
    assert [counter.next(), counter.next()] == [8, 9]


def test_backoff_doubles_its_ceiling_to_the_cap_and_starts_over():
    class Highest(random.Random):
        def uniform(self, _low, high):
            return high

    backoff = Backoff(floor_ns=100, cap_ns=1000, rng=Highest())
    assert [backoff.next_ns() for _ in range(6)] == [100, 200, 400, 800, 1000, 1000]
    backoff.reset()
    assert backoff.next_ns() == 100


def test_backoff_uses_the_whole_interval():
    backoff = Backoff(floor_ns=1000, cap_ns=1000, rng=random.Random(1))
    draws = [backoff.next_ns() for _ in range(1000)]
    assert min(draws) < 50
    assert max(draws) > 950
