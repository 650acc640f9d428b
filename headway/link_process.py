"""Shell: the process behind a ``Link``: forwards TCP and does to it what standard input says.

Run as ``python -m headway.link_process HOST PORT``. Prints its port, then one JSON answer per JSON command,
and ends with its standard input. Little is buffered here: small socket buffers and a bounded queue make a
slow link felt by the sender, as a real one is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from headway.byte_flip import ByteFlip

PIECE_BYTES = 16 * 1024
SOCKET_BUFFER_BYTES = 64 * 1024
QUEUE_BYTES = 256 * 1024


@dataclass(slots=True)
class Weather:
    """How the link behaves now, and what happened on it. ``open`` is cleared while it is cut."""

    delay_s: float = 0.0
    rate_bytes_per_s: float | None = None
    pattern: bytes = b""
    after_bytes: int = 64
    open: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    flips: int = 0


class Lane:
    """One direction of all connections: its share of time on the wire."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._free_s = 0.0

    def departure_s(self, size_bytes: int, *, now_s: float) -> float:
        """When these bytes have left: after everything before them, at the rate of the wire."""
        rate = self._weather.rate_bytes_per_s
        self._free_s = max(self._free_s, now_s) + (size_bytes / rate if rate else 0.0)
        return self._free_s


class Pump:
    """Moves one connection's bytes in one direction."""

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        *,
        weather: Weather,
        lane: Lane,
        note: Callable[[int], None],
        flips: bool,
    ) -> None:
        self._source, self._sink = source, sink
        self._weather, self._lane, self._note = weather, lane, note
        self._flip = ByteFlip() if flips else None
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued_bytes = 0
        self._changed = asyncio.Event()
        self._ended = False

    async def run(self) -> None:
        """Move bytes until either side ends."""
        await together(self._read(), self._write())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._weather.open.wait()
                if self._queued_bytes >= QUEUE_BYTES:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                data = await loop.sock_recv(self._source, PIECE_BYTES)
                if not data:
                    return
                due_s = self._lane.departure_s(len(data), now_s=loop.time()) + self._weather.delay_s
                self._queue.append((due_s, data))
                self._queued_bytes += len(data)
                self._changed.set()
        finally:
            self._ended = True
            self._changed.set()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or not self._ended:
            if not self._queue:
                self._changed.clear()
                await self._changed.wait()
                continue
            due_s, data = self._queue[0]
            if (wait_s := due_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._weather.open.wait()
            await loop.sock_sendall(self._sink, self._damaged(data))
            self._queue.popleft()
            self._queued_bytes -= len(data)
            self._note(len(data))
            self._changed.set()
        with contextlib.suppress(OSError):  # the other side may have closed first
            self._sink.shutdown(socket.SHUT_WR)

    def _damaged(self, data: bytes) -> bytes:
        if self._flip is None:
            return data
        out, flipped = self._flip.pass_on(
            data, pattern=self._weather.pattern, after_bytes=self._weather.after_bytes
        )
        self._weather.flips += flipped
        return out


class Forwarder:
    """All connections of one link."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.weather = Weather()
        self.weather.open.set()
        self._up, self._down = Lane(self.weather), Lane(self.weather)

    async def serve(self, listener: socket.socket) -> None:
        """Take connections while the link is not cut."""
        loop = asyncio.get_running_loop()
        while True:
            await self.weather.open.wait()
            client, _ = await loop.sock_accept(listener)
            task = loop.create_task(self._forward(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, client: socket.socket) -> None:
        await self.weather.open.wait()
        self.weather.connections += 1
        server = _small_socket()
        with client, server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = Pump(client, server, weather=self.weather, lane=self._up, note=self._count_up, flips=False)
            down = Pump(
                server, client, weather=self.weather, lane=self._down, note=self._count_down, flips=True
            )
            with contextlib.suppress(OSError):  # broken connections are what links are for
                await asyncio.get_running_loop().sock_connect(server, self._target)
                await together(up.run(), down.run())

    def _count_up(self, size: int) -> None:
        self.weather.up_bytes += size

    def _count_down(self, size: int) -> None:
        self.weather.down_bytes += size


async def together(*parts: Coroutine[object, object, None]) -> None:
    """Run all parts; when one fails the others end and its error is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _small_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
    return sock


def obey(weather: Weather, command: dict[str, object]) -> dict[str, object]:
    """Carry out one command; returns the answer."""
    match command:
        case {"do": "shape", "delay_ms": float() | int() as delay_ms, "rate_bytes_per_s": rate}:
            weather.delay_s = delay_ms / 1000
            weather.rate_bytes_per_s = float(str(rate)) if rate else None
        case {"do": "cut"}:
            weather.open.clear()
        case {"do": "restore"}:
            weather.open.set()
        case {"do": "flip", "pattern": str() as pattern, "after_bytes": int() as after_bytes}:
            weather.pattern, weather.after_bytes = bytes.fromhex(pattern), after_bytes
        case {"do": "counts"}:
            names = ("connections", "up_bytes", "down_bytes", "flips")
            return {name: getattr(weather, name) for name in names}
        case _:
            return {"error": f"the link knows no command {command!r}"}
    return {}


async def _listen(host: str, port: int) -> None:
    forwarder = Forwarder(host, port)
    listener = _small_socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    serving = loop.create_task(forwarder.serve(listener))
    _say({"port": listener.getsockname()[1]})
    while line := await commands.readline():
        _say(obey(forwarder.weather, json.loads(line)))
    serving.cancel()


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_listen(sys.argv[1], int(sys.argv[2])))
