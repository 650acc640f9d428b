"""What operators write: how a headset chooses where to compute, and what is rolled out to whom. Vocabulary."""

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from schemas.fields import Id, Name, Written
from schemas.placements import MAX_POSITION, Placement

PolicyName = Literal["local", "offload", "rtt-threshold", "split"]


class PartPlacement(Written):
    """Where a model is cut: the headset runs operators up to ``head_end`` and from ``tail_start`` on."""

    head_end: Annotated[int, Field(ge=0, lt=MAX_POSITION)]
    tail_start: Annotated[int, Field(gt=0, le=MAX_POSITION)]

    def model_post_init(self, _context: object, /) -> None:
        """Refuse a placement that leaves the worker nothing."""
        if self.tail_start <= self.head_end:
            raise ValueError(
                "placement.tail_start must lie behind placement.head_end: the worker runs between"
            )

    @property
    def placement(self) -> Placement:
        """As headers name it."""
        return Placement(start=self.head_end, end=self.tail_start)


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
    placement: PartPlacement | None = None  # for the policy split; positions belong to one model file

    def model_post_init(self, _context: object, /) -> None:
        """Refuse to split nowhere."""
        if self.policy == "split" and self.placement is None:
            raise ValueError("policy split needs placement.head_end and placement.tail_start")

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave an absent placement out: nodes that do not know the field refuse documents that name it."""
        fields: dict[str, object] = serialize(self)
        if fields.get("placement") is None:
            fields.pop("placement", None)
        return fields


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
