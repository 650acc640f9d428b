"""Everything that can be set about one session, with its unit and its bounds.

Vocabulary: validated once here, trusted everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from broker.address import BrokerAddress, parse_url
from broker.errors import RoadMisuse
from broker.outbox import OutboxLimits
from broker.pulse import PulseLimits
from broker.road import Traffic

MS = 1_000_000  # nanoseconds
S = 1_000 * MS
MIB = 1 << 20

# MQTT 3.1.1 section 3.1.3.1 only promises 23 characters; every broker in use takes more.
_MAX_CLIENT_ID_CHARS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """One session. `queue_*` and `*_ns` defaults differ by traffic where None."""

    url: str
    client_id: str
    echo_topic: str  # one that this client may both write and read
    traffic: Traffic
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: Literal[5, 311] = 5
    keepalive_s: int = 10  # 1..3600; the broker gives a silent peer up after 1.5 x this
    max_payload_bytes: int = 8 * MIB  # 1..256 MiB, sent and received
    queue_messages: int | None = None  # 1..65536; data 64, control 4096
    queue_bytes: int | None = None  # data 8 MiB, control 32 MiB
    default_budget_ns: int | None = None  # data 1 s; control: for ever
    inflight_messages: int = 20  # 1..1024 unconfirmed QoS 1 publications
    connect_timeout_ns: int = 5 * S
    backoff_floor_ns: int = 200 * MS
    backoff_cap_ns: int = 5 * S
    suspect_floor_ns: int = 150 * MS
    suspect_cap_ns: int = 1 * S
    dead_floor_ns: int = 3 * S
    dead_cap_ns: int = 10 * S
    echo_active_ns: int = 100 * MS  # while something was sent in the last second
    echo_idle_ns: int = 1 * S
    send_buffer_bytes: int = 32 * 1024  # the kernel doubles it; at most 64 KiB may wait there on data

    def __post_init__(self) -> None:
        parse_url(self.url)
        self._check_range("keepalive_s", self.keepalive_s, 1, 3600)
        self._check_range("max_payload_bytes", self.max_payload_bytes, 1, 256 * MIB - 1024)
        self._check_range("inflight_messages", self.inflight_messages, 1, 1024)
        self._check_range("client_id length", len(self.client_id), 1, _MAX_CLIENT_ID_CHARS)
        self._check_range("queue_messages", self.outbox_limits.messages, 1, 65536)
        self._check_range("queue_bytes", self.outbox_limits.queue_bytes, 1, 1024 * MIB)
        self._check_range("send_buffer_bytes", self.send_buffer_bytes, 4096, MIB)
        for low, high in (
            ("backoff_floor_ns", "backoff_cap_ns"),
            ("suspect_floor_ns", "suspect_cap_ns"),
            ("dead_floor_ns", "dead_cap_ns"),
            ("echo_active_ns", "echo_idle_ns"),
        ):
            self._check_range(low, getattr(self, low), 1, getattr(self, high))
        if self.protocol not in (5, 311):
            raise RoadMisuse(f"protocol is {self.protocol}: choose 5 or 311")
        if not self.echo_topic or set("+#") & set(self.echo_topic):
            raise RoadMisuse(f"echo_topic {self.echo_topic!r} must be a topic without wildcards")
        if self.password is not None and self.username is None:
            raise RoadMisuse("a password needs a username too (MQTT 3.1.1 section 3.1.2.9)")

    @staticmethod
    def _check_range(name: str, number: int, low: int, high: int) -> None:
        if not low <= number <= high:
            raise RoadMisuse(f"{name} is {number}: choose {low} to {high}")

    @property
    def address(self) -> BrokerAddress:
        """Where the broker is."""
        return parse_url(self.url)

    @property
    def outbox_limits(self) -> OutboxLimits:
        """Bounds of the queue, by traffic."""
        data = self.traffic is Traffic.DATA
        return OutboxLimits(
            traffic=self.traffic,
            messages=(64 if data else 4096) if self.queue_messages is None else self.queue_messages,
            queue_bytes=(8 * MIB if data else 32 * MIB) if self.queue_bytes is None else self.queue_bytes,
            default_budget_ns=S if data and self.default_budget_ns is None else self.default_budget_ns,
        )

    @property
    def pulse_limits(self) -> PulseLimits:
        """Thresholds of suspect and dead."""
        return PulseLimits(
            suspect_floor_ns=self.suspect_floor_ns,
            suspect_cap_ns=self.suspect_cap_ns,
            dead_floor_ns=self.dead_floor_ns,
            dead_cap_ns=self.dead_cap_ns,
            echo_active_ns=self.echo_active_ns,
            echo_idle_ns=self.echo_idle_ns,
        )
