"""Which handlers want a topic: filters with MQTT wildcards, matched as MQTT says.

Pure core, except that a handler that fails is counted and said once per filter
and kind of error: it must not stop the others or the loop.
"""

from __future__ import annotations

import threading
import traceback

from broker.errors import RoadMisuse
from broker.road import Delivery, Handler, RoadCounters
from observability import log

_MAX_REMEMBERED_TOPICS = 4096
_SHARE_PARTS = 3

_log = log.get("broker.router")


def check_filter(topic_filter: str) -> None:
    """Refuse what MQTT 5 section 4.7 forbids. Raises RoadMisuse."""
    levels = unshared(topic_filter).split("/")
    bad = any(("+" in level or "#" in level) and len(level) > 1 for level in levels)
    if not topic_filter or levels == [""] or bad or "#" in levels[:-1] or "\0" in topic_filter:
        raise RoadMisuse(
            f"{topic_filter!r} is no topic filter: '+' and '#' stand alone between slashes, '#' comes last"
        )


def check_topic(topic: str) -> None:
    """Refuse what cannot be published to. Raises RoadMisuse."""
    if not topic or "+" in topic or "#" in topic or "\0" in topic or len(topic.encode()) > 0xFFFF:
        raise RoadMisuse(f"{topic[:80]!r} is no topic to publish to: no wildcards, 1 to 65535 bytes")


def unshared(topic_filter: str) -> str:
    """Return the filter behind `$share/{group}/`, which is what topics match."""
    if not topic_filter.startswith("$share/"):
        return topic_filter
    parts = topic_filter.split("/", _SHARE_PARTS - 1)
    return parts[2] if len(parts) == _SHARE_PARTS else ""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether `topic` is inside `topic_filter` (MQTT 5 section 4.7)."""
    wanted, levels = unshared(topic_filter).split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)


class Router:
    """The subscriptions of one road."""

    def __init__(self, *, counters: RoadCounters) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self._handlers: dict[str, list[Handler]] = {}
        self._qos: dict[str, int] = {}
        self._remembered: dict[str, list[tuple[str, Handler]]] = {}
        self._said: set[tuple[str, str]] = set()

    def add(self, topic_filter: str, handler: Handler, *, qos: int) -> None:
        """Remember a subscription. Raises RoadMisuse."""
        check_filter(topic_filter)
        with self._lock:
            self._handlers.setdefault(topic_filter, []).append(handler)
            self._qos[topic_filter] = max(qos, self._qos.get(topic_filter, 0))
            self._remembered = {}

    def filters(self) -> list[tuple[str, int]]:
        """Return every filter with its QoS, in the order they were added."""
        with self._lock:
            return list(self._qos.items())

    def qos(self, topic_filter: str) -> int:
        """Return the QoS a filter is subscribed with."""
        return self._qos[topic_filter]

    def deliver(self, delivery: Delivery) -> None:
        """Call every handler whose filter matches."""
        for topic_filter, handler in self._wanting(delivery.topic):
            self._call(handler, delivery, topic_filter)

    def _call(self, handler: Handler, delivery: Delivery, topic_filter: str) -> None:
        try:
            handler(delivery)
        except Exception as error:  # noqa: BLE001  a handler's fault must not stop the loop
            self._failed(topic_filter, error)

    def _wanting(self, topic: str) -> list[tuple[str, Handler]]:
        known = self._remembered.get(topic)
        if known is not None:
            return known
        with self._lock:
            wanting = [
                (f, h) for f, handlers in self._handlers.items() if matches(f, topic) for h in handlers
            ]
            if len(self._remembered) >= _MAX_REMEMBERED_TOPICS:
                self._remembered = {}
            self._remembered[topic] = wanting
        return wanting

    def _failed(self, topic_filter: str, error: Exception) -> None:
        self._counters.handler_errors += 1
        kind = (topic_filter, type(error).__name__)
        if kind not in self._said:
            self._said.add(kind)
            _log.error(
                "a handler failed; counted from now on",
                filter=topic_filter,
                trace="".join(traceback.format_exception(error)),
            )
