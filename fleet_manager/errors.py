"""Errors of the office, each with what the operator does about it.

FleetError
├── NotFoundError      no such device, group, model or deployment
├── ConflictError      it is there already, or something else stands in the way
├── RefusedError       the request is understood and wrong
├── TooLargeError      above a stated limit
├── StoreError         the database cannot be opened or brought up to date
└── UnreachableError   a headset does not answer; (client) the manager does not, or not in its language
"""


class FleetError(Exception):
    """Base of every error this room raises. ``fix`` says what to do."""

    def __init__(self, detail: str, *, fix: str) -> None:
        super().__init__(f"{detail}; {fix}")
        self.detail = detail
        self.fix = fix


class NotFoundError(FleetError):
    """What was named does not exist."""


class ConflictError(FleetError):
    """What was asked for contradicts what is there."""


class RefusedError(FleetError):
    """The request breaks a rule."""


class TooLargeError(FleetError):
    """The request is above a stated limit."""


class StoreError(FleetError):
    """The database cannot be used."""


class UnreachableError(FleetError):
    """Nobody answers: the manager, or the headset that it was to ask."""
