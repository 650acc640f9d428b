"""Pure core: where the next frame is computed, and why. Policies are rows in ``POLICIES``.

A policy is told what the link did (replies, probes, missing replies, refusals) and asked once per frame.
It reads no clock, sends nothing and knows no topic.
"""

from collections.abc import Callable

from edge_node.policies.base import (
    ChipView,
    Considered,
    Decision,
    LinkView,
    LocalView,
    PairView,
    PartView,
    Path,
    Policy,
    Rung,
)
from edge_node.policies.deadline import DeadlinePolicy
from edge_node.policies.duplicates import AlwaysDuplicatePolicy, P95HedgePolicy
from edge_node.policies.practice import LocalPolicy, OffloadPolicy, RttThresholdPolicy, SplitPolicy
from schemas.documents import SplitConfig

__all__ = [
    "POLICIES",
    "ChipView",
    "Considered",
    "Decision",
    "LinkView",
    "LocalView",
    "PairView",
    "PartView",
    "Path",
    "Policy",
    "Rung",
]

POLICIES: dict[str, Callable[[SplitConfig], Policy]] = {
    "deadline": DeadlinePolicy,
    "local": LocalPolicy,
    "offload": OffloadPolicy,
    "rtt-threshold": RttThresholdPolicy,
    "split": SplitPolicy,
    "always-duplicate": AlwaysDuplicatePolicy,
    "p95-hedge": P95HedgePolicy,
}
