"""Pure core: when a headset may change its way: slowly up, down when it lasts, and never back and forth.

A way that promises too little is borne for a moment: one late answer is no reason to leave it, and whoever bears it
begins a run here at once where need be, so that it costs no frame. One whose link is blocked is borne as long, and
kept in mind for a second. Going up must have been better for a while: longer after every climb that was soon
regretted, and longest where the way taken could go on. All changes together are at most ``MOST_SWITCHES`` a minute:
leaving needs room for coming back as well. A link that was cut for a second or more is another matter: when it is
back, nothing is held against it. Another quality of the picture is no change of the way.
"""

from collections import deque

from edge_node.policies.base import Path

FIRST_HOLD_NS, MOST_HOLD_NS = 200_000_000, 20_000_000_000  # two probes agree
SCORE_HOLD_NS = 3_000_000_000  # away from a way that could go on: a better score alone is no hurry
MOST_SWITCHES, SWITCHES_WITHIN_NS = 6, 60_000_000_000
CALM_NS = 5_000_000_000  # up so long, and the climb was no mistake: what made it fall is another link
CUT_NS = 1_000_000_000  # a link blocked for so long was cut; one that was not is only unsteady
BEAR_NS = 200_000_000  # six frames: by then a late answer is here, and a slower link is known for one


class Steps:
    """Where the frames of one headset go, and since when another way was better."""

    def __init__(self) -> None:
        self.at = Path.LOCAL
        self._wish_since_ns: int | None = None
        self._up_since_ns = 0
        self._hold_ns = 0  # nothing is held against a link that nobody fell from
        self._blocked_since_ns: int | None = None
        self._borne_since_ns: int | None = None
        self._switches_ns: deque[int] = deque(maxlen=MOST_SWITCHES)

    def block(self, now_ns: int) -> bool:
        """Nobody can be reached: the way is kept until the link counts as cut. Whether that is borne for now."""
        self._wish_since_ns = self._borne_since_ns = None
        if self._blocked_since_ns is None:
            self._blocked_since_ns = now_ns
        if now_ns - self._blocked_since_ns >= CUT_NS:
            self.fall(now_ns)
            self._hold_ns = 0
            self._switches_ns.clear()
        return now_ns - self._blocked_since_ns < BEAR_NS

    def unblock(self) -> None:
        """Somebody can be reached."""
        self._blocked_since_ns = None

    def bear(self, now_ns: int) -> bool:
        """The way taken promises too little: whether that has to be borne for now."""
        self._wish_since_ns = None
        if self._borne_since_ns is None:
            self._borne_since_ns = now_ns
        return now_ns - self._borne_since_ns < BEAR_NS

    def fall(self, now_ns: int) -> None:
        """Come back: the way taken can be taken no longer, or nothing is better than staying."""
        self._wish_since_ns = self._borne_since_ns = None
        if self.at is Path.LOCAL:
            return
        regretted = now_ns - self._up_since_ns < CALM_NS
        self._hold_ns = (
            min(MOST_HOLD_NS, max(FIRST_HOLD_NS, 2 * self._hold_ns)) if regretted else FIRST_HOLD_NS
        )
        self._go(Path.LOCAL, now_ns)

    def keep(self) -> None:
        """The way taken is still the best."""
        self._wish_since_ns = self._borne_since_ns = None

    def wish(self, path: Path, now_ns: int) -> str:
        """Another way is better now; empty where it is taken, else what is waited for."""
        self._borne_since_ns = None
        if self._wish_since_ns is None:
            self._wish_since_ns = now_ns
        held_ns = now_ns - self._wish_since_ns
        hold_ns = self._hold_ns if self.at is Path.LOCAL else SCORE_HOLD_NS
        if held_ns < hold_ns:
            return f"good for {held_ns / 1e9:.1f} of {hold_ns / 1e9:.1f} s"
        if path is not Path.LOCAL and not self._has_room(now_ns):
            return f"{MOST_SWITCHES} changes within a minute are the most: the link is not steady"
        if path is Path.LOCAL:
            self.fall(now_ns)
        else:
            self._wish_since_ns, self._up_since_ns = None, now_ns
            self._go(path, now_ns)
        return ""

    def _has_room(self, now_ns: int) -> bool:
        """For this change and for coming back."""
        lately = sum(at_ns > now_ns - SWITCHES_WITHIN_NS for at_ns in self._switches_ns)
        return lately + 2 <= MOST_SWITCHES

    def _go(self, path: Path, now_ns: int) -> None:
        self.at = path
        self._switches_ns.append(now_ns)


class Ladder:
    """Which quality frames leave with: down at once, up when the better one could have been taken for a while."""

    def __init__(self) -> None:
        self.quality: int | None = None
        self._since_ns: int | None = None

    def settle(self, wanted: int | None, *, may_keep: bool, now_ns: int) -> int | None:
        """The quality to send, where ``wanted`` is the best one and ``may_keep`` says whether the last one still can."""
        if wanted == self.quality or not may_keep:
            self.quality, self._since_ns = wanted, None
        elif self._since_ns is None:
            self._since_ns = now_ns
        elif now_ns - self._since_ns >= FIRST_HOLD_NS:
            self.quality, self._since_ns = wanted, None
        return self.quality
