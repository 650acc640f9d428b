"""What the world takes for granted, to stand beside figures that come out of it."""

from typing import Any

from bench.world.headset import CAPTURE_NS
from bench.world.host import HOSTS
from bench.world.site import DECODE_NS, HOP_NS, RUN_MS, SLOTS
from bench.world.way import JPEG_BYTES, RESULT_BYTES
from edge_node.device_class import FRACTIONS
from edge_node.energy import ENCODE_NS

NS_PER_MS = 1e6


def assumptions() -> dict[str, Any]:
    """Durations in milliseconds, sizes in bytes."""
    return {
        "worker_run_ms": dict(zip(map(str, FRACTIONS), RUN_MS, strict=True)),
        "worker_slots": SLOTS,
        "worker_decode_ms": DECODE_NS / NS_PER_MS,
        "broker_hop_ms": HOP_NS / NS_PER_MS,
        "capture_ms": CAPTURE_NS / NS_PER_MS,
        "encode_ms": ENCODE_NS / NS_PER_MS,
        "picture_bytes": {"least": JPEG_BYTES[0], "most": JPEG_BYTES[1]},
        "result_bytes": RESULT_BYTES,
        "host_wakes_late_ms": {str(share): late_ms for share, late_ms in HOSTS["prompt"].lateness},
    }
