"""Vocabulary of updates: the states a headset walks through, and how each attempt may end.

One table, ``TRANSITIONS``, is the only description of the walk; code and tests read its rows.
``next_state`` refuses every pair that is not a row and changes nothing.
"""

from enum import Enum

from schemas.errors import SchemaError


class UpdateState(str, Enum):
    """Where one update of one headset stands."""

    IDLE = "idle"
    OFFERED = "offered"
    STAGING = "staging"
    STAGED = "staged"
    QUALIFYING = "qualifying"
    QUALIFIED = "qualified"
    WAITING = "waiting"
    SWITCHING = "switching"
    PROBATION = "probation"
    COMMITTED = "committed"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"


class UpdateEvent(str, Enum):
    """What moves an update on."""

    OFFER = "offer"
    ACCEPT = "accept"
    REJECT = "reject"
    FETCHED = "fetched"
    QUALIFY = "qualify"
    PASSED = "passed"
    WAIT = "wait"
    SWITCH = "switch"
    SWITCHED = "switched"
    COMMIT = "commit"
    FAIL = "fail"
    EXPIRE = "expire"
    CANCEL = "cancel"
    SUPERSEDE = "supersede"
    RESTORED = "restored"
    RESTORE_FAILED = "restore_failed"


class FailureReason(str, Enum):
    """Why an attempt did not end in a commit, as operators read it."""

    DIGEST_MISMATCH = "digest_mismatch"
    GOLDEN_MISMATCH = "golden_mismatch"
    UNLOADABLE = "unloadable"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    DISK_FULL = "disk_full"
    BAD_MANIFEST = "bad_manifest"
    BAD_CONFIG = "bad_config"
    FETCH_TIMED_OUT = "fetch_timed_out"
    LEASE_EXPIRED = "lease_expired"
    INTERNAL = "internal"


S, E = UpdateState, UpdateEvent

BEFORE_SWITCH = (S.OFFERED, S.STAGING, S.STAGED, S.QUALIFYING, S.QUALIFIED, S.WAITING)
AFTER_SWITCH = (S.SWITCHING, S.PROBATION)
TERMINAL = frozenset(
    {
        S.COMMITTED,
        S.REJECTED,
        S.FAILED,
        S.EXPIRED,
        S.CANCELLED,
        S.SUPERSEDED,
        S.ROLLED_BACK,
        S.ROLLBACK_FAILED,
    }
)

TRANSITIONS: dict[tuple[UpdateState, UpdateEvent], UpdateState] = {
    (S.IDLE, E.OFFER): S.OFFERED,
    (S.OFFERED, E.ACCEPT): S.STAGING,
    (S.OFFERED, E.REJECT): S.REJECTED,
    (S.STAGING, E.FETCHED): S.STAGED,
    (S.STAGED, E.QUALIFY): S.QUALIFYING,
    (S.QUALIFYING, E.PASSED): S.QUALIFIED,
    (S.QUALIFIED, E.WAIT): S.WAITING,
    (S.WAITING, E.SWITCH): S.SWITCHING,
    (S.SWITCHING, E.SWITCHED): S.PROBATION,
    (S.PROBATION, E.COMMIT): S.COMMITTED,
    (S.ROLLING_BACK, E.RESTORED): S.ROLLED_BACK,
    (S.ROLLING_BACK, E.RESTORE_FAILED): S.ROLLBACK_FAILED,
    **{(state, E.FAIL): S.FAILED for state in BEFORE_SWITCH},
    **{(state, E.EXPIRE): S.EXPIRED for state in BEFORE_SWITCH},
    **{(state, E.CANCEL): S.CANCELLED for state in BEFORE_SWITCH},
    **{(state, E.SUPERSEDE): S.SUPERSEDED for state in BEFORE_SWITCH},
    **{(state, event): S.ROLLING_BACK for state in AFTER_SWITCH for event in (E.FAIL, E.CANCEL)},
    **{(state, E.OFFER): S.OFFERED for state in TERMINAL},
}


class IllegalTransitionError(SchemaError):
    """An event that the current state does not know."""


def next_state(state: UpdateState, event: UpdateEvent) -> UpdateState:
    """The state after ``event``.

    Raises:
        IllegalTransitionError: the pair is not a row of the table; nothing changed.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(
            f"an update in state {state.value!r} knows no event {event.value!r}"
        ) from None


class DeviceOutcome(str, Enum):
    """How one member of a deployment stands, as the manager sees it."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


class DeploymentOutcome(str, Enum):
    """How a whole deployment stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
