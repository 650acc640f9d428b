"""Replies that come too late are lost, and none is taken for the next one's."""

import contextlib
import socket
import threading
import time

from bench.answer import NUMBER, REPLY_BYTES, number_of, numbered, reply_to
from bench.paths import Awaited, Floor, child, open_paths, random_payload
from bench.relay import connect, listen, receive_message, send_message
from broker.mosquitto import EmbeddedMosquitto


def test_a_reply_carries_the_number_of_its_request():
    request = numbered(7, bytes(100))
    assert len(request) == 100
    assert number_of(request) == number_of(reply_to(memoryview(request))) == 7
    assert len(reply_to(request)) == REPLY_BYTES


def test_a_late_reply_is_not_taken_for_the_next_ones(monkeypatch):
    monkeypatch.setattr("bench.paths.LOST_AFTER_S", 0.01)
    awaited = Awaited()
    first = awaited.expect_next()
    assert awaited.since_ns(0) is None
    second = awaited.expect_next()
    awaited.hear(first)
    assert awaited.since_ns(0) is None
    awaited.hear(second)
    assert awaited.since_ns(0) > 0


def test_the_floor_gives_a_lost_reply_up_and_connects_again():
    """The far end swallows the first request and answers from the second connection on."""

    def serve():
        swallowed, _ = listener.accept()
        with swallowed:
            receive_message(swallowed)
            kept, _ = listener.accept()
        with kept:
            send_message(kept, reply_to(receive_message(kept)))
            kept.recv(1)

    with listen() as listener:
        server = threading.Thread(target=serve)
        server.start()
        floor = Floor(listener.getsockname()[1], patience_s=0.1)
        assert floor.round_trip_ns(bytes(100)) is None
        assert floor.round_trip_ns(bytes(100)) > 0
        floor.close()
        server.join()


def test_relay_and_answer_take_a_second_client_after_the_first_is_gone():
    with child("-m", "bench.answer", "tcp") as worker, child("-m", "bench.relay", worker) as port:
        for number in range(2):
            with connect(int(port)) as sock:
                send_message(sock, numbered(number, bytes(NUMBER.size)))
                assert number_of(receive_message(sock)) == number
        with connect(int(port)) as sock:  # one that leaves in the middle of a message
            sock.sendall(b"\0\0\1\0")
            sock.shutdown(socket.SHUT_RDWR)
        with contextlib.closing(Floor(int(port))) as floor:
            assert floor.round_trip_ns(bytes(64))


def test_every_path_makes_its_round_trip(mosquitto_binary, tmp_path):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "b") as broker, open_paths(broker.url) as paths:
        payload = random_payload(20_000, seed=1)
        for path in paths.values():
            began_ns = time.perf_counter_ns()
            took_ns = path.round_trip_ns(payload)
            assert 0 < took_ns <= time.perf_counter_ns() - began_ns
