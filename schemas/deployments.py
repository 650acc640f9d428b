"""What operators write: how a headset chooses where to compute, and what is rolled out to whom. Vocabulary."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Id, Name, Written

PolicyName = Literal["local", "offload", "rtt-threshold"]


class SplitConfig(Written):
    """How a headset chooses where to compute."""

    policy: PolicyName = "rtt-threshold"
    deadline_ms: Annotated[float, Field(gt=0, le=10_000)] = 100.0
    rtt_threshold_ms: Annotated[float, Field(gt=0, le=1000)] = 15.0
    up_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8  # a good probe is below up_ratio * threshold
    up_probes: Annotated[int, Field(ge=1, le=100)] = 5  # good probes in a row before going up
    probe_interval_ms: Annotated[int, Field(ge=20, le=10_000)] = 100
    reply_timeout_ms: Annotated[float, Field(gt=0, le=10_000)] = 60.0  # missing so long counts as lost
    worker: Id | Literal["auto"] = "auto"
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] = 80
    frame_width_px: Annotated[int, Field(ge=64, le=4096)] = 640


class Target(Written):
    """Whom a deployment is for: exactly one of a group or a device."""

    group: Name | None = None
    device: Id | None = None

    def model_post_init(self, _context: object, /) -> None:
        """Refuse none and both."""
        if (self.group is None) == (self.device is None):
            raise ValueError("name exactly one of target.group and target.device")


class DeploymentSpec(Written):
    """A deployment as the operator writes it (YAML or JSON)."""

    target: Target
    model: (
        Annotated[
            str,
            Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}(:[A-Za-z0-9][A-Za-z0-9.+_-]{0,31})?$|^[0-9a-f]{64}$"),
        ]
        | None
    ) = None
    split_config: SplitConfig | None = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0

    def model_post_init(self, _context: object, /) -> None:
        """Refuse a deployment that changes nothing."""
        if self.model is None and self.split_config is None:
            raise ValueError("name a model, a split_config, or both: this deployment changes nothing")
