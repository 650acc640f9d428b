"""Pure core: the bytes that a headset may spend on learning while its frames stay here.

Every frame that stays earns a share of what it would have sent; pings and shadows, extra copies of frames whose replies
only teach, are paid from that. So both together never exceed the share. Sends nothing itself.
"""


class ShadowBudget:
    """Of one headset. At most one shadow is saved up for, so that none follow in a row."""

    def __init__(self) -> None:
        self._saved_bytes = 0.0
        self._pinged_bytes = 0  # of all pings so far, as far as they were paid

    def stay(self, *, share: float, picture_bytes: int, pinged_bytes: int) -> None:
        """A frame of about so many bytes stays here; ``pinged_bytes`` is what all pings so far took."""
        paid_bytes = pinged_bytes - self._pinged_bytes
        self._pinged_bytes = pinged_bytes
        saved_bytes = self._saved_bytes + share * picture_bytes - paid_bytes
        self._saved_bytes = min(float(picture_bytes), max(-float(picture_bytes), saved_bytes))

    def may_send(self, picture_bytes: int) -> bool:
        """Whether a picture of so many bytes is paid for."""
        return self._saved_bytes >= picture_bytes

    def sent(self, payload_bytes: int) -> None:
        """A shadow left."""
        self._saved_bytes -= payload_bytes
