"""Pure core of registration: two processes claim one id, and which of them may keep it.

While an id is online and another boot claims it, the office asks the known one to speak again. Heard in
time, the newcomer is refused; silent, the newcomer takes over. The time runs only once the question was
accepted for sending: nobody loses an id for not answering what was never asked. Time is passed in; nothing is
published here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from schemas.documents import DevicePresence, Reported

ANSWER_WITHIN_MS = 2000
MAX_OPEN = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A newcomer waits for the silence or the voice of the process that is online."""

    incumbent_boot_id: str
    newcomer: DevicePresence
    deadline_ms: int | None = None  # None: the known process was not asked yet
    reported: Reported | None = None  # the newcomer's, kept until it is known whether it counts


@dataclass(slots=True)
class ChallengeBook:
    """The open challenges, one per newcomer, the oldest first; at most ``MAX_OPEN``."""

    _open: dict[tuple[str, str], Challenge] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, newcomer: DevicePresence, *, incumbent_boot_id: str) -> bool:
        """Begin a challenge. False when this newcomer's is open already, or too many are."""
        key = (newcomer.device, newcomer.boot_id)
        known = self._open.get(key)
        if known is not None:
            self._open[key] = replace(known, newcomer=newcomer)
            return False
        if len(self._open) >= MAX_OPEN:
            return False
        self._open[key] = Challenge(incumbent_boot_id=incumbent_boot_id, newcomer=newcomer)
        return True

    def unasked(self) -> tuple[Challenge, ...]:
        """The challenges whose known process is still to be asked; they stay open."""
        return tuple(challenge for challenge in self._open.values() if challenge.deadline_ms is None)

    def asked(self, challenge: Challenge, *, now_ms: int) -> None:
        """The question is on its way: from now on silence counts."""
        key = (challenge.newcomer.device, challenge.newcomer.boot_id)
        known = self._open.get(key)
        if known is not None and known.deadline_ms is None:
            self._open[key] = replace(known, deadline_ms=now_ms + ANSWER_WITHIN_MS)

    def hold(self, reported: Reported) -> bool:
        """Keep a challenger's report; False when its sender has no open challenge."""
        key = (reported.device, reported.boot_id)
        known = self._open.get(key)
        if known is None:
            return False
        self._open[key] = replace(known, reported=reported)
        return True

    def answered(self, device: str, *, boot_id: str) -> tuple[Challenge, ...]:
        """The challenges lost because the known process spoke; they are closed."""
        return self._close(
            key
            for key, challenge in list(self._open.items())
            if key[0] == device and challenge.incumbent_boot_id == boot_id
        )

    def withdraw(self, device: str, *, boot_id: str) -> None:
        """Forget a newcomer that left again."""
        self._open.pop((device, boot_id), None)

    def of(self, device: str) -> tuple[Challenge, ...]:
        """All challenges for one id; they are closed."""
        return self._close(key for key in list(self._open) if key[0] == device)

    def due(self, *, now_ms: int) -> tuple[Challenge, ...]:
        """The challenges won by silence; they are closed."""
        return self._close(
            key
            for key, challenge in list(self._open.items())
            if challenge.deadline_ms is not None and challenge.deadline_ms <= now_ms
        )

    def _close(self, keys: Iterable[tuple[str, str]]) -> tuple[Challenge, ...]:
        return tuple(self._open.pop(key) for key in keys)
