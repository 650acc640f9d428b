"""Vocabulary of this room's refusals; each text says what to do.

EdgeError
├── SourceError       a camera, video, folder or ring that cannot be read
├── SettingsError     a setting that cannot stand
│   └── PlacementMisfitError  a placement whose positions are none of the model's
├── StoreError        the node's own state folder cannot be used
├── UpdateError       an attempt to change the release failed; carries the reason operators read
├── BrokerError       a broker that does not answer someone who only listens
└── DuplicateError    another process already runs under this id
"""

from schemas.states import FailureReason


class EdgeError(Exception):
    """Base of every error this room raises."""


class SourceError(EdgeError):
    """Frames cannot be read from where the user pointed."""


class SettingsError(EdgeError):
    """A setting that cannot stand."""


class PlacementMisfitError(SettingsError):
    """A split config names positions that do not belong to the model it came with."""


class StoreError(EdgeError):
    """The node's own folder is damaged or cannot be written."""


class BrokerError(EdgeError):
    """The broker could not be used."""


class DuplicateError(EdgeError):
    """The manager refused this process, because another one with its id is online."""


class UpdateError(EdgeError):
    """One attempt failed. ``reason`` is reported, ``detail`` is for people."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
