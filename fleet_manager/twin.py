"""Pure rules of the twin: which presence and which report count, and what is desired next.

Nothing here stores, publishes or reads a clock.
"""

from dataclasses import replace
from enum import Enum

from fleet_manager.domain import Admission, Connectivity, Device, Settled
from fleet_manager.rollout import SetDesired
from schemas.documents import Desired, DevicePresence, Reported
from schemas.states import UpdateState

LAST = 2**53 - 1  # the largest number that documents carry


class Verdict(str, Enum):
    """What a presence document means for the twin."""

    ACCEPT = "accept"
    STALE = "stale"  # of an old session or of a boot that does not count
    CHALLENGE = "challenge"  # another process claims an id that is online


def judge(device: Device, presence: DevicePresence) -> Verdict:
    """Weigh a presence document against the twin.

    An offline counts only when it is of the session and boot that count. A birth of the same boot counts
    unless its session is older. A birth of another boot counts, except while the known boot is online.
    """
    known = device.presence
    same_boot = presence.boot_id == known.boot_id
    if not presence.online:
        current = same_boot and presence.session == known.session
        return Verdict.ACCEPT if current else Verdict.STALE
    if same_boot:
        return Verdict.ACCEPT if presence.session >= known.session else Verdict.STALE
    return Verdict.CHALLENGE if device.connectivity is Connectivity.ONLINE else Verdict.ACCEPT


def newcomer(presence: DevicePresence, *, admission: Admission, now_ms: int) -> Device:
    """The twin of a device that was never seen before."""
    return Device(
        id=presence.device,
        admission=admission,
        connectivity=_connectivity(presence),
        presence=presence,
        first_seen_ms=now_ms,
        last_seen_ms=now_ms,
    )


def with_presence(device: Device, presence: DevicePresence, *, now_ms: int) -> Device:
    """The twin after an accepted presence; an offline keeps what the birth said of the device."""
    return replace(
        device,
        connectivity=_connectivity(presence),
        presence=presence if presence.online else device.presence,
        last_seen_ms=now_ms,
    )


def _connectivity(presence: DevicePresence) -> Connectivity:
    return Connectivity.ONLINE if presence.online else Connectivity.OFFLINE


def counts(device: Device, reported: Reported) -> bool:
    """Whether a report is the twin's newest: of the boot that is online, and not older than the last one."""
    foreign = reported.boot_id != device.presence.boot_id
    if foreign and device.connectivity is Connectivity.ONLINE:
        return False
    last = device.reported
    return last is None or last.boot_id != reported.boot_id or reported.seq >= last.seq


def with_report(device: Device, reported: Reported, *, now_ms: int) -> Device:
    """The twin after a report that counts; a commit of the current desired settles it."""
    settled = device.settled
    desired = device.desired
    committed = (
        desired is not None
        and reported.state is UpdateState.COMMITTED
        and (reported.epoch, reported.version) == (desired.epoch, desired.version)
    )
    if committed and desired is not None:
        settled = Settled(package=desired.package, split_config=desired.split_config)
    return replace(device, reported=reported, settled=settled, last_seen_ms=now_ms)


def next_version(device: Device, *, epoch: int) -> tuple[int, int]:
    """The (epoch, version) of the next desired: above everything that was sent or reported.

    A device may report a larger epoch than ours when our database is older than the fleet. Above the very last
    number nothing can be said: that device will not follow, but whoever shares a deployment with it will.
    """
    seen = [(epoch, 0)]
    if device.desired:
        seen.append((device.desired.epoch, device.desired.version))
    if device.reported:
        seen.append((device.reported.epoch, device.reported.version))
    newest_epoch, newest_version = max(seen)
    if newest_version < LAST:
        return newest_epoch, newest_version + 1
    return (newest_epoch + 1, 1) if newest_epoch < LAST else (LAST, LAST)


def desired_after(device: Device, order: SetDesired, *, now_ms: int) -> Desired:
    """The next desired document.

    What the order leaves open stays what the device committed last, so a package that was refused never
    rides along with a later change.
    """
    return Desired(
        device=device.id,
        epoch=order.epoch,
        version=order.version,
        deployment=order.deployment,
        package=order.package or device.settled.package,
        split_config=order.split_config or device.settled.split_config,
        start_before_ms=order.start_before_ms,
        sent_ms=now_ms,
    )
