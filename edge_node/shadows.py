"""Pure core: the bytes that a headset may spend on learning while its frames stay here.

Every frame that stays earns a share of what it would have sent; pings and shadows, extra copies of frames whose replies
only teach, are paid from that. What nothing is known of yet is worth more: of a new link a few shadows leave on credit,
one soon after the other. Where they and the pings of a ``WINDOW`` would take more than its share, none leaves.
Sends nothing itself.
"""

from collections import deque

WINDOW = 1800  # frames: a minute of them
EAGER = 3  # shadows on credit: with so many replies a link is believed
APART = 3  # frames between two of them, so that one hiccup does not spoil all
FEW = 90  # frames, of which the rate of pings can be told


class ShadowBudget:
    """Of one headset. At most one shadow is saved up for, so that none follow in a row but at a beginning."""

    def __init__(self) -> None:
        self._saved_bytes = 0.0
        self._pinged_bytes = 0  # of all pings so far, as far as they were paid
        self._worth_bytes = 0.0  # what a whole window may cost
        self._pings, self._shadows = _Spent(), _Spent()
        self._frame = 0  # that stayed
        self._eager = 0  # shadows left to send on credit
        self._next_frame = 0  # from which on the next of them may leave

    def begin(self) -> None:
        """A link is new, or is another one now: what is known of it says little."""
        self._eager, self._next_frame = EAGER, self._frame

    def stay(self, *, share: float, picture_bytes: int, pinged_bytes: int) -> None:
        """A frame of about so many bytes stays here; ``pinged_bytes`` is what all pings so far took."""
        paid_bytes = pinged_bytes - self._pinged_bytes
        self._pinged_bytes = pinged_bytes
        self._frame += 1
        self._worth_bytes = share * picture_bytes * WINDOW
        if paid_bytes:
            self._pings.add(self._frame, paid_bytes)
        for spent in (self._pings, self._shadows):
            spent.forget(self._frame - WINDOW)
        saved_bytes = self._saved_bytes + share * picture_bytes - paid_bytes
        self._saved_bytes = min(float(picture_bytes), max(-EAGER * float(picture_bytes), saved_bytes))

    def may_send(self, picture_bytes: int) -> bool:
        """Whether a picture of so many bytes is paid for, or is worth a debt."""
        is_eager = self._eager > 0 and self._frame >= self._next_frame
        if not is_eager and self._saved_bytes < picture_bytes:
            return False
        to_come = max(0, WINDOW - self._frame) / max(FEW, self._frame)  # of pings, until a window is full
        taken_bytes = self._shadows.sum_bytes + self._pings.sum_bytes * (1 + to_come)
        return taken_bytes + picture_bytes <= self._worth_bytes

    def sent(self, payload_bytes: int) -> None:
        """A shadow left."""
        self._saved_bytes -= payload_bytes
        self._shadows.add(self._frame, payload_bytes)
        self._eager = max(0, self._eager - 1)
        self._next_frame = self._frame + APART


class _Spent:
    """Bytes by frame, and their sum."""

    def __init__(self) -> None:
        self._rows: deque[tuple[int, int]] = deque()
        self.sum_bytes = 0

    def add(self, frame: int, payload_bytes: int) -> None:
        self._rows.append((frame, payload_bytes))
        self.sum_bytes += payload_bytes

    def forget(self, frame: int) -> None:
        """All up to this frame."""
        while self._rows and self._rows[0][0] <= frame:
            self.sum_bytes -= self._rows.popleft()[1]
