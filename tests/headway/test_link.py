"""The link in front of a real echo server: delay, rate, cut and damaged bytes."""

import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.byte_flip import ByteFlip
from headway.link import Link, LinkError


@contextmanager
def echo_server():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    open_sockets = [listener]

    def serve(client):
        with client:
            while data := client.recv(65536):
                client.sendall(data)

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(client)
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def linked():
    with echo_server() as port, Link("127.0.0.1", port) as link, connected(link) as client:
        yield link, client


@contextmanager
def connected(link):
    with socket.create_connection(("127.0.0.1", link.port), timeout=10) as client:
        yield client


def echo(client, data):
    client.sendall(data)
    return read(client, len(data))


def read(client, size):
    got = b""
    while len(got) < size:
        piece = client.recv(size - len(got))
        assert piece, "the connection ended"
        got += piece
    return got


def test_an_untouched_link_passes_bytes_on_and_counts_them():
    data = os.urandom(300_000)
    with linked() as (link, client):
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        assert read(client, len(data)) == data
        counts = link.counts()
        assert (counts.connections, counts.up_bytes, counts.down_bytes, counts.flips) == (
            1,
            len(data),
            len(data),
            0,
        )


def test_a_delay_holds_each_direction_for_its_time():
    with linked() as (link, client):
        link.shape(delay_ms=60)
        began_s = time.monotonic()
        echo(client, b"x")
        assert time.monotonic() - began_s >= 0.12


def test_a_rate_lets_no_more_through_per_second():
    with linked() as (link, client):
        link.shape(rate_bytes_per_s=200_000)
        began_s = time.monotonic()
        echo(client, bytes(60_000))
        assert time.monotonic() - began_s >= 0.3


def test_a_cut_link_moves_nothing_and_loses_nothing():
    with linked() as (link, client):
        echo(client, b"before")
        link.cut()
        before = link.counts()
        client.sendall(b"during")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert link.counts().down_bytes == before.down_bytes
        link.restore()
        client.settimeout(10)
        assert read(client, 6) == b"during"


def test_a_cut_link_takes_no_new_connection_until_it_is_restored():
    with linked() as (link, _client):
        link.cut()
        with connected(link) as late:
            late.sendall(b"hello")
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.recv(1)
            link.restore()
            late.settimeout(10)
            assert read(late, 5) == b"hello"


def test_every_passing_of_the_pattern_costs_one_byte_downstream():
    with linked() as (link, client):
        link.flip(b"chunk/7", after_bytes=2)
        assert echo(client, b"..chunk/7abcdef") == b"..chunk/7ab" + bytes([ord("c") ^ 0xFF]) + b"def"
        echo(client, b"chunk/7abcdef")
        assert link.counts().flips == 2
        link.flip(b"")
        assert echo(client, b"chunk/7abcdef") == b"chunk/7abcdef"


def test_a_broken_connection_does_not_end_the_link():
    with linked() as (link, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.close()
        with connected(link) as again:
            assert echo(again, b"still here") == b"still here"


def test_a_target_that_refuses_closes_the_connection(free_port):
    with Link("127.0.0.1", free_port()) as link, connected(link) as client:
        assert client.recv(1) == b""


def test_an_unknown_command_and_a_closed_link_are_errors():
    with linked() as (link, _client):
        with pytest.raises(LinkError, match="no command"):
            link._ask("fly")
        link.close()
        link.close()
        with pytest.raises(LinkError, match="not open"):
            link.cut()


def test_a_killed_process_is_noticed():
    with linked() as (link, _client):
        os.kill(link.pid, 9)
        with pytest.raises(LinkError, match="ended"):
            link.counts()


@given(
    st.lists(st.sampled_from([0, 1]), max_size=80).map(bytes),
    st.lists(st.integers(1, 9), max_size=30),
    st.integers(0, 5),
)
def test_pieces_of_any_size_are_damaged_like_the_whole(stream, sizes, after_bytes):
    pattern = b"\x00\x01\x00"
    whole, count = ByteFlip().pass_on(stream, pattern=pattern, after_bytes=after_bytes)
    flip, out, flips, at = ByteFlip(), b"", 0, 0
    for size in [*sizes, len(stream)]:
        piece, damaged = flip.pass_on(stream[at : at + size], pattern=pattern, after_bytes=after_bytes)
        out, flips, at = out + piece, flips + damaged, at + size
    assert (out, flips) == (whole, count)


def test_a_pattern_across_two_pieces_is_found():
    flip = ByteFlip()
    first, n1 = flip.pass_on(b"xxpat", pattern=b"pattern", after_bytes=0)
    second, n2 = flip.pass_on(b"tern!!", pattern=b"pattern", after_bytes=0)
    assert (first, n1) == (b"xxpat", 0)
    assert (second, n2) == (b"tern" + bytes([ord("!") ^ 0xFF]) + b"!", 1)
