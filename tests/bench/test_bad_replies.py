"""Bad replies: made at the asked rates, and put between a real worker's end and a real broker."""

import contextlib
import gc
import random
import socket
import time
import warnings

import pytest

from bench.bad_replies import KINDS, Tamperer
from bench.deadline_middle import Middle
from bench.mqtt_packets import Packets, Publishes, publish_packet
from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor
from broker.road import RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import Encoder, decode
from schemas.messages import Header, Result, Task, Timing
from schemas.topics import topic

TOPIC = "hw/1/s/d/hs-1/result/w-1/hands"
BOOT = bytes(range(16))


def reply(frame_id):
    header = Header(boot_id=BOOT, task=Task.HANDS, frame_id=frame_id, capture_ns=1, send_ns=2, budget_us=3)
    return Encoder().encode(
        Result(header=header, timing=Timing(received_ns=1, queue_us=1, decode_us=1, run_us=1))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_at_its_rate(kind):
    tamperer = Tamperer({kind: 0.25}, rng=random.Random(1))
    for number in range(2000):
        tamperer.pass_on(reply(number))
    assert tamperer.counts["replies"] == 2000
    assert tamperer.counts[kind] == pytest.approx(500, rel=0.15)


def test_what_is_made_is_what_its_name_says():
    good = reply(7)
    made = {kind: Tamperer({kind: 1.0}, rng=random.Random(2)).pass_on(good) for kind in KINDS}
    assert made["duplicate"].now == (good, good)
    assert (made["reordered"].now, made["reordered"].held) == ((), True)
    [(wait_s, late)] = made["late"].later
    assert (made["late"].now, late, wait_s > 0) == ((good,), good, True)
    [short] = made["truncated"].now
    assert len(short) < len(good)
    assert good.startswith(short)
    [garbled] = made["garbled"].now
    assert (len(garbled), garbled != good) == (len(good), True)
    genuine, strange = made["stranger"].now
    header = decode(strange).header
    assert (genuine, header.frame_id, header.boot_id != BOOT) == (good, 7, True)


def test_a_kind_that_does_not_exist_or_more_than_all_replies_is_refused():
    with pytest.raises(ValueError, match="no kind of bad reply: odd"):
        Tamperer({"odd": 1}, rng=random.Random(1))
    with pytest.raises(ValueError, match=r"add up to 1\.2"):
        Tamperer({"late": 0.6, "garbled": 0.6}, rng=random.Random(1))


@pytest.mark.parametrize(("version", "properties"), [(4, b""), (5, b"\x03\x01\x02\x03")])
def test_packets_are_found_whatever_the_pieces_and_payloads_replaced(version, properties):
    connect = bytes([0x10, 8]) + b"\x00\x04MQTT" + bytes([version, 2])
    prefix = b"\x00\x03a/b" + properties
    publish = publish_packet(0x30, prefix, bytes(300))
    packets, publishes = Packets(), Publishes()
    found = [packet for byte in connect + publish for packet in packets.feed(bytes([byte]))]
    assert found == [connect, publish]
    assert publishes.parts(connect) is None
    assert publishes.parts(publish) == ("a/b", prefix, bytes(300))


def test_a_reply_that_is_held_comes_behind_its_successor_on_a_real_road(mosquitto_binary, tmp_path):
    class EverySecond(random.Random):
        def random(self):
            self.turn = not getattr(self, "turn", False)
            return 0.0 if self.turn else 0.9

    broker = EmbeddedMosquitto(mosquitto_binary, tmp_path)
    broker.start()
    port = int(broker.url.rsplit(":", 1)[1])
    tamperer = Tamperer({"reordered": 0.5}, rng=EverySecond())
    heard = []
    try:
        with Middle(port, tamperer=tamperer) as middle, Reactor(name="both") as reactor:
            listener = _session(reactor, broker.url, "hs-1")
            listener.subscribe(TOPIC, lambda delivery: heard.append(decode(bytes(delivery.payload)).header))
            worker = _session(reactor, middle.url, "w-1")
            _until(lambda: {listener.state, worker.state} == {RoadState.READY})
            for number in range(4):
                worker.publish(TOPIC, reply(number))
                _until(lambda sent=number: tamperer.counts["replies"] == sent + 1)
            _until(lambda: len(heard) == 4)
            for session in (worker, listener):
                session.close()
    finally:
        broker.stop()
    assert [header.frame_id for header in heard] == [1, 0, 3, 2]


def test_it_ends_at_once_though_the_broker_takes_nothing_any_more():
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        with Middle(frozen.getsockname()[1], tamperer=Tamperer({}, rng=random.Random(1))) as middle:
            worker = socket.create_connection(("127.0.0.1", middle.port))
            broker_end, _ = frozen.accept()  # it is dialled, and reads nothing
            worker.setblocking(False)
            packet = publish_packet(0x30, b"\x00\x01a", bytes(1 << 20))
            with contextlib.suppress(BlockingIOError):
                while True:
                    worker.send(packet)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 5
        worker.close()
        broker_end.close()


def test_a_worker_that_comes_as_it_ends_leaves_no_connection():
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        for _ in range(50):
            with Middle(frozen.getsockname()[1], tamperer=Tamperer({}, rng=random.Random(1))) as middle:
                worker = socket.create_connection(("127.0.0.1", middle.port))
            worker.close()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
    assert not [str(one.message) for one in told if one.category is ResourceWarning]


def test_without_a_broker_a_worker_is_turned_away():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with (
        Middle(port, tamperer=Tamperer({}, rng=random.Random(1))) as middle,
        socket.create_connection(("127.0.0.1", middle.port), timeout=5) as worker,
    ):
        assert worker.recv(1) == b""


def _session(reactor, url, name):
    echo = topic("device-echo", site="s", device=name, traffic=Traffic.DATA.value)
    config = SessionConfig(url=url, client_id=name, echo_topic=echo, traffic=Traffic.DATA)
    return Session(config, reactor=reactor)


def _until(is_so):
    end_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end_s, "it did not come about in 10 s"
        time.sleep(0.005)
