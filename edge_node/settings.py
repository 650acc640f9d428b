"""Vocabulary: everything that can be set about one headset, with unit and bound, checked once here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_node.device_class import DEVICE_CLASSES
from edge_node.errors import SettingsError
from schemas.documents import SplitConfig
from schemas.errors import TopicError
from schemas.topics import check_id

MAX_FPS = 240.0
VARIANTS = ("full", "lite")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One headset process."""

    device: str
    site: str
    broker_url: str
    source: str = field(repr=False)  # kind:target, see edge_node.sources; may hold a camera's password
    state: Path  # what the headset must remember: session number, releases, update journal
    models: Path  # the models it is delivered with
    data_url: str | None = None  # None: the same broker carries frames
    device_class: str = "host"
    split: SplitConfig = field(default_factory=SplitConfig)
    fps: float = 30.0
    variant: str = "full"  # of the models it is delivered with
    max_hands: int = 1
    seconds: float | None = None  # None: until told to stop
    events: Path | None = None
    record: Path | None = None
    offset: int | None = None  # first frame in a shared ring; None: from the id
    seed: int = 1
    protocol: Literal[5, 311] = 5
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot run.

        Raises:
            SettingsError: names the option and what it may be.
        """
        try:
            check_id("device", self.device)
            check_id("site", self.site)
        except TopicError as error:
            raise SettingsError(str(error)) from error
        if self.device_class not in DEVICE_CLASSES:
            names = ", ".join(DEVICE_CLASSES)
            raise SettingsError(f"no device class {self.device_class!r}: choose one of {names}")
        if self.variant not in VARIANTS:
            raise SettingsError(f"--variant is {self.variant!r}: choose one of {', '.join(VARIANTS)}")
        for name, value, low, high in (
            ("--fps", self.fps, 1.0, MAX_FPS),
            ("--max-hands", self.max_hands, 1, 8),
            ("--seconds", self.seconds or 1.0, 0.0, 1e9),
        ):
            if not low <= value <= high:
                raise SettingsError(f"{name} is {value:g}: choose {low:g} to {high:g}")

    @property
    def event_file(self) -> Path | None:
        """Where event lines go; a recording needs them, so it brings its own place for them."""
        if self.events is None and self.record is not None:
            return self.state / "events.jsonl"
        return self.events

    @property
    def frames(self) -> int | None:
        """How many frames to schedule; None: until told to stop."""
        return None if self.seconds is None else max(1, round(self.seconds * self.fps))
