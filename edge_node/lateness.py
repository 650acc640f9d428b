"""Pure core: how late this host lately woke who asked to be woken: the worst of it, which fades.

Late wakings come in bursts, so the newest worst is what to be ready for; and one of them says little of the seconds
after it, for which every frame would be answered too early. A waking that is less late takes a ``FADE``th off.
"""

FADE = 64  # wakings: what was feared halves within 44 of them, which is a third of a second of frames
STEP_NS = 100_000  # told in such steps, so that what is reckoned from it seldom changes


class Lateness:
    """Of one host's wakings."""

    def __init__(self) -> None:
        self.recent_ns = 0  # how late to fear the next one to be, rounded up
        self._worst_ns = 0

    def add(self, late_ns: int) -> None:
        """A waking came so late."""
        worst_ns = self._worst_ns = max(late_ns, self._worst_ns - self._worst_ns // FADE)
        self.recent_ns = worst_ns + -worst_ns % STEP_NS
