"""Composition root of the office: the one place that opens the database, the road and the socket."""

import contextlib
import ipaddress
import json
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from broker.address import parse_url
from broker.external import check_login
from broker.reactor import Reactor
from broker.road import Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from fleet_manager.api import create_app
from fleet_manager.artifacts import ArtifactStore
from fleet_manager.errors import RefusedError, UnreachableError
from fleet_manager.gateway import MAX_PAYLOAD_BYTES, Gateway, GatewayConfig
from fleet_manager.hearing import Hearing
from fleet_manager.presence import Presence
from fleet_manager.service import FleetService
from fleet_manager.store import Store
from observability import log
from observability.metrics import DEFAULT
from schemas.topics import topic

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = log.get("fleet_manager.main")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerConfig:
    """One manager as its operator starts it."""

    broker: str  # mqtt://host:port
    data_broker: str | None
    site: str
    manager: str
    db: str  # database URL
    artifacts: Path
    listen: str  # host:port, port 0 picks a free one
    embedded: bool
    allow_remote: bool
    username: str | None = None  # at both brokers
    password: str | None = field(default=None, repr=False)


class _Server(uvicorn.Server):
    """A server that leaves signals to this process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change nothing."""
        yield


def run(config: ManagerConfig, *, as_json: bool) -> None:
    """Serve until told to stop.

    Raises:
        RefusedError: the options contradict each other.
        StoreError: the database cannot be used.
        UnreachableError: the address to listen on is taken.
        RoadMisuse: a broker's URL is not one.
        BrokerRefused: a broker does not let this manager in.
    """
    log.configure("manager", config.manager, json=as_json)
    _check(config)
    for url in dict.fromkeys((config.broker, config.data_broker or config.broker)):
        check_login(url, username=config.username, password=config.password)
    listener = _listen(config)
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        store = Store.open(config.db)
        stack.callback(store.close)
        service = FleetService(store, artifacts=ArtifactStore(config.artifacts), clock_ms=_clock_ms)
        gateway = _gateway(config, service, stack)
        server = _server(service, gateway)
        _announce(listener, as_json=as_json)
        server.run(sockets=[listener])


def _gateway(config: ManagerConfig, service: FleetService, stack: contextlib.ExitStack) -> Gateway:
    who = GatewayConfig(site=config.site, manager=config.manager)
    presence = Presence(
        site=config.site, manager=config.manager, epoch=service.epoch, clock_ms=service.clock_ms
    )
    reactor = stack.enter_context(Reactor(name="manager"))
    boot = secrets.token_hex(4)

    def open_session(url: str, traffic: Traffic) -> Session:
        session = Session(
            SessionConfig(
                url=url,
                client_id=f"{config.manager}-{traffic.value[0]}-{boot}",
                echo_topic=topic("manager-echo", site=who.site, manager=who.manager, traffic=traffic.value),
                traffic=traffic,
                max_payload_bytes=MAX_PAYLOAD_BYTES,
                username=config.username,
                password=config.password,
            ),
            reactor=reactor,
            birth=presence.birth if traffic is Traffic.CONTROL else None,
            session_counter=config.artifacts / "session" if traffic is Traffic.CONTROL else None,
            rng=random.Random(boot),  # noqa: S311  jitter is no secret
        )
        stack.callback(session.close)
        return session

    gateway = Gateway(
        service,
        hearing=Hearing(service, admit_at_once=config.embedded, metrics=DEFAULT),
        presence=presence,
        road=open_session(config.broker, Traffic.CONTROL),
        data_road=open_session(config.data_broker, Traffic.DATA) if config.data_broker else None,
        config=who,
        metrics=DEFAULT,
    )
    gateway.start()
    stack.callback(gateway.close)
    return gateway


def _server(service: FleetService, gateway: Gateway) -> _Server:
    server = _Server(
        uvicorn.Config(
            create_app(service, gateway=gateway),
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    return server


def _check(config: ManagerConfig) -> None:
    host = parse_url(config.broker).host
    if config.embedded and not _is_loopback(host):
        raise RefusedError(
            f"--embedded admits every headset at once, and {host} is not this machine",
            fix="leave --embedded out and admit headsets with: headway device approve",
        )
    listen_host, _ = _split(config.listen)
    if _is_loopback(listen_host):
        return
    if not config.allow_remote:
        raise RefusedError(
            f"nobody is authenticated yet, and {listen_host} can be reached from other machines",
            fix="listen on 127.0.0.1, or say --allow-remote on a network that you trust",
        )
    _log.warning("not_secured", listen=config.listen, meaning="anybody who reaches this port rules the fleet")


def _listen(config: ManagerConfig) -> socket.socket:
    host, port = _split(config.listen)
    with contextlib.ExitStack() as undo:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = undo.enter_context(socket.socket(family, kind, proto))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            raise UnreachableError(
                f"cannot listen on {config.listen}: {error}", fix="choose another: --listen 127.0.0.1:0"
            ) from error
        undo.pop_all()
    return listener


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise RefusedError(f"cannot read the address {listen!r}", fix="write HOST:PORT, as in 127.0.0.1:7447")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _announce(listener: socket.socket, *, as_json: bool) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    line = (
        json.dumps({"url": url})
        if as_json
        else f"fleet manager: {url} (interface: {url}/docs, {url}/openapi.json)"
    )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
