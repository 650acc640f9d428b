"""What the board shows of real telemetry messages, in a terminal and without one, and how it hears them."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor
from broker.road import Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from headway.board import COLUMNS, Board, TelemetryFeed, cells
from schemas.codec import Encoder
from schemas.messages import Header, Mode, Outcomes, Task, Telemetry
from schemas.topics import topic
from tests.headway.door import until

SITE = "demo"

REPORT = Telemetry(
    header=Header(boot_id=bytes(range(16)), task=Task.PING, frame_id=1, capture_ns=1, send_ns=1, budget_us=0),
    wall_ms=1_700_000_000_000,
    window_ms=1000,
    mode=Mode.OFFLOAD,
    fps=29.7,
    outcomes=Outcomes(scheduled=40, fresh_on_time=30, carried_on_time=8, late=2),
    latency_p50_us=21_400,
    latency_p99_us=87_600,
    age_p99_us=120_000,
    rtt_us=4_260,
    battery_fraction=0.934,
    temperature_c=41.6,
    model="hand-landmark-full:1",
)


def board_on(feed, *, terminal):
    text = io.StringIO()
    return Board(Console(file=text, force_terminal=terminal, width=200), lambda: feed, seconds=60.0), text


def test_a_row_has_a_cell_for_each_column_in_the_units_of_its_title():
    row = dict(zip(COLUMNS, cells("hs-1", REPORT), strict=True))
    assert row == {
        "headset": "hs-1",
        "mode": "offload",
        "rtt ms": "4.3",
        "fps": "30",
        "p50/p99 ms": "21/88",
        "age p99 ms": "120",
        "on time": "95%",
        "battery": "93%",
        "heat": "42 C",
        "model": "hand-landmark-full:1",
    }


def test_what_is_not_known_is_a_dash_and_a_throttled_headset_says_so():
    quiet = replace(REPORT, rtt_us=0, outcomes=Outcomes(), throttled=True)
    row = dict(zip(COLUMNS, cells("hs-1", quiet), strict=True))
    assert row["rtt ms"] == row["on time"] == "-"
    assert row["heat"] == "42 C throttled"


def test_without_a_terminal_each_headset_has_a_plain_line_every_few_seconds():
    board, text = board_on({"hs-1": REPORT, "hs-2": REPORT}, terminal=False)
    with board:
        for elapsed_s in (0.0, 0.5, 4.9, 5.0, 5.5):
            board.tick(elapsed_s)
    lines = text.getvalue().splitlines()
    assert [line.split(":")[0].split() for line in lines] == [
        ["0.0", "s", "hs-1"],
        ["0.0", "s", "hs-2"],
        ["5.0", "s", "hs-1"],
        ["5.0", "s", "hs-2"],
    ]
    assert "mode offload, rtt ms 4.3" in lines[0]
    assert "\x1b" not in text.getvalue()


def test_on_a_terminal_the_table_is_redrawn_and_what_happened_stays():
    board, text = board_on({"hs-1": REPORT}, terminal=True)
    with board:
        board.tick(1.0)
        board.note(1.2, "the network of hs-1 is cut [bold]for 3 s[/bold]")
        board.tick(2.0)
    shown = text.getvalue()
    assert "headway demo" in shown
    assert "hand-landmark-full:1" in shown
    assert "1.2 s  the network of hs-1 is cut [bold]for 3 s[/bold]" in shown, "a note is text, not markup"


def test_a_plain_line_is_one_line_however_narrow_the_place():
    text = io.StringIO()
    board = Board(Console(file=text, width=40), lambda: {"hs-1": REPORT}, seconds=60.0)
    board.tick(0.0)
    board.note(0.1, "x" * 100)
    assert len(text.getvalue().splitlines()) == 2


def test_a_board_without_headsets_is_empty_not_broken():
    board, text = board_on({}, terminal=False)
    with board:
        board.tick(0.0)
    assert text.getvalue() == ""


@pytest.fixture(scope="module")
def broker(mosquitto_binary, tmp_path_factory):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


def test_the_feed_keeps_the_newest_report_of_each_headset_and_counts_what_is_none(broker):
    with Reactor(name="test") as reactor:
        feed = TelemetryFeed(url=broker.url, site=SITE, reactor=reactor)
        config = SessionConfig(
            url=broker.url,
            client_id="hs-1-data",
            echo_topic=topic("device-echo", site=SITE, device="hs-1", traffic="data"),
            traffic=Traffic.DATA,
        )
        headset = Session(config, reactor=reactor)
        encoder = Encoder()

        def say(device, payload):
            headset.publish(topic("telemetry", site=SITE, device=device), payload)

        def heard():
            # QoS 0: what is said before the feed listens is lost, so it is said until heard
            say("hs-2", encoder.encode(REPORT))
            return "hs-2" in feed.newest()

        until(heard, timeout_s=10, what="the first report")
        say("hs-1", encoder.encode(replace(REPORT, fps=10.0)))
        say("hs-1", encoder.encode(replace(REPORT, fps=20.0)))
        say("hs-3", b"no telemetry at all")
        until(lambda: feed.malformed, timeout_s=10, what="the malformed report")
        assert list(feed.newest()) == ["hs-1", "hs-2"]
        assert feed.newest()["hs-1"].fps == 20.0
        feed.close()
        headset.close()
