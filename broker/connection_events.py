"""What a connection tells its owner. Vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.road import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEvents:
    """What a connection tells its owner, always on the reactor's thread.

    `opened`, `delivered` and `acked` come from inside paho, which holds a lock then:
    they may publish and subscribe, nothing else.
    """

    opened: Callable[[], None]
    heard: Callable[[], None]  # bytes arrived
    progressed: Callable[[], None]  # something was read or written: is there more to send?
    delivered: Callable[[Delivery], None]
    acked: Callable[[int, bool], None]  # (id of the publication, refused by the broker)
    subscription_refused: Callable[[str], None]
    ended: Callable[[str], None]  # why, in words
