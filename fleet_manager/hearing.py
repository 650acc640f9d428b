"""What devices tell the office, and what the office makes of it: twins, registration, reports.

Beside ``service`` (what operators ask) over the same transactions. Documents come decoded and with the
topic's sender checked; nothing here knows MQTT.
"""

from collections.abc import Callable
from functools import partial

from fleet_manager import rollout, twin
from fleet_manager.domain import Admission, Connectivity, Device
from fleet_manager.refusals import Refusal, RefusalBook
from fleet_manager.registration import Challenge, ChallengeBook
from fleet_manager.service import FleetService
from fleet_manager.store import Rows
from observability.metrics import Registry
from schemas.documents import Ack, Command, DevicePresence, Event, Reported
from schemas.states import TERMINAL

Say = Callable[[], object]


class Hearing:
    """Takes in presence, reports and events. Called from one thread, in the order of arrival."""

    def __init__(self, service: FleetService, *, admit_at_once: bool, metrics: Registry) -> None:
        self._service = service
        self._admission = Admission.ADMITTED if admit_at_once else Admission.PENDING
        self._challenges = ChallengeBook()
        self._refusals = RefusalBook()
        self._commands = 0
        self._metrics = metrics

    def presence(self, presence: DevicePresence) -> bool:
        """A birth or an offline; says whether it counted."""
        with self._service.speaking() as said, self._service.transaction() as rows:
            device = rows.devices.get(presence.device)
            if device is None:
                return self._first_birth(rows, presence)
            verdict = twin.judge(device, presence)
            _VERDICTS[verdict](self, rows, device, presence, said)
            return verdict is twin.Verdict.ACCEPT

    def reported(self, reported: Reported) -> None:
        """A device's report; a terminal one of a deployment is acknowledged once it is stored."""
        self.seen(reported.device, boot_id=reported.boot_id)
        with self._service.speaking() as said, self._service.transaction() as rows:
            device = rows.devices.get(reported.device)
            if device is None:
                self._ignore("report_of_unknown_device")
            elif self._challenges.hold(reported):
                self._ignore("report_of_challenger")
            elif not twin.counts(device, reported):
                self._ignore("stale_report")
            else:
                self._take_report(rows, device, reported, said)

    def event(self, event: Event) -> None:
        """Something a device wants known; what another process says under its id is not its story."""
        self.seen(event.device, boot_id=event.boot_id)
        with self._service.transaction() as rows:
            device = rows.devices.get(event.device)
            if device is None:
                self._ignore("event_of_unknown_device")
                return
            if event.boot_id != device.presence.boot_id:
                self._ignore("event_of_another_boot")
                return
            self._service.note(rows, kind=event.kind, device=event.device, detail=event.detail)

    def seen(self, device: str, *, boot_id: str) -> None:
        """A sign of life of a process, whatever it said: one that was refused did not hear it."""
        self._refusals.seen(device, boot_id=boot_id, now_ms=self._service.clock_ms())

    def tick(self) -> None:
        """Time passed: deadlines of deployments and of challenges, refusals that are to be said again."""
        now_ms = self._service.clock_ms()
        with self._service.speaking() as said, self._service.transaction() as rows:
            for challenge in self._challenges.due(now_ms=now_ms):
                self._take_over(rows, challenge, said)
            said.append(self._ask_unasked)
            self._say_refusals(rows, said, now_ms=now_ms)
            deadline_ms = self._service.next_deadline_ms(rows)
            if deadline_ms is not None and deadline_ms <= now_ms:
                tick = rollout.Tick(now_ms=now_ms, offline=rows.devices.offline_ids())
                self._service.advance(rows, tick)

    def _ignore(self, reason: str) -> None:
        """Count a well-formed document that changes nothing."""
        self._metrics.count("fleet_ignored", reason=reason)

    def _first_birth(self, rows: Rows, presence: DevicePresence) -> bool:
        if not presence.online:
            self._ignore("offline_of_unknown_device")
            return False
        now_ms = self._service.clock_ms()
        rows.devices.put(twin.newcomer(presence, admission=self._admission, now_ms=now_ms))
        self._service.note(rows, kind=f"registered-{self._admission.value}", device=presence.device)
        return True

    def _accept(self, rows: Rows, device: Device, presence: DevicePresence, said: list[Say]) -> None:
        known = device.connectivity
        after = twin.with_presence(device, presence, now_ms=self._service.clock_ms())
        rows.devices.put(after)
        if after.connectivity is not known:
            self._service.note(rows, kind=after.connectivity.value, device=device.id)
        if presence.online:
            self._refusals.forget(device.id, boot_id=presence.boot_id)
            for challenge in self._challenges.answered(device.id, boot_id=presence.boot_id):
                self._refuse(rows, challenge)
        else:
            self._refusals.release(device.id)
            for challenge in self._challenges.of(device.id)[:1]:  # a later one claims again on its next birth
                self._take_over(rows, challenge, said)

    def _stale(self, _rows: Rows, device: Device, presence: DevicePresence, _said: list[Say]) -> None:
        self._ignore("stale_presence")
        if not presence.online:
            self._challenges.withdraw(device.id, boot_id=presence.boot_id)
            self._refusals.forget(device.id, boot_id=presence.boot_id)

    def _challenge(self, rows: Rows, device: Device, presence: DevicePresence, said: list[Say]) -> None:
        self.seen(device.id, boot_id=presence.boot_id)
        if self._challenges.open(presence, incumbent_boot_id=device.presence.boot_id):
            if not self._refusals.knows(device.id, boot_id=presence.boot_id):  # the journal says it once
                self._service.note(rows, kind="claimed-twice", device=device.id, detail=presence.boot_id)
            said.append(self._ask_unasked)

    def _ask_unasked(self) -> None:
        """Ask known processes to speak again; what the road does not take is asked at the next tick."""
        for challenge in self._challenges.unasked():
            device, boot_id = challenge.newcomer.device, challenge.incumbent_boot_id
            if not self._command(device, "resend", boot_id=boot_id)():
                return  # the road is full or closed: the others would fare no better
            self._challenges.asked(challenge, now_ms=self._service.clock_ms())

    def _refuse(self, rows: Rows, challenge: Challenge) -> None:
        device, boot_id = challenge.newcomer.device, challenge.newcomer.boot_id
        if not self._refusals.knows(device, boot_id=boot_id):
            self._service.note(rows, kind="refused-duplicate", device=device, detail=boot_id)
        self._refusals.refuse(device, boot_id=boot_id)  # said at the next tick

    def _say_refusals(self, rows: Rows, said: list[Say], *, now_ms: int) -> None:
        for refusal in self._refusals.due(now_ms=now_ms):
            device = rows.devices.get(refusal.device)
            if device is None or device.connectivity is not Connectivity.ONLINE:
                # Nobody is known to hold the id now: this process may claim it, as any other.
                self._refusals.forget(refusal.device, boot_id=refusal.boot_id)
            else:
                said.append(partial(self._say_refusal, refusal, now_ms=now_ms))

    def _say_refusal(self, refusal: Refusal, *, now_ms: int) -> None:
        device = refusal.device
        refuse = self._command(
            device, "refuse", boot_id=refusal.boot_id, detail=f"another headset is online as {device}"
        )
        if refuse():  # what the road does not take is said at the next tick
            self._refusals.said(refusal, now_ms=now_ms)

    def _take_over(self, rows: Rows, challenge: Challenge, said: list[Say]) -> None:
        now_ms = self._service.clock_ms()
        device = rows.devices.get(challenge.newcomer.device)
        if device is None:
            return
        rows.devices.put(twin.with_presence(device, challenge.newcomer, now_ms=now_ms))
        self._refusals.forget(device.id, boot_id=challenge.newcomer.boot_id)
        self._service.note(rows, kind="took-over", device=device.id, detail=challenge.newcomer.boot_id)
        if challenge.reported is not None:
            self._take_report(rows, rows.devices.known(device.id), challenge.reported, said)

    def _take_report(self, rows: Rows, device: Device, reported: Reported, said: list[Say]) -> None:
        now_ms = self._service.clock_ms()
        rows.devices.put(twin.with_report(device, reported, now_ms=now_ms))
        deployment = reported.deployment
        if deployment is None:
            return
        self._service.advance(rows, rollout.MemberReported(reported=reported, now_ms=now_ms))
        if reported.state in TERMINAL:
            ack = Ack(deployment=deployment, boot_id=reported.boot_id, seq=reported.seq)
            said.append(lambda: self._service.wire.acknowledge(device.id, ack))

    def _command(self, device: str, kind: str, *, boot_id: str, detail: str = "") -> Callable[[], bool]:
        self._commands += 1
        command = Command.model_validate(
            {"command_id": f"{kind}-{self._commands}", "kind": kind, "boot_id": boot_id, "detail": detail}
        )
        return lambda: self._service.wire.command(device, command)


_VERDICTS = {
    twin.Verdict.ACCEPT: Hearing._accept,  # noqa: SLF001  the table belongs to the class
    twin.Verdict.STALE: Hearing._stale,  # noqa: SLF001
    twin.Verdict.CHALLENGE: Hearing._challenge,  # noqa: SLF001
}
