"""What an operator can ask of the office, and the one place that composes store, rollout and wire.

One lock orders everything: a desired document is published before a newer one of the same device can be
composed, and only after it was stored. Nothing here speaks HTTP, MQTT or SQL.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from fleet_manager import publication, rollout, twin
from fleet_manager.artifacts import ArtifactStore
from fleet_manager.domain import Admission, Deployment, Device, Group, JournalEntry, Model
from fleet_manager.errors import ConflictError, NotFoundError
from fleet_manager.store import Rows, Store
from fleet_manager.wire import SilentWire, Wire
from schemas.documents import DeploymentSpec, Desired, Target
from schemas.states import DeploymentOutcome


class FleetService:
    """The operator's verbs over one site's fleet."""

    def __init__(self, store: Store, *, artifacts: ArtifactStore, clock_ms: Callable[[], int]) -> None:
        self.store = store
        self.artifacts = artifacts
        self.clock_ms = clock_ms
        self.wire: Wire = SilentWire()
        self._lock = threading.RLock()
        self._running: dict[str, Deployment] | None = None  # None: read again from the store
        with store.begin() as rows:
            self.epoch = rows.site.epoch(now_ms=clock_ms())
            rows.devices.forget_connectivity()

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """One ordered transaction over the whole office."""
        with self._lock, self.store.begin() as rows:
            yield rows

    @contextmanager
    def speaking(self) -> Iterator[list[Callable[[], object]]]:
        """Collects what is to be said; it is said in order after the transaction inside was committed."""
        with self._lock:
            said: list[Callable[[], object]] = []
            try:
                yield said
            except BaseException:
                self._running = None  # what was remembered may not have been stored
                raise
            for say in said:
                say()

    # devices

    def devices(self) -> tuple[Device, ...]:
        """Every device that was ever seen."""
        with self.transaction() as rows:
            return rows.devices.all()

    def device(self, device_id: str) -> Device:
        """One device.

        Raises:
            NotFoundError: it was never seen.
        """
        with self.transaction() as rows:
            return rows.devices.known(device_id)

    def journal(self, device_id: str, *, limit: int = 50) -> tuple[JournalEntry, ...]:
        """The newest entries about one device."""
        with self.transaction() as rows:
            return rows.journal.of_device(device_id, limit=limit)

    def approve(self, device_id: str) -> Device:
        """Admit a pending device; one that is admitted stays so.

        Raises:
            NotFoundError: it was never seen.
        """
        with self.transaction() as rows:
            device = rows.devices.known(device_id)
            if device.admission is Admission.ADMITTED:
                return device
            device = replace(device, admission=Admission.ADMITTED)
            rows.devices.put(device)
            self.note(rows, kind="approved", device=device_id)
            return device

    def desired_documents(self) -> tuple[Desired, ...]:
        """What every admitted device was told last."""
        return tuple(
            device.desired
            for device in self.devices()
            if device.desired is not None and device.admission is Admission.ADMITTED
        )

    # groups

    def groups(self) -> tuple[Group, ...]:
        """All groups."""
        with self.transaction() as rows:
            return rows.groups.all()

    def group(self, name: str) -> Group:
        """One group.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self.transaction() as rows:
            return rows.groups.known(name)

    def create_group(self, name: str) -> Group:
        """A new, empty group.

        Raises:
            ConflictError: the name is taken.
        """
        with self.transaction() as rows:
            if rows.groups.get(name) is not None:
                raise ConflictError(f"group {name!r} exists", fix=f"see it with: headway group show {name}")
            rows.groups.add(name, now_ms=self.clock_ms())
            return rows.groups.known(name)

    def remove_group(self, name: str) -> None:
        """Delete a group; its devices keep what they run.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self.transaction() as rows:
            rows.groups.known(name)
            rows.groups.remove(name)

    def add_member(self, name: str, device_id: str) -> Group:
        """Put a device into a group; one that is in it stays in it.

        Raises:
            NotFoundError: no such group or device.
        """
        with self.transaction() as rows:
            rows.devices.known(device_id)
            group = rows.groups.known(name)
            if rows.groups.has_member(name, device_id):
                return group
            rows.groups.add_member(name, device_id)
            return replace(group, members=tuple(sorted((*group.members, device_id))))

    def remove_member(self, name: str, device_id: str) -> Group:
        """Take a device out of a group; it keeps what it runs.

        Raises:
            NotFoundError: no such group, or the device is not in it.
        """
        with self.transaction() as rows:
            if device_id not in rows.groups.known(name).members:
                raise NotFoundError(
                    f"{device_id} is not in group {name!r}", fix=f"see its members: headway group show {name}"
                )
            rows.groups.remove_member(name, device_id)
            return rows.groups.known(name)

    # models

    def models(self) -> tuple[Model, ...]:
        """All published packages, the newest first."""
        with self.transaction() as rows:
            return rows.models.all()

    def model(self, reference: str) -> Model:
        """The package meant by ``name``, ``name:version`` or a digest; a bare name means the newest.

        Raises:
            NotFoundError: nothing published fits.
        """
        with self.transaction() as rows:
            return rows.models.known(reference)

    def publish(self, manifest_bytes: bytes, files: Mapping[str, Iterable[bytes]]) -> tuple[Model, bool]:
        """Take a package in; says whether it is new. The same package again changes nothing.

        Raises:
            RefusedError: the package is damaged or not in shape.
            TooLargeError: above a limit.
            ConflictError: the name and version belong to another package.
        """
        model = publication.take_in(manifest_bytes, files, artifacts=self.artifacts, now_ms=self.clock_ms())
        with self.transaction() as rows:
            known = rows.models.by_name(model.ref.name, model.ref.version)
            if known is None:
                rows.models.add(model, manifest_bytes)
                return model, True
            if known.ref.digest != model.ref.digest:
                raise ConflictError(
                    f"{model.ref.name}:{model.ref.version} is published with another content",
                    fix="publish under a new version: versions never change their content",
                )
            return known, False

    # deployments

    def deployments(self, *, limit: int = 100, before: int | None = None) -> tuple[Deployment, ...]:
        """Deployments, the newest first."""
        with self.transaction() as rows:
            return rows.deployments.newest(limit=limit, before=before)

    def deployment(self, deployment_id: str) -> Deployment:
        """One deployment.

        Raises:
            NotFoundError: there is none of this id.
        """
        with self.transaction() as rows:
            found = rows.deployments.get(deployment_id)
        if found is None:
            raise NotFoundError(f"no deployment {deployment_id!r}", fix="list them: headway deploy ls")
        return found

    def deploy(self, spec: DeploymentSpec) -> Deployment:
        """Start a deployment; running ones of the same devices are superseded there.

        Raises:
            NotFoundError: no such group, device or model.
        """
        with self.speaking() as said:
            now_ms = self.clock_ms()
            with self.transaction() as rows:
                package = rows.models.known(spec.model).ref if spec.model else None
                devices = self._targets(rows, spec.target)
                begun = rollout.start(
                    rows.deployments.next_id(),
                    spec=spec,
                    package=package,
                    members=[self._member(device) for device in devices.values()],
                    now_ms=now_ms,
                )
                orders = [order for order in begun.commands if isinstance(order, rollout.SetDesired)]
                taken = frozenset(order.device for order in orders)
                self.advance(
                    rows, rollout.MembersSuperseded(devices=taken, by=begun.deployment.id, now_ms=now_ms)
                )
                rows.deployments.add(begun.deployment)
                if begun.deployment.outcome is DeploymentOutcome.RUNNING:
                    self._known_running(rows)[begun.deployment.id] = begun.deployment
                said += [self._set_desired(rows, devices[o.device], o, now_ms=now_ms) for o in orders]
            return begun.deployment

    def advance(self, rows: Rows, event: rollout.Event) -> None:
        """Let the running deployments that it concerns hear an event, and store what it changed."""
        running = self._known_running(rows)
        for deployment in rollout.concerned(running, event):
            after = rollout.step(deployment, event).deployment
            rows.deployments.put(deployment, after)
            running[after.id] = after
            if after.outcome is not DeploymentOutcome.RUNNING:
                del running[after.id]

    def next_deadline_ms(self, rows: Rows) -> int | None:
        """When the next running deployment times out, None while none runs."""
        return min((one.deadline_ms for one in self._known_running(rows).values()), default=None)

    def _known_running(self, rows: Rows) -> dict[str, Deployment]:
        """The running deployments, kept in memory: every report of every headset asks for them."""
        if self._running is None:
            self._running = {deployment.id: deployment for deployment in rows.deployments.running()}
        return self._running

    def note(self, rows: Rows, *, kind: str, device: str | None, detail: str = "") -> None:
        """Add a journal entry."""
        entry = JournalEntry(at_ms=self.clock_ms(), device=device, kind=kind, detail=detail)
        rows.journal.add(entry)

    def _targets(self, rows: Rows, target: Target) -> dict[str, Device]:
        if target.device is not None:
            return {target.device: rows.devices.known(target.device)}
        assert target.group is not None  # the document refuses none and both
        members = rows.groups.known(target.group).members
        return {device.id: device for device in rows.devices.all(members)}

    def _member(self, device: Device) -> rollout.Member:
        epoch, version = twin.next_version(device, epoch=self.epoch)
        admitted = device.admission is Admission.ADMITTED
        return rollout.Member(device=device.id, admitted=admitted, epoch=epoch, version=version)

    def _set_desired(
        self, rows: Rows, device: Device, order: rollout.SetDesired, *, now_ms: int
    ) -> Callable[[], None]:
        desired = twin.desired_after(device, order, now_ms=now_ms)
        rows.devices.put(replace(device, desired=desired))
        return lambda: self.wire.desire(desired)
