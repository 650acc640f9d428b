"""Pure core: how much run time each headset got lately, and who got more than those that are turned away.

What was received weighs half as much after ``half_life_ns``, so a share is a rate and nobody pays for ever. A headset
is *hungry* for a while after a refusal for lack of room; the more of the hungry got less than a headset, the larger its
surplus, for which it has to leave room: so refusals go round, and a headset with long runs gets no larger share of the
time. A newcomer, or one that was silent, begins level with the poorest of those present: silence saves nothing up.
Bounded: who stays silent is forgotten. Reads no clock; whoever shares one between threads holds a lock around it.
"""

from collections import OrderedDict
from dataclasses import dataclass

_MOST_DOUBLINGS = 256  # far below what a float holds


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesConfig:
    """``present_ns``: how long after its last request a headset counts as present, or as hungry after a refusal."""

    half_life_ns: int = 4_000_000_000
    present_ns: int = 4_000_000_000
    forget_ns: int = 40_000_000_000
    headsets: int = 4096


@dataclass(slots=True, kw_only=True)
class _Share:
    """``received``: nanoseconds, each grown by the doublings since the origin instead of all shrinking since."""

    received: float
    seen_ns: int


class Shares:
    """Run time received, by headset."""

    def __init__(self, config: SharesConfig | None = None) -> None:
        self._config = config or SharesConfig()
        self._shares: OrderedDict[str, _Share] = OrderedDict()  # longest silent first
        self._hungry: OrderedDict[str, int] = OrderedDict()  # refused at, longest ago first
        self._origin_ns: int | None = None

    def __len__(self) -> int:
        return len(self._shares)

    def see(self, device: str, *, now_ns: int) -> None:
        """Note that a headset asked for work."""
        share = self._shares.get(device)
        silent = share is None or now_ns - share.seen_ns > self._config.present_ns
        if silent:
            level = self._poorest_present(now_ns)
            received = level if share is None else max(level, share.received)
            share = self._shares[device] = _Share(received=received, seen_ns=now_ns)
        assert share is not None
        share.seen_ns = now_ns
        self._shares.move_to_end(device)
        self._forget(now_ns)

    def charge(self, device: str, *, run_ns: int, now_ns: int) -> None:
        """Note run time that a headset got; negative where less was used than charged before."""
        growth = self._growth(now_ns)  # first, because it may move the origin of all that was received
        share = self._shares.get(device)
        if share is not None:
            share.received = max(0.0, share.received + run_ns * growth)

    def refuse(self, device: str, *, now_ns: int) -> None:
        """Note that there was no room for a headset."""
        self._hungry.pop(device, None)
        self._hungry[device] = now_ns

    def admit(self, device: str) -> None:
        """Note that a headset got its place."""
        self._hungry.pop(device, None)

    def surplus(self, device: str, *, now_ns: int) -> float:
        """The part of the hungry headsets that received less than this one, 0 to 1."""
        while self._hungry and now_ns - next(iter(self._hungry.values())) > self._config.present_ns:
            self._hungry.popitem(last=False)
        mine = self._received(device)
        poorer = sum(self._received(hungry) < mine for hungry in self._hungry)
        return poorer / len(self._hungry) if self._hungry else 0.0

    def is_poorer(self, device: str, than: str, *, by_ns: int, now_ns: int) -> bool:
        """Whether a headset received less than another by more than ``by_ns``."""
        by = by_ns * self._growth(now_ns)  # first, as in ``charge``
        return self._received(device) + by < self._received(than)

    def _received(self, device: str) -> float:
        share = self._shares.get(device)
        return 0.0 if share is None else share.received

    def _poorest_present(self, now_ns: int) -> float:
        since_ns = now_ns - self._config.present_ns
        return min(
            (share.received for share in self._shares.values() if share.seen_ns >= since_ns), default=0.0
        )

    def _growth(self, now_ns: int) -> float:
        if self._origin_ns is None:
            self._origin_ns = now_ns
        doublings = (now_ns - self._origin_ns) / self._config.half_life_ns
        if doublings > _MOST_DOUBLINGS:
            for share in self._shares.values():
                share.received *= 2.0**-doublings
            self._origin_ns, doublings = now_ns, 0.0
        return float(2.0**doublings)

    def _forget(self, now_ns: int) -> None:
        while self._shares:
            device, share = next(iter(self._shares.items()))
            if (
                len(self._shares) <= self._config.headsets
                and now_ns - share.seen_ns <= self._config.forget_ns
            ):
                return
            del self._shares[device]
            self._hungry.pop(device, None)
