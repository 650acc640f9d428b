"""Pure core: how one attempt to change the release moves through the states, and what is remembered of it.

The walk itself is the table in ``schemas.states``; this file adds the memory: which (epoch, version) was
attempted, how it ended, how often it was begun. Nothing here reads a clock, a file or a message.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.documents import Desired, PackageRef, SplitConfig
from schemas.states import TERMINAL, FailureReason, UpdateEvent, UpdateState, next_state

MAX_BEGINNINGS = 3  # an attempt that the process did not survive so often is given up


class Release(BaseModel):
    """What a headset runs: a package (None: the models it was delivered with) and a split config."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    package: PackageRef | None = None
    split_config: SplitConfig | None = None


class Attempt(BaseModel):
    """The newest attempt; written down before each effect, so that a killed process goes on from here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    desired: Desired | None = None
    state: UpdateState = UpdateState.IDLE
    reason: FailureReason | None = None
    detail: str = ""
    before: Release = Release()  # what ran when it was offered, and runs again where it fails
    number: Annotated[int, Field(ge=0)] = 0
    beginnings: Annotated[int, Field(ge=0)] = 0

    @property
    def at(self) -> tuple[int, int]:
        """The (epoch, version) that was attempted."""
        return (self.desired.epoch, self.desired.version) if self.desired else (0, 0)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens with it."""
        return self.state in TERMINAL or self.state is UpdateState.IDLE

    @property
    def target(self) -> Release:
        """The release it wants."""
        if self.desired is None:
            return Release()
        return Release(package=self.desired.package, split_config=self.desired.split_config)


def is_newer(desired: Desired, attempt: Attempt) -> bool:
    """Whether a desired document asks for something that was not attempted yet."""
    return (desired.epoch, desired.version) > attempt.at


def offered(desired: Desired, attempt: Attempt, *, before: Release) -> Attempt:
    """A new attempt in the state ``offered``.

    Raises:
        IllegalTransitionError: the last attempt is not over.
    """
    return Attempt(
        desired=desired,
        state=next_state(attempt.state, UpdateEvent.OFFER),
        before=before,
        number=attempt.number + 1,
        beginnings=1,
    )


def moved(
    attempt: Attempt, event: UpdateEvent, *, reason: FailureReason | None = None, detail: str = ""
) -> Attempt:
    """The attempt after an event; a reason, once given, stays.

    Raises:
        IllegalTransitionError: the state does not know this event.
    """
    return attempt.model_copy(
        update={
            "state": next_state(attempt.state, event),
            "reason": reason or attempt.reason,
            "detail": detail[:1024] or attempt.detail,
        }
    )


def begun_again(attempt: Attempt) -> Attempt:
    """The attempt as a restarted process finds it: it goes on, but not for ever."""
    if attempt.is_over:
        return attempt
    again = attempt.model_copy(update={"beginnings": attempt.beginnings + 1})
    if again.beginnings <= MAX_BEGINNINGS or again.state is UpdateState.ROLLING_BACK:
        return again
    detail = f"the process ended {MAX_BEGINNINGS} times during this attempt"
    return moved(again, UpdateEvent.FAIL, reason=FailureReason.INTERNAL, detail=detail)


def differs(wanted: Release, running: Release) -> bool:
    """Whether the wanted release has another package than the running one."""
    mine = None if running.package is None else running.package.digest
    theirs = None if wanted.package is None else wanted.package.digest
    return mine != theirs
