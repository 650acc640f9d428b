"""What operators write: how a headset chooses where to compute, and what is rolled out to whom. Vocabulary."""

from typing import Annotated, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from schemas.fields import Id, Name, Written
from schemas.messages import PartCoding
from schemas.placements import MAX_POSITION, Placement

PolicyName = Literal[
    "local", "offload", "rtt-threshold", "split", "deadline", "always-duplicate", "p95-hedge"
]
POLICY_WORDS = ", ".join(get_args(PolicyName))  # for people
TaskWord = Literal["hands", "detect", "text", "speech"]
Criticality = Literal["routine", "critical"]
Tier = Literal["local", "split", "offload"]
JpegQuality = Annotated[int, Field(ge=10, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
TIERS: tuple[Tier, ...] = ("local", "split", "offload")
POLICY_TIERS: dict[str, Tier] = {"split": "split", "offload": "offload"}  # policies that know one tier only
# Written only where they differ from their default: nodes that do not know a field refuse documents that name it.
LATER_FIELDS = (
    "placement",
    "placements",
    "criticality",
    "tiers",
    "jpeg_qualities",
    "on_time_floor",
    "duplicates_per_s",
    "duplicates_burst",
    "uplink_ceiling_kbps",
    "battery_floor",
    "heat_ceiling_c",
    "weights",
    "model_loss",
    "shadow_share",
)


class PartPlacement(Written):
    """Where a model is cut: the headset runs operators up to ``head_end`` and from ``tail_start`` on."""

    head_end: Annotated[int, Field(ge=0, lt=MAX_POSITION)]
    tail_start: Annotated[int, Field(gt=0, le=MAX_POSITION)]
    packed: bool = False  # what crosses travels packed, both ways; worth its time on a slow link only

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

    @property
    def coding(self) -> PartCoding:
        """How what crosses is written."""
        return PartCoding.PACKED if self.packed else PartCoding.RAW

    @model_serializer(mode="wrap")
    def _without_default(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave ``packed`` out where it is not: nodes that do not know it refuse documents that name it."""
        fields: dict[str, object] = serialize(self)
        if not self.packed:
            fields.pop("packed", None)
        return fields


class Weights(Written):
    """What counts among ways that are equally likely to be in time; 0 leaves it out, 2 counts double."""

    energy: Annotated[float, Field(ge=0, le=1000)] = 1.0
    cost: Annotated[float, Field(ge=0, le=1000)] = 0.0
    quality: Annotated[float, Field(ge=0, le=1000)] = 1.0


class ModelLoss(Written):
    """How much worse the models of both ends are than the best one, from 0 to 1, as an evaluation found them."""

    local: Annotated[float, Field(ge=0, le=1)] = 0.24  # MediaPipe's lite hand model, against the full one
    worker: Annotated[float, Field(ge=0, le=1)] = 0.0


class SplitConfig(Written):
    """How a headset chooses where to compute."""

    policy: PolicyName = "deadline"
    deadline_ms: Annotated[float, Field(gt=0, le=10_000)] = 100.0
    rtt_threshold_ms: Annotated[float, Field(gt=0, le=1000)] = 15.0
    up_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8  # a good probe is below up_ratio * threshold
    up_probes: Annotated[int, Field(ge=1, le=100)] = 5  # good probes in a row before going up
    probe_interval_ms: Annotated[int, Field(ge=20, le=10_000)] = 100
    reply_timeout_ms: Annotated[float, Field(gt=0, le=10_000)] = 60.0  # missing so long counts as lost
    worker: Id | Literal["auto"] = "auto"
    jpeg_quality: JpegQuality = 80
    frame_width_px: Annotated[int, Field(ge=64, le=4096)] = 640
    placement: PartPlacement | None = None  # for split and deadline; positions belong to one model file
    placements: Annotated[tuple[PartPlacement, ...], Field(max_length=3)] = ()  # further ones, for deadline

    criticality: dict[TaskWord, Criticality] = Field(default_factory=dict)  # tasks not named are routine
    tiers: Annotated[tuple[Tier, ...], Field(max_length=len(TIERS))] = TIERS  # where a frame may go first
    jpeg_qualities: Annotated[tuple[JpegQuality, ...], Field(max_length=4)] = ()  # rungs below jpeg_quality
    on_time_floor: Share = 0.25  # least chance of a remote answer in time at which a frame leaves
    duplicates_per_s: Annotated[float, Field(ge=0, le=1000)] = 5.0  # local duplicates of routine frames
    duplicates_burst: Annotated[int, Field(ge=0, le=1000)] = 10
    uplink_ceiling_kbps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None  # kilobits, not bytes
    battery_floor: Share = 0.15  # below this charge energy counts double
    heat_ceiling_c: Annotated[float, Field(gt=0, le=120)] | None = None  # from here on prefer what cools
    weights: Weights = Weights()
    model_loss: ModelLoss = ModelLoss()
    shadow_share: Annotated[float, Field(ge=0, le=0.01)] = 0.01  # extra copies that only teach, of all frames

    def model_post_init(self, _context: object, /) -> None:
        """Refuse fields that contradict each other; each error names the field and says what to write."""
        if self.policy == "split" and self.placement is None:
            raise ValueError("policy split needs placement.head_end and placement.tail_start")
        if self.placements:
            self._check_placements()
        if not self.tiers or len(set(self.tiers)) != len(self.tiers):
            raise ValueError(f"tiers must name at least one, each once: choose from {', '.join(TIERS)}")
        needed = POLICY_TIERS.get(self.policy)
        if needed is not None and needed not in self.tiers:
            raise ValueError(f"tiers must name {needed} for policy {self.policy}: add it, or leave tiers out")
        if any(rung >= self.jpeg_quality for rung in self.jpeg_qualities):
            raise ValueError(
                f"jpeg_qualities must lie below jpeg_quality ({self.jpeg_quality}): they are its lower rungs"
            )
        if len(set(self.jpeg_qualities)) != len(self.jpeg_qualities):
            raise ValueError("jpeg_qualities names a rung twice: write each once")

    def _check_placements(self) -> None:
        if self.placement is None:
            raise ValueError("placements are weighed beside placement: name the first of them there")
        cuts = [place.placement for place in (self.placement, *self.placements)]
        twice = next((cut for number, cut in enumerate(cuts) if cut in cuts[:number]), None)
        if twice is not None:
            raise ValueError(
                f"placements names {twice} twice, or it is placement already: write each pair once, packed or not"
            )

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out each later field at its default."""
        fields: dict[str, object] = serialize(self)
        for name in LATER_FIELDS:
            default = type(self).model_fields[name].get_default(call_default_factory=True)
            if getattr(self, name) == default:
                fields.pop(name, None)
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
