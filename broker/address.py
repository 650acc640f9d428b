"""Where a broker is: the URL that people write, checked once.

Pure core. Credentials in a URL are refused: URLs end up in logs, tables and
process lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from broker.errors import RoadMisuse

_DEFAULT_PORTS = {"mqtt": 1883}
_NOT_YET = {"mqtts", "ws", "wss", "ssl", "tls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """A broker's host and TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"


def parse_url(url: str) -> BrokerAddress:
    """Read `mqtt://host[:port]`.

    Raises RoadMisuse, which names what to write instead.
    """
    parts = urlsplit(url)
    if parts.scheme in _NOT_YET:
        raise RoadMisuse(
            f"{parts.scheme}:// is not supported: use mqtt://host:port and let a local TLS proxy or "
            "a bridge carry it over untrusted networks"
        )
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise RoadMisuse(f"cannot read the broker URL {_without_secrets(parts)!r}: write mqtt://host:port")
    if parts.username is not None or parts.password is not None:
        raise RoadMisuse(
            f"the broker URL {_without_secrets(parts)!r} carries credentials, which leak into logs: "
            "give user name and password separately"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise RoadMisuse(f"the broker URL {url!r} has more than host and port: write mqtt://host:port")
    return BrokerAddress(host=parts.hostname, port=_port(parts, url))


def _port(parts: SplitResult, url: str) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise RoadMisuse(f"the broker URL {url!r} needs a port from 1 to 65535") from error
    if port == 0:
        raise RoadMisuse(f"the broker URL {url!r} needs a port from 1 to 65535, not 0")
    return port or _DEFAULT_PORTS[parts.scheme]


def _without_secrets(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
