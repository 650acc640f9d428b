"""The text of a mosquitto.conf, for the embedded broker and for production.

Pure core. One table of facts per purpose; nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Purpose(str, Enum):
    """What a broker is for."""

    EMBEDDED = "embedded"  # both kinds of traffic on one machine
    DATA = "data"  # frames: small queues, nothing on disk
    CONTROL = "control"  # commands and retained documents: kept on disk


# A queue toward a stalled receiver is where frames grow old: keep it short on data.
# On control a full queue loses QoS 1 messages that were confirmed to their sender, so it is long.
# `max_queued_bytes` has no effect on QoS 0 in Mosquitto 2.0, so messages are counted.
_PURPOSES: dict[Purpose, dict[str, str]] = {
    Purpose.EMBEDDED: {"max_queued_messages": "1000", "max_inflight_messages": "20"},
    Purpose.DATA: {"max_queued_messages": "20", "max_inflight_messages": "20"},
    Purpose.CONTROL: {
        "max_queued_messages": "1000",
        "max_inflight_messages": "20",
        "autosave_interval": "60",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MosquittoConf:
    """What varies between brokers."""

    purpose: Purpose
    port: int
    bind: str | None  # None: every interface
    persistence_dir: Path | None = None  # None: nothing on disk
    user: str | None = None  # the account to drop to; None: Mosquitto's own choice
    acl_file: Path | None = None
    password_file: Path | None = None
    max_packet_bytes: int = 16 << 20
    max_keepalive_s: int = 3600

    def text(self) -> str:
        """Return the file's text."""
        settings = {
            "listener": str(self.port) if self.bind is None else f"{self.port} {self.bind}",
            "user": self.user,
            "set_tcp_nodelay": "true",
            "max_packet_size": str(self.max_packet_bytes),
            "max_keepalive": str(self.max_keepalive_s),
            **_PURPOSES[self.purpose],
            "allow_anonymous": "false" if self.password_file else "true",
            "password_file": self.password_file,
            "acl_file": self.acl_file,
            "persistence": "true" if self.persistence_dir else "false",
            # The trailing slash matters: Mosquitto joins the two by plain concatenation.
            "persistence_location": f"{self.persistence_dir}/" if self.persistence_dir else None,
            "log_dest": "stderr",
            "log_timestamp": "false",
            "connection_messages": "false",
        }
        lines = [f"{name} {value}" for name, value in settings.items() if value is not None]
        return "\n".join([*lines, "log_type error", "log_type warning", "log_type information", ""])
