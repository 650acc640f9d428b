"""Shell: the process behind a ``Link``: forwards TCP and does to it what standard input says.

Run as ``python -m headway.link_process HOST PORT [LISTEN_PORT]``. Prints its port, then one JSON answer per JSON
command, and ends with its standard input. When bytes come out is decided by ``headway.link_model`` alone; what the
event loop adds is up to about a millisecond. Little is buffered here: small socket buffers and a bounded queue make
a slow link felt by the sender, as a real one is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from headway.byte_flip import ByteFlip
from headway.link_model import S_NS, LinkModel
from headway.link_script import spec_of
from headway.link_spec import Direction, LinkSpec, LinkSpecError

PIECE_BYTES = 64 * 1024  # a whole message where possible: a loss with more behind it costs less
LONGEST_LOOK_S = 0.05
SOCKET_BUFFER_BYTES = 64 * 1024
QUEUE_BYTES = 256 * 1024


@dataclass(slots=True)
class Weather:
    """How the link behaves now, and what happened on it. ``open`` is cleared while it is cut."""

    model: LinkModel
    pattern: bytes = b""
    after_bytes: int = 64
    open: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    flips: int = 0

    async def passable(self) -> None:
        """Wait until the link is not cut, neither by command nor by its script."""
        while True:
            await self.open.wait()
            now_ns = time.monotonic_ns()
            ends_ns = self.model.cut_ends_ns(now_ns)
            if ends_ns is None:
                return
            # the script may be replaced meanwhile, so look again now and then
            await asyncio.sleep(min((ends_ns - now_ns) / S_NS, LONGEST_LOOK_S))


class Pump:
    """Moves one connection's bytes in one direction."""

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        *,
        weather: Weather,
        flow: int,
        direction: Direction,
        note: Callable[[int], None],
    ) -> None:
        self._source, self._sink = source, sink
        self._weather, self._note = weather, note
        self._flow, self._direction = flow, direction
        self._flip = ByteFlip() if direction is Direction.DOWN else None
        self._queue: deque[tuple[int, bytes]] = deque()
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
                await self._weather.passable()
                if self._queued_bytes >= QUEUE_BYTES:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                data = await loop.sock_recv(self._source, PIECE_BYTES)
                if not data:
                    return
                due_ns = self._weather.model.release_ns(
                    self._direction, time.monotonic_ns(), len(data), flow=self._flow
                )
                self._queue.append((due_ns, data))
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
            due_ns, data = self._queue[0]
            if (wait_ns := due_ns - time.monotonic_ns()) > 0:
                await asyncio.sleep(wait_ns / S_NS)
            await self._weather.passable()
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
        self.weather = Weather(model=LinkModel(LinkSpec(), seed=0, start_ns=time.monotonic_ns()))
        self.weather.open.set()

    async def serve(self, listener: socket.socket) -> None:
        """Take connections while the link is not cut."""
        loop = asyncio.get_running_loop()
        while True:
            await self.weather.passable()
            client, _ = await loop.sock_accept(listener)
            task = loop.create_task(self._forward(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, client: socket.socket) -> None:
        await self.weather.passable()
        self.weather.connections += 1
        flow = self.weather.connections
        server = _small_socket()
        with client, server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = Pump(
                client,
                server,
                weather=self.weather,
                flow=flow,
                direction=Direction.UP,
                note=self._count_up,
            )
            down = Pump(
                server,
                client,
                weather=self.weather,
                flow=flow,
                direction=Direction.DOWN,
                note=self._count_down,
            )
            with contextlib.suppress(OSError):  # broken connections are what links are for
                await asyncio.get_running_loop().sock_connect(server, self._target)
                await together(up.run(), down.run())
        self.weather.model.forget(flow)

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
            limit = float(str(rate)) if rate else None
            spec = LinkSpec.even(delay_ms=delay_ms, up_bytes_per_s=limit, down_bytes_per_s=limit)
            weather.model.become(spec, now_ns=time.monotonic_ns())
        case {"do": "follow", "rows": list() as rows, "seed": int() as seed}:
            weather.model.become(spec_of(rows), now_ns=time.monotonic_ns(), seed=seed)
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


def _answer(weather: Weather, line: bytes) -> dict[str, object]:
    try:
        return obey(weather, json.loads(line))
    except LinkSpecError as error:
        return {"error": str(error)}


async def _listen(host: str, port: int, listen_port: int = 0) -> None:
    forwarder = Forwarder(host, port)
    listener = _small_socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", listen_port))
    except OSError as error:
        _say({"error": f"port {listen_port} cannot be taken ({error.strerror}): choose another"})
        return
    listener.listen()
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    serving = loop.create_task(forwarder.serve(listener))
    _say({"port": listener.getsockname()[1]})
    while line := await commands.readline():
        _say(_answer(forwarder.weather, line))
    serving.cancel()


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_listen(sys.argv[1], *map(int, sys.argv[2:])))
