"""Shell: keeps engines from reporting their use to their makers.

Two of them do so by default, over the network and with files in the home folder: OpenVINO when it is imported,
onnxruntime (1.29 and later on Linux) when it is imported and for every model it opens. Whoever imports one of
these calls ``switch_off`` before. What a user set in the environment is left as it is.
"""

import os
import sys
from typing import Any

_ABSENT: Any = None
_ONNXRUNTIME = "ORT_DISABLE_TELEMETRY"
_OPENVINO = "openvino_telemetry"


def switch_off() -> None:
    """For this process and its children, as long as the engines were not imported yet. Idempotent."""
    os.environ.setdefault(_ONNXRUNTIME, "1")
    sys.modules.setdefault(_OPENVINO, _ABSENT)  # OpenVINO takes it for not installed and goes on without
