"""Pure core: whether the level of a duration changed for good (Page 1954, two-sided CUSUM on logarithms).

Two charts: one of the logarithms, in deviations learned on the way and cut off so that a single stall is no change,
and stretched where neighbours are alike, because a level that wanders by itself is no news; one of losses, as a ratio
of likelihoods between the rate learned and a link that loses half (or, after an outage, hardly any). Who asks resets
what it knew and keeps the newest ``run`` samples, which are of the new level. Reads no clock: it counts samples.
"""

import math
from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from statistics import median

SLACK = 0.5  # deviations: half the smallest shift that matters
ALARM = 9.0  # deviations
MOST = 4.0  # deviations one sample may count
LEARN_FIRST = 12  # samples of a level before it can be left
MEMORY = 64  # samples over which level and deviation are learned
PRIOR_DEVIATION = 0.3  # of a logarithm; worth PRIOR_SAMPLES
PRIOR_SAMPLES = 8
LEAST_DEVIATION = 0.15  # 15 %: quieter links do not make us nervous
MOST_RUN = 8  # samples
SHIFT_OF = 3  # newest samples whose median is the new level
KINSHIP_NOISE = 0.1  # of a correlation learned over MEMORY samples: less is none
MOST_KINSHIP = 0.95
LOSS_ALARM = 7.0  # nats
LEAST_LOSS, MOST_LOSS = 0.01, 0.95  # learned rates stay within
LOSS_MEMORY = 128  # samples over which the rate of losses is learned
LOSSY, CLEAN = 0.5, 0.02  # the rates that a change would go to


class ChangePoint:
    """The level of one series. ``alarm`` is in deviations: higher is calmer and slower."""

    def __init__(self, *, alarm: float = ALARM, slack: float = SLACK) -> None:
        self._alarm = alarm
        self._slack = slack
        self._newest: deque[float] = deque(maxlen=MEMORY)
        self._level = self._new_level()
        self._loss = _LossChart(LEAST_LOSS)
        self.run = 0  # newest samples that belong to the new level, after an alarm

    def add(self, value_ns: int) -> bool:
        """A duration; True where the level changed, in which case ``run`` says since how many samples."""
        logarithm = math.log(max(1, value_ns))
        self._newest.append(logarithm)
        if self._level.add(logarithm):
            self.run = self._level.run(list(self._newest))
            self._level = self._new_level()
            return True
        return self._judge_losses(lost=False)

    def add_loss(self) -> bool:
        """An answer that never came; True where losses became the rule."""
        return self._judge_losses(lost=True)

    def _judge_losses(self, *, lost: bool) -> bool:
        if not self._loss.add(lost=lost):
            return False
        self.run = self._loss.run
        self._loss = _LossChart(MOST_LOSS if lost else LEAST_LOSS)
        self._level = self._new_level()
        return True

    def _new_level(self) -> "_LevelChart":
        return _LevelChart(alarm=self._alarm, slack=self._slack)


class _LevelChart:
    """Sums of what lies above and below the level, less the slack; one of them at the alarm is a change."""

    def __init__(self, *, alarm: float, slack: float) -> None:
        self._alarm = alarm
        self._slack = slack
        self._seen = 0
        self._mean = 0.0
        self._variance = PRIOR_DEVIATION**2
        self._kinship = 0.0  # covariance of neighbours
        self._last_off = 0.0
        self._above = self._below = 0.0
        self._run_above = self._run_below = 0

    def run(self, newest: Sequence[float]) -> int:
        """How many of the newest are of the new level: beyond half of the way to it, since the sum was last zero."""
        shift = median(newest[-SHIFT_OF:]) - self._mean
        most = min(MOST_RUN, self._run_above if self._above >= self._below else self._run_below)
        beyond = takewhile(
            lambda log: (log - self._mean) * shift > shift * shift / 2, reversed(newest[-most:])
        )
        return max(1, sum(1 for _ in beyond))

    def add(self, logarithm: float) -> bool:
        if self._seen == 0:
            self._mean = logarithm
        deviation = math.sqrt(max(LEAST_DEVIATION**2, self._variance))
        off = max(-MOST, min(MOST, (logarithm - self._mean) / deviation))
        calm = off / self._restlessness()
        self._above = max(0.0, self._above + calm - self._slack)
        self._below = max(0.0, self._below - calm - self._slack)
        self._run_above = self._run_above + 1 if self._above else 0
        self._run_below = self._run_below + 1 if self._below else 0
        self._learn(off * deviation)
        if self._seen < LEARN_FIRST:
            return False
        return max(self._above, self._below) > self._alarm

    def _restlessness(self) -> float:
        """By how much more a sum of neighbours wanders because they are alike (long-run over plain deviation)."""
        alike = self._kinship / max(LEAST_DEVIATION**2, self._variance) - KINSHIP_NOISE
        alike = max(0.0, min(MOST_KINSHIP, alike))
        return math.sqrt((1 + alike) / (1 - alike))

    def _learn(self, off: float) -> None:
        self._kinship += (off * self._last_off - self._kinship) / min(self._seen + PRIOR_SAMPLES + 1, MEMORY)
        self._last_off = off
        self._seen += 1
        self._mean += off / min(self._seen, MEMORY)
        self._variance += (off * off - self._variance) / min(self._seen + PRIOR_SAMPLES, MEMORY)


class _LossChart:
    """The likelihood that losses became the rule, or the exception, against the rate learned so far."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._evidence = 0.0  # in nats
        self.run = 0  # samples since the evidence was last zero

    def add(self, *, lost: bool) -> bool:
        rate = self._rate
        other = LOSSY if rate < LOSSY / 2 else CLEAN
        odds = other / rate if lost else (1 - other) / (1 - rate)
        self._evidence = max(0.0, self._evidence + math.log(odds))
        self.run = self.run + 1 if self._evidence else 0
        learned = rate + ((1.0 if lost else 0.0) - rate) / LOSS_MEMORY
        self._rate = max(LEAST_LOSS, min(MOST_LOSS, learned))
        return self._evidence > LOSS_ALARM
