"""Pure core: the shapes of jitter by name. Each turns one even draw from [0, 1) into a multiple of the mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from types import MappingProxyType

LOGNORMAL_SIGMA = 1.0
PARETO_SHAPE = 2.5  # the variance is still finite; 1 in 1,000 draws is above 22 means
LEAST_DRAW = 2.0**-53
_NORMAL = NormalDist()


def _none(_draw: float) -> float:
    return 0.0


def _uniform(draw: float) -> float:
    return 2 * draw


def _exponential(draw: float) -> float:
    return -math.log1p(-draw)


def _lognormal(draw: float) -> float:
    sigma = LOGNORMAL_SIGMA
    return math.exp(sigma * _NORMAL.inv_cdf(max(draw, LEAST_DRAW)) - sigma * sigma / 2)


def _pareto(draw: float) -> float:
    return (PARETO_SHAPE - 1) * (float((1 - draw) ** (-1 / PARETO_SHAPE)) - 1)


JITTERS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "none": _none,
        "uniform": _uniform,
        "exponential": _exponential,
        "lognormal": _lognormal,
        "pareto": _pareto,
    }
)
