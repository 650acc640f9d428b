"""Pure core of refusals: whom the office sent away, and when it says so again.

A refusal can be lost. Its process then goes on under an id that belongs to another, so it is refused again
whenever it is heard after a pause, and the pauses double up to ``MAX_PAUSE_MS``. What is heard within a pause
proves nothing: it may have left before the refusal arrived. Time is passed in; nothing is published here.
"""

from dataclasses import dataclass, field, replace

FIRST_PAUSE_MS = 1000
MAX_PAUSE_MS = 60_000
MAX_REFUSED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One process that may not speak for a device."""

    device: str
    boot_id: str
    wanted: bool = True  # it is still to be told (again)
    pause_ms: int = 0  # after the last time it was told
    not_before_ms: int = 0


@dataclass(slots=True)
class RefusalBook:
    """The refused processes; of more than ``MAX_REFUSED`` the one that was told longest ago is forgotten."""

    _refused: dict[tuple[str, str], Refusal] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._refused)

    def knows(self, device: str, *, boot_id: str) -> bool:
        """Whether this process was refused before."""
        return (device, boot_id) in self._refused

    def refuse(self, device: str, *, boot_id: str) -> None:
        """Have a process told: at once, or after the pause when it was told already."""
        known = self._refused.get((device, boot_id))
        self._put(replace(known, wanted=True) if known else Refusal(device=device, boot_id=boot_id))

    def seen(self, device: str, *, boot_id: str, now_ms: int) -> None:
        """Something came from this process: one that was refused, and had time to hear it, is told again."""
        known = self._refused.get((device, boot_id))
        if known is not None and not known.wanted and now_ms >= known.not_before_ms:
            self._refused[device, boot_id] = replace(known, wanted=True)

    def due(self, *, now_ms: int) -> tuple[Refusal, ...]:
        """The refusals to say now; each stays due until it was ``said``."""
        return tuple(one for one in self._refused.values() if one.wanted and one.not_before_ms <= now_ms)

    def said(self, refusal: Refusal, *, now_ms: int) -> None:
        """The road took it: the next one waits twice as long as this one did."""
        if not self.knows(refusal.device, boot_id=refusal.boot_id):
            return
        pause_ms = min(2 * refusal.pause_ms or FIRST_PAUSE_MS, MAX_PAUSE_MS)
        self._put(replace(refusal, wanted=False, pause_ms=pause_ms, not_before_ms=now_ms + pause_ms))

    def forget(self, device: str, *, boot_id: str) -> None:
        """The process left, or the id is its own now."""
        self._refused.pop((device, boot_id), None)

    def release(self, device: str) -> None:
        """The id is free: nobody is refused for it any more."""
        for key in [key for key in self._refused if key[0] == device]:
            del self._refused[key]

    def _put(self, refusal: Refusal) -> None:
        key = (refusal.device, refusal.boot_id)
        self._refused.pop(key, None)
        if len(self._refused) >= MAX_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[key] = refusal
