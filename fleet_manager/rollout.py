"""Pure core of deployments: an event comes in, the deployment's new value and commands go out.

One shot: every member gets its desired document at once, and a deployment ends when every member ended.
Nothing here publishes, stores or reads a clock. What ended stays ended: late and repeated events change
nothing, so every event may be delivered more than once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fleet_manager.domain import Deployment, DeviceResult
from schemas.documents import DeploymentSpec, PackageRef, Reported, SplitConfig
from schemas.states import TERMINAL, DeploymentOutcome, DeviceOutcome, UpdateState

ENDED = frozenset({DeviceOutcome.SUCCEEDED, DeviceOutcome.FAILED, DeviceOutcome.TIMED_OUT})
DETAIL_CHARS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A device at the start of a deployment; (epoch, version) is what its desired document will carry."""

    device: str
    admitted: bool
    epoch: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberReported:
    """A member published its reported document."""

    reported: Reported
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersSuperseded:
    """A newer deployment took members over."""

    devices: frozenset[str]
    by: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed. ``offline`` are the devices that are not connected now."""

    now_ms: int
    offline: frozenset[str] = frozenset()


Event = MemberReported | MembersSuperseded | Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDesired:
    """Give a member its new desired document; what is None here stays as the device has it."""

    device: str
    epoch: int
    version: int
    deployment: str
    package: PackageRef | None
    split_config: SplitConfig | None
    start_before_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The deployment ended."""

    deployment: str
    outcome: DeploymentOutcome
    reason: str | None


Command = SetDesired | Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The deployment after an event, and what is to be done."""

    deployment: Deployment
    commands: tuple[Command, ...] = ()


def start(
    deployment_id: str,
    *,
    spec: DeploymentSpec,
    package: PackageRef | None,
    members: Iterable[Member],
    now_ms: int,
) -> Step:
    """Begin a deployment: desired documents for every admitted member; an empty one ends at once."""
    deadline_ms = now_ms + round(spec.timeout_s * 1000)
    everyone = tuple(members)
    fresh = Deployment(
        id=deployment_id,
        spec=spec,
        package=package,
        created_ms=now_ms,
        deadline_ms=deadline_ms,
        results=tuple(_first_result(member, now_ms=now_ms) for member in everyone),
    )
    orders = tuple(
        SetDesired(
            device=member.device,
            epoch=member.epoch,
            version=member.version,
            deployment=deployment_id,
            package=package,
            split_config=spec.split_config,
            start_before_ms=deadline_ms,
        )
        for member in everyone
        if member.admitted
    )
    ended = _finish_when_all_ended(fresh, now_ms=now_ms)
    return Step(deployment=ended.deployment, commands=orders + ended.commands)


def step(deployment: Deployment, event: Event) -> Step:
    """The deployment after ``event``; unchanged and without commands when it does not concern it."""
    if deployment.outcome is not DeploymentOutcome.RUNNING:
        return Step(deployment=deployment)
    results = tuple(
        result if result.outcome in ENDED else _RULES[type(event)](deployment, result, event)
        for result in deployment.results
    )
    return _finish_when_all_ended(replace(deployment, results=results), now_ms=event.now_ms)


def concerned(running: Mapping[str, Deployment], event: Event) -> tuple[Deployment, ...]:
    """The deployments an event can change: a report names its own, a tick only ends what is overdue."""
    if isinstance(event, MemberReported):
        named = running.get(event.reported.deployment or "")
        return (named,) if named else ()
    return tuple(
        deployment
        for deployment in running.values()
        if not isinstance(event, Tick) or deployment.deadline_ms <= event.now_ms
    )


def _first_result(member: Member, *, now_ms: int) -> DeviceResult:
    result = DeviceResult(device=member.device, epoch=member.epoch, version=member.version)
    if member.admitted:
        return result
    return replace(
        result,
        outcome=DeviceOutcome.FAILED,
        reason="not_admitted",
        detail=f"approve it first: headway device approve {member.device}",
        finished_ms=now_ms,
    )


def _after_report(deployment: Deployment, result: DeviceResult, event: MemberReported) -> DeviceResult:
    reported = event.reported
    wanted = (result.device, deployment.id, result.epoch, result.version)
    if (reported.device, reported.deployment, reported.epoch, reported.version) != wanted:
        return result
    moved = replace(
        result,
        outcome=DeviceOutcome.IN_PROGRESS,
        state=reported.state,
        progress_bytes=reported.progress_bytes,
        total_bytes=reported.total_bytes,
    )
    if reported.state not in TERMINAL:
        return moved
    if reported.state is UpdateState.COMMITTED:
        return replace(moved, outcome=DeviceOutcome.SUCCEEDED, finished_ms=event.now_ms)
    return replace(
        moved,
        outcome=DeviceOutcome.FAILED,
        reason=reported.reason.value if reported.reason else reported.state.value,
        detail=reported.detail,
        finished_ms=event.now_ms,
    )


def _after_superseding(
    _deployment: Deployment, result: DeviceResult, event: MembersSuperseded
) -> DeviceResult:
    if result.device not in event.devices:
        return result
    return replace(
        result,
        outcome=DeviceOutcome.FAILED,
        reason="superseded",
        detail=f"deployment {event.by} took this device over",
        finished_ms=event.now_ms,
    )


def _after_tick(deployment: Deployment, result: DeviceResult, event: Tick) -> DeviceResult:
    if event.now_ms < deployment.deadline_ms:
        return result
    offline = result.device in event.offline
    last = f"last reported {result.state.value}" if result.state else "never answered this deployment"
    return replace(
        result,
        outcome=DeviceOutcome.TIMED_OUT,
        reason="offline" if offline else "timed_out",
        detail=f"{'not connected' if offline else 'connected'}, {last} within {deployment.spec.timeout_s:g} s",
        finished_ms=event.now_ms,
    )


_Rule = Callable[[Deployment, DeviceResult, Any], DeviceResult]  # Any: the event of the row's key
_RULES: dict[type[Event], _Rule] = {
    MemberReported: _after_report,
    MembersSuperseded: _after_superseding,
    Tick: _after_tick,
}


def _finish_when_all_ended(deployment: Deployment, *, now_ms: int) -> Step:
    results = deployment.results
    if any(result.outcome not in ENDED for result in results):
        return Step(deployment=deployment)
    bad = [result for result in results if result.outcome is not DeviceOutcome.SUCCEEDED]
    outcome = DeploymentOutcome.FAILED if bad else DeploymentOutcome.SUCCEEDED
    done = replace(
        deployment,
        outcome=outcome,
        reason=_reason(bad),
        detail=_detail(deployment, bad),
        finished_ms=now_ms,
    )
    return Step(
        deployment=done,
        commands=(Finish(deployment=deployment.id, outcome=outcome, reason=done.reason),),
    )


def _reason(bad: list[DeviceResult]) -> str | None:
    """The members' reasons, the most frequent first; None when nothing went wrong."""
    counts = Counter(result.reason or result.outcome.value for result in bad)
    return ", ".join(word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))) or None


def _detail(deployment: Deployment, bad: list[DeviceResult]) -> str:
    if not deployment.results:
        return f"warning: group {deployment.spec.target.group!r} has no members, nothing was changed"
    if not bad:
        return f"{len(deployment.results)} of {len(deployment.results)} devices succeeded"
    lines = "; ".join(f"{result.device}: {result.detail or result.reason}" for result in bad)
    return f"{len(bad)} of {len(deployment.results)} devices did not succeed: {lines}"[:DETAIL_CHARS]
