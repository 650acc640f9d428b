"""The demo's timeline: what happens when, as rows that scale with ``--seconds``.

Pure: it knows names and times, not how anything is done.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf

NOMINAL_S = 60.0
SHORTEST_S = 30.0
CUT_S = 3.0  # the outage is not scaled: it is a promise about seconds, not about the demo's length


class Act(str, Enum):
    """An act of the demo."""

    REGISTER = "register"
    DEPLOY = "deploy"
    CUT = "cut"
    RESTORE = "restore"
    SABOTAGE = "bad rollouts"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """When an act begins, in seconds after the streams started."""

    at_s: float
    act: Act


_NOMINAL: tuple[tuple[float, Act], ...] = (
    (0.0, Act.REGISTER),
    (8.0, Act.DEPLOY),
    (25.0, Act.CUT),
    (38.0, Act.SABOTAGE),
    (58.0, Act.REPORT),
)


def timeline(seconds: float) -> tuple[Cue, ...]:
    """The cues of a demo of this length, in order.

    Raises:
        ValueError: shorter than the acts need, or without end.
    """
    if not SHORTEST_S <= seconds < inf:  # written so that nan is refused too
        raise ValueError(
            f"--seconds is {seconds:g}: it must be at least {SHORTEST_S:g}, the acts need that long"
        )
    scale = seconds / NOMINAL_S
    cues = [Cue(at_s=at_s * scale, act=act) for at_s, act in _NOMINAL]
    cut = next(cue for cue in cues if cue.act is Act.CUT)
    cues.append(Cue(at_s=cut.at_s + CUT_S, act=Act.RESTORE))
    return tuple(sorted(cues, key=lambda cue: cue.at_s))
