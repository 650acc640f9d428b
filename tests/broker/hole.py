"""A TCP relay that can turn into a black hole: it stops moving bytes, but closes nothing."""

import contextlib
import selectors
import socket
import threading

CHUNK = 65536


class BlackHole:
    """Relays loopback connections to a port; use as a context manager."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._open = True
        self._running = True
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "BlackHole":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._running = False
        self._thread.join()
        self._drop_everything()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def swallow(self) -> None:
        """From now on nothing arrives anywhere."""
        with self._lock:
            self._open = False

    def release(self) -> None:
        """The way is free again; what was under way then is lost, as packets are."""
        with self._lock:
            self._drop_everything()
            self._listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._listener.accept()[0].close()
            self._listener.setblocking(True)
        self._open = True

    def _drop_everything(self) -> None:
        for sock in self._pairs:
            sock.close()
        self._pairs.clear()

    def _run(self) -> None:
        while self._running:
            with self._lock:
                self._turn()

    def _turn(self) -> None:
        if not self._open:
            threading.Event().wait(0.01)
            return
        with selectors.DefaultSelector() as selector:
            for sock in [self._listener, *self._pairs]:
                selector.register(sock, selectors.EVENT_READ)
            for key, _mask in selector.select(0.01):
                sock = key.fileobj
                if sock is self._listener:
                    self._accept()
                elif sock in self._pairs:
                    self._move(sock)

    def _accept(self) -> None:
        near = self._listener.accept()[0]
        far = socket.create_connection(("127.0.0.1", self._target_port))
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs[near], self._pairs[far] = far, near

    def _move(self, sock: socket.socket) -> None:
        other = self._pairs[sock]
        try:
            part = sock.recv(CHUNK)
            if part:
                other.sendall(part)
                return
        except OSError:
            part = b""
        for end in (sock, other):
            self._pairs.pop(end, None)
            end.close()
