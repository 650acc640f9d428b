"""How long things take: tables from frame lines, and what a listener on a real road notes of replies."""

import time

from bench.deadline_durations import headset_tables, quantile_table
from bench.deadline_tap import Tap
from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor
from broker.road import RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import Encoder
from schemas.messages import Header, Result, Task, Timing
from schemas.topics import topic

MS = 1_000_000


def test_a_table_holds_the_ends_and_the_middle_and_none_where_nothing_was_seen():
    table = quantile_table(range(101))
    assert (table["count"], table["p0"], table["p50"], table["p100"]) == (101, 0, 50, 100)
    assert quantile_table([]) == {"count": 0}


def test_runs_and_crossings_are_taken_from_tries_that_ended_well():
    ended = {"path": "local", "start_ms": 1.0, "end_ms": 13.0, "result": "ok"}
    crossed = {"path": "offload", "start_ms": 0.5, "end_ms": 9.0, "result": "ok"}
    missing = {"path": "offload", "start_ms": 0.5, "end_ms": None, "result": "unfinished"}
    frames = [
        {"attempts": [crossed, ended], "rtt_ms": 3.0, "host_late": True},
        {"attempts": [missing], "rtt_ms": 99.0, "host_late": False},
        {"attempts": [], "rtt_ms": None, "host_late": False},
    ]
    tables = headset_tables(frames)
    assert (tables["local_run_ns"]["p50"], tables["local_run_ns"]["count"]) == (12 * MS, 1)
    assert (tables["link_rtt_ns"]["p100"], tables["link_rtt_ns"]["count"]) == (3 * MS, 1)
    assert tables["first_try_after_ns"]["count"] == 2
    assert tables["host_late_share"] == 0.33333


def test_a_tap_notes_what_a_reply_says_of_its_worker(mosquitto_binary, tmp_path):
    header = Header(boot_id=bytes(16), task=Task.HANDS, frame_id=1, capture_ns=1, send_ns=2, budget_us=3)
    timing = Timing(received_ns=1, queue_us=2, decode_us=3, run_us=4)
    reply = Encoder().encode(Result(header=header, timing=timing))
    broker = EmbeddedMosquitto(mosquitto_binary, tmp_path)
    broker.start()
    try:
        with Tap(broker.url, site="s") as tap, Reactor(name="says") as reactor:
            echo = topic("device-echo", site="s", device="hs-1", traffic=Traffic.DATA.value)
            config = SessionConfig(url=broker.url, client_id="says", echo_topic=echo, traffic=Traffic.DATA)
            session = Session(config, reactor=reactor)
            end_s = time.monotonic() + 10
            while not tap.worker_ns()["run_ns"] and time.monotonic() < end_s:
                if session.state is RoadState.READY:
                    session.publish("hw/1/s/d/hs-1/result/w-1/hands", reply)
                time.sleep(0.02)
            session.close()
    finally:
        broker.stop()
    heard = tap.worker_ns()
    assert [heard[name][0] for name in ("queue_ns", "decode_ns", "run_ns")] == [2000, 3000, 4000]
    assert heard["result_bytes"][0] == len(reply)
