"""Asks any MQTT broker whether it is there and what it speaks.

Shell: opens one short connection per question and speaks just enough MQTT to ask
it. It never publishes or subscribes.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
from dataclasses import dataclass

from broker.address import BrokerAddress, parse_url
from broker.errors import BrokerRefused, BrokerUnavailable
from observability import log

_log = log.get("broker.external")

_LEVELS = {5: 5, 311: 4}  # our name of a version: the protocol level in its CONNECT
_CONNACK = 0x20
_WRONG_VERSION = {1, 0x84}  # 3.1.1 section 3.2.2.3; 5 section 3.2.2.2
# At most so much at once: all that counts stands in the first few bytes.
_ANSWER_BYTES = 4096
_NO_MQTT = "what answers there does not speak MQTT: name the broker's MQTT port"
_DISCONNECT = b"\xe0\x00"

_REASONS = {
    2: "the client id is not allowed",
    3: "it is not available now",
    4: "user name or password is wrong",
    5: "this user may not connect",
    0x85: "the client id is not allowed",
    0x86: "user name or password is wrong",
    0x87: "this user may not connect",
    0x88: "it is not available now",
    0x8A: "this client is banned",
    0x97: "a quota is exceeded",
}
_LOGIN_REFUSED = {4, 5, 0x86, 0x87}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a broker answered."""

    address: BrokerAddress
    protocols: tuple[int, ...]  # of 5 and 311, best first


def probe(
    address: BrokerAddress,
    *,
    username: str | None = None,
    password: str | None = None,
    timeout_s: float = 3.0,
) -> Probe:
    """Ask which protocol versions a broker speaks.

    Raises BrokerUnavailable when nothing answers, BrokerRefused when it says no.
    """
    spoken = []
    for protocol, level in _LEVELS.items():
        code = _connect(address, level, username=username, password=password, timeout_s=timeout_s)
        if code == 0:
            spoken.append(protocol)
        elif code is not None and code not in _WRONG_VERSION:
            reason = _REASONS.get(code, f"reason code {code}")
            raise BrokerRefused(
                f"{address} refused the connection: {reason}; check user name and access list"
            )
    if not spoken:
        raise BrokerUnavailable(f"{address} answers, but speaks neither MQTT 5 nor 3.1.1: is it a broker?")
    return Probe(address=address, protocols=tuple(spoken))


def check_login(
    url: str, *, username: str | None, password: str | None, protocol: int = 5, timeout_s: float = 2.0
) -> None:
    """Ask a broker once whether it lets this user in, because a session would dial again for ever.

    A broker that cannot be asked now is no failure here. Raises BrokerRefused when it turns the user down.
    """
    address = parse_url(url)
    try:
        code = _connect(address, _LEVELS[protocol], username=username, password=password, timeout_s=timeout_s)
    except (BrokerUnavailable, BrokerRefused):
        _log.info("the login could not be tried beforehand", broker=str(address))
        return
    if code in _LOGIN_REFUSED:
        who = f"user {username!r}" if username else "a client without a user name"
        raise BrokerRefused(
            f"{address} does not let {who} in ({_REASONS[code]}): check --username and --password-file"
        )


def _connect(
    address: BrokerAddress, level: int, *, username: str | None, password: str | None, timeout_s: float
) -> int | None:
    """Return the CONNACK's code, or None when the broker just closed (some do at a wrong version)."""
    try:
        with socket.create_connection((address.host, address.port), timeout=timeout_s) as sock:
            sock.sendall(_connect_packet(level, username=username, password=password))
            answer = _read_connack(sock)
            with contextlib.suppress(OSError):  # the answer is in: how the goodbye ends is no matter
                sock.sendall(_DISCONNECT)
    except TimeoutError as error:
        raise BrokerUnavailable(
            f"{address} does not answer within {timeout_s} s: is the URL right?"
        ) from error
    except UnicodeError as error:  # from the resolver: an empty or an overlong label
        raise BrokerUnavailable(f"{address.host} is no host name ({error}): correct the URL") from error
    except OSError as error:
        raise BrokerUnavailable(
            f"cannot reach a broker at {address} ({error.strerror or error}): start one with "
            "`headway broker run`, or correct the URL"
        ) from error
    return answer


def _read_connack(sock: socket.socket) -> int | None:
    answer = b""
    while (code := _code_of(answer)) is None:
        try:
            part = sock.recv(_ANSWER_BYTES)
        except ConnectionResetError:
            return None
        if not part:
            return None
        answer += part
    return code


def _code_of(answer: bytes) -> int | None:
    """Return the code of a CONNACK as far as it came; None while the code is not there yet.

    Before it stand the type, the length (1 to 4 bytes: MQTT 5 section 1.5.5), and the flags.
    """
    if answer and answer[0] != _CONNACK:
        raise BrokerRefused(_NO_MQTT)
    last = next((at for at, digit in enumerate(answer[1:5], start=1) if digit < 0x80), None)
    if last is None:
        if len(answer) >= 5:
            raise BrokerRefused(_NO_MQTT)
        return None
    return answer[last + 2] if len(answer) > last + 2 else None


def _connect_packet(level: int, *, username: str | None, password: str | None) -> bytes:
    flags = 0x02 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    keepalive_s = 10
    body = _text("MQTT") + struct.pack("!BBH", level, flags, keepalive_s)
    if level == _LEVELS[5]:
        body += b"\x00"  # no properties
    body += _text(f"probe-{secrets.token_hex(4)}")
    for credential in (username, password):
        body += _text(credential) if credential is not None else b""
    return b"\x10" + _length(len(body)) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def _length(number: int) -> bytes:
    """Return the variable byte integer of MQTT 5 section 1.5.5."""
    encoded = bytearray()
    while True:
        number, digit = divmod(number, 128)
        encoded.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(encoded)
