"""How busy this host was while something was measured, and with whom: read before and after, as shares of all cores.

``steal`` is what the hypervisor gave to others, ``others`` what ran here and was not the measurement or a child of it
that has ended. On a host without such counters the kernel's zeros stand.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil

BUSY = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUse:
    """Seconds of all cores together since the host began, and of this process and its ended children."""

    at_s: float
    busy_s: float
    steal_s: float
    disk_s: float
    own_s: float

    @classmethod
    def now(cls) -> HostUse:
        """As it stands."""
        cores, own = psutil.cpu_times(), os.times()
        steal_s, disk_s = getattr(cores, "steal", 0.0), getattr(cores, "iowait", 0.0)
        return cls(
            at_s=time.monotonic(),
            busy_s=sum(getattr(cores, name, 0.0) for name in BUSY),
            steal_s=steal_s,
            disk_s=disk_s,
            own_s=own.user + own.system + own.children_user + own.children_system,
        )

    def since(self, before: HostUse, *, cores: int | None = None) -> dict[str, float]:
        """Shares of what all cores could have done since then."""
        could_s = max(1e-9, (self.at_s - before.at_s) * (cores or os.cpu_count() or 1))
        busy_s, own_s = self.busy_s - before.busy_s, self.own_s - before.own_s
        seconds = {
            "busy_share": busy_s,
            "others_share": max(0.0, busy_s - own_s),
            "steal_share": self.steal_s - before.steal_s,
            "disk_share": self.disk_s - before.disk_s,
        }
        return {name: round(value / could_s, 3) for name, value in seconds.items()}
