"""Vocabulary: where a headset is: the host it runs on, and how long the worker there takes."""

from dataclasses import dataclass

from bench.world.host import HOSTS, Host
from bench.world.site import RUN_MS
from edge_node.device_class import Quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """``worker_run_ms``: at the fractions of a device class."""

    host: Host = HOSTS["prompt"]
    worker_run_ms: Quantile = RUN_MS


USUAL = Place()
