"""Core: a worker's birth, will and load as messages.

The same ``session`` number stands in birth and will, so that an offline of an older connection can be told
from one of this. Keeps the number of the present connection, because a resync or a clean leave has to
publish it again, where ``placements`` are read afresh, and whether the worker is leaving: from then on every
word is an offline, also the birth of a connection that comes back meanwhile. Reads no clock: the wall time
comes through ``wall_ms``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broker.road import Message, Will
from cloud_worker.tally import TallySnapshot
from schemas.documents import Load, WorkerPresence, canonical_bytes
from schemas.topics import row, topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this worker is; ``models`` maps a task's word to the hex digest of the model that answers it.

    ``kernels`` maps the hex digest of a model to the fingerprint of what computes it here.
    """

    site: str
    worker: str
    boot_id: bytes  # 16 bytes, new at every start
    software: str
    tasks: tuple[str, ...]
    slots: int = 1
    models: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    kernels: Mapping[str, str] = field(default_factory=dict)
    data_url: str | None = None


class Presence:
    """Births, wills and leaves of one worker."""

    def __init__(
        self,
        identity: Identity,
        *,
        wall_ms: Callable[[], int],
        placements: Callable[[], Mapping[str, tuple[int, ...]]] = dict,
    ) -> None:
        self._identity = identity
        self._placements = placements
        self._wall_ms = wall_ms
        self._session = 0
        self._leaving = False

    @property
    def leaving(self) -> bool:
        """Whether the goodbye was said: nothing may call this worker online any more."""
        return self._leaving

    @property
    def session(self) -> int:
        """Number of the present connection; 0 before the first."""
        return self._session

    def birth(self, session: int) -> tuple[Will, list[Message]]:
        """The will and the first message of a connection; the broker's session calls this before CONNECT."""
        self._session = session
        gone = self._message(online=False)
        return Will(topic=gone.topic, payload=gone.payload), [self._message(online=not self._leaving)]

    def online(self) -> Message:
        """The birth again, for a resync."""
        return self._message(online=True)

    def leave(self) -> Message:
        """What a worker says that leaves on purpose: a clean disconnect sends no will."""
        self._leaving = True
        return self._message(online=False)

    def load(self, tally: TallySnapshot, *, queued: int, running: int) -> Message:
        """How busy the worker is."""
        who = self._identity
        document = Load(
            worker=who.worker,
            boot_id=who.boot_id.hex(),
            queued=queued,
            running=running,
            run_p50_us=tally.run_p50_us,
            run_p99_us=tally.run_p99_us,
            answered=tally.answered,
            refused=sum(tally.refused.values()),
            sent_ms=self._wall_ms(),
        )
        return Message(
            topic=topic("worker-load", site=who.site, worker=who.worker), payload=canonical_bytes(document)
        )

    def _message(self, *, online: bool) -> Message:
        who = self._identity
        document = WorkerPresence(
            worker=who.worker,
            online=online,
            session=self._session,
            boot_id=who.boot_id.hex(),
            software=who.software,
            tasks=who.tasks,
            models=dict(who.models),
            runtimes=dict(who.runtimes),
            kernels=dict(who.kernels),
            placements=dict(self._placements()),
            slots=who.slots,
            data_url=who.data_url,
            sent_ms=self._wall_ms(),
        )
        stream = row("worker-presence")
        return Message(
            topic=topic(stream.name, site=who.site, worker=who.worker),
            payload=canonical_bytes(document),
            qos=stream.qos,
            retain=stream.retain,
        )
