"""Shell: somebody between a worker and its broker who makes replies bad. One thread; a context manager.

Everything else passes as it is. A reply that is held back goes behind its successor, or after ``HOLD_S`` where none
comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType

from bench.bad_replies import Tamperer
from bench.mqtt_packets import Packets, Publishes, publish_packet

HOST = "127.0.0.1"
HOLD_S = 0.2
PIECE_BYTES = 256 * 1024
REPLY = re.compile(r"hw/1/[^/]+/d/[^/]+/result/")
START_S = 10.0


class Middle:
    """Listens on a free port of the loopback and passes on to the broker's."""

    def __init__(self, port: int, *, tamperer: Tamperer) -> None:
        self.port = 0
        self._target, self._tamperer = port, tamperer
        self._loop = asyncio.new_event_loop()
        self._listening, self._over = threading.Event(), asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._work, name="middle", daemon=True)

    def __enter__(self) -> Middle:
        self._thread.start()
        if not self._listening.wait(START_S):
            raise ChildProcessError(f"nobody listens between worker and broker after {START_S:g} s")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Where the worker connects instead of to the broker."""
        return f"mqtt://{HOST}:{self.port}"

    def _work(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass_on, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._over.wait()
        # nobody is accepted any more, and who just was gets in: asyncio loses the socket of one whose server closed
        self._loop.remove_reader(server.sockets[0].fileno())
        await asyncio.sleep(0)
        server.close()
        # a connection that was just accepted makes another task
        while ways := asyncio.all_tasks() - {asyncio.current_task()}:
            _break_off(self._writers)
            await asyncio.gather(*ways)

    async def _pass_on(self, worker_in: asyncio.StreamReader, worker_out: asyncio.StreamWriter) -> None:
        try:
            broker_in, broker_out = await asyncio.open_connection(HOST, self._target)
        except OSError:  # the broker is down: so is this
            await _closed(worker_out)
            return
        both = {worker_out, broker_out}
        self._writers |= both
        if self._over.is_set():  # it ended while the broker was dialled
            _break_off(both)
        way = _Way(broker_out, tamperer=self._tamperer)
        try:
            await asyncio.gather(
                _until_end(way.up(worker_in), broker_out),
                _until_end(_copy(broker_in, worker_out), worker_out),
            )
        finally:
            await asyncio.gather(*map(_closed, both))
            self._writers -= both  # not before: what is still here can be broken off at the end


def _break_off(writers: Iterable[asyncio.StreamWriter]) -> None:
    """End at once: what a frozen broker has not taken yet would hold up an orderly end."""
    for writer in writers:
        writer.transport.abort()


async def _closed(writer: asyncio.StreamWriter) -> None:
    """A connection ended for good: its socket is not left to the garbage collector."""
    writer.close()
    with contextlib.suppress(ConnectionError):  # it broke, and so has ended too
        await writer.wait_closed()


async def _until_end(pump: Coroutine[None, None, None], target: asyncio.StreamWriter) -> None:
    """One direction; where it ends, the other end hears so and ends too."""
    with contextlib.suppress(ConnectionError):  # the other end is gone, and both connections end
        await pump
    target.close()


class _Way:
    """From one connection of the worker to the broker."""

    def __init__(self, out: asyncio.StreamWriter, *, tamperer: Tamperer) -> None:
        self._out, self._tamperer = out, tamperer
        self._packets, self._publishes = Packets(), Publishes()
        self._held: list[bytes] = []

    async def up(self, source: asyncio.StreamReader) -> None:
        while piece := await source.read(PIECE_BYTES):
            for packet in self._packets.feed(piece):
                self._take(packet)
            await self._out.drain()

    def _take(self, packet: bytes) -> None:
        parts = self._publishes.parts(packet)
        if parts is None or not REPLY.match(parts[0]):
            self._out.write(packet)
            return
        _, prefix, payload = parts
        passing = self._tamperer.pass_on(payload)
        loop = asyncio.get_running_loop()
        for now in passing.now:
            self._out.write(publish_packet(packet[0], prefix, now))
        for wait_s, later in passing.later:
            loop.call_later(wait_s, self._say, publish_packet(packet[0], prefix, later))
        if passing.held:
            self._held.append(packet)
            loop.call_later(HOLD_S, self._release)
        else:
            self._release()

    def _release(self) -> None:
        for packet in self._held:
            self._say(packet)
        self._held.clear()

    def _say(self, packet: bytes) -> None:
        if not self._out.is_closing():
            self._out.write(packet)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        target.write(piece)
        await target.drain()
