"""Shell: the thread that brings the headset to the release it is told to run.

Walks an attempt through the states of ``schemas.states``: one action per state, each of which can be begun
again after a crash, because the state is journalled before its effect. Whatever goes wrong, the frame loop
keeps the engine it has. Reports go out at each transition; a terminal one is sent again until it is acked.
"""

import threading
from collections.abc import Callable

import structlog

from edge_node.errors import EdgeError, StoreError, UpdateError
from edge_node.fetch import Chunk, Fetcher, FetchPorts
from edge_node.journal import Journal
from edge_node.model_store import ModelStore
from edge_node.reports import Reports
from edge_node.thread_priority import make_thread_nice
from edge_node.trial import run_trial
from edge_node.update import Attempt, begun_again, differs, is_newer, moved, offered
from edge_node.update_inbox import UpdateInbox
from edge_node.update_ports import Here, Next, UpdaterPorts
from schemas.documents import Ack, Desired
from schemas.states import TERMINAL, FailureReason, UpdateEvent, UpdateState

_log = structlog.get_logger("edge_node.updater")

NICENESS = 5
NS_PER_S = 1_000_000_000
RESEND_S = 2.0
PROGRESS_EVERY_NS = 500_000_000
S, E = UpdateState, UpdateEvent


class _SupersededError(EdgeError):
    """A newer desired came while an attempt was under way."""


class _StoppedError(EdgeError):
    """The process ends; the attempt goes on when it starts again."""


class Updater:
    """One headset's updates, one attempt at a time."""

    def __init__(
        self,
        *,
        store: ModelStore,
        journal: Journal[Attempt],
        here: Here,
        reports: Reports,
        ports: UpdaterPorts,
        runtime: str,
    ) -> None:
        self._store = store
        self._journal = journal
        self._here = here
        self._reports = reports
        self._ports = ports
        self._runtime = runtime
        self.inbox = UpdateInbox()
        self._attempt = journal.read() or Attempt()
        self._begun = False
        self._failed = False  # the last turn
        self._newer: Desired | None = None
        self._progress = (0, 0)
        self._progress_ns = 0
        self._stopping = False
        self._said_ns = 0
        self._thread = threading.Thread(target=self._run, name="updater", daemon=True)

    def start(self) -> None:
        """Begin; an attempt that the last process left goes on."""
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """End the thread; what is under way goes on at the next start."""
        self._stopping = True
        self.inbox.wake()
        self._thread.join(timeout_s)

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        make_thread_nice(NICENESS)
        self._survive(self._begin)
        while not self._stopping:
            # a wish that waits already is taken up at once, but a full disk is not asked again at once
            hurry = self._newer is not None and not self._failed
            self._hear(timeout_s=0 if hurry else RESEND_S)
            self._survive(self._next_attempt)

    def _survive(self, turn: Callable[[], None]) -> None:
        """One turn; whatever fails in it, the thread lives to hear the next wish and to try again."""
        self._failed = True
        try:
            turn()
            self._failed = False
        except (StoreError, OSError) as error:
            _log.error("an update waits for its disk", state=self._attempt.state.value, error=str(error))
        except Exception:  # noqa: BLE001 - an update that fails must not take the next one with it; it is logged
            _log.exception("an update stands still", state=self._attempt.state.value)

    def _begin(self) -> None:
        """Take up the attempt that the last process left."""
        self._keep(begun_again(self._attempt))
        self._begun = True
        self._walk()

    def _next_attempt(self) -> None:
        """Go on with what a full disk held up, take up a newer wish, or repeat an unacknowledged report."""
        if not self._begun:
            self._begin()
        if not self._attempt.is_over:
            self._walk()
        if self._stopping:
            return
        if self._newer is not None:
            self._keep(offered(self._newer, self._attempt, before=self._store.pointer.active))
            self._newer = None
            self._walk()
        elif self._ports.clock_ns() - self._said_ns >= RESEND_S * NS_PER_S:
            self._said_ns = self._ports.clock_ns()
            self._reports.again()

    def _walk(self) -> None:
        """Carry the attempt as far as it goes."""
        while not self._attempt.is_over and not self._stopping:
            try:
                result = self._act()
            except _StoppedError:
                return
            self._keep(moved(self._attempt, result.event, reason=result.reason, detail=result.detail))
        if self._attempt.state in TERMINAL:
            self._store.prune()  # what was refused or replaced goes

    def _act(self) -> Next:
        """Do what the state asks for; whatever fails becomes an event."""
        try:
            return ACTIONS[self._attempt.state](self)
        except _StoppedError:
            raise
        except _SupersededError:
            return Next(event=E.SUPERSEDE, detail="a newer desired came")
        except UpdateError as error:
            return Next(event=self._failing, reason=error.reason, detail=error.detail)
        except Exception as error:  # noqa: BLE001 - no failure of an update may reach the frames; it is logged
            _log.exception("an update failed in a way nobody foresaw", state=self._attempt.state.value)
            return Next(event=self._failing, reason=FailureReason.INTERNAL, detail=str(error) or repr(error))

    @property
    def _failing(self) -> UpdateEvent:
        return E.RESTORE_FAILED if self._attempt.state is S.ROLLING_BACK else E.FAIL

    def _keep(self, attempt: Attempt) -> None:
        """Journal, then tell."""
        self._journal.write(attempt)
        self._attempt = attempt
        self._progress = (0, 0) if attempt.state is S.OFFERED else self._progress
        self._ports.note(attempt)
        self._report()

    def _report(self) -> None:
        self._said_ns = self._ports.clock_ns()
        self._reports.say(
            self._attempt,
            pointer=self._store.pointer,
            model=self._here.model(),
            progress=self._progress,
        )

    # -- what comes in -----------------------------------------------------------------------------

    def _hear(self, *, timeout_s: float) -> Chunk | None:
        """Wait for one thing; chunks are returned, the rest is noted."""
        item = self.inbox.get(timeout_s=timeout_s)
        if isinstance(item, Desired):
            waits = self._newer is None or (item.epoch, item.version) > (
                self._newer.epoch,
                self._newer.version,
            )
            if waits and is_newer(item, self._attempt):
                self._newer = item
        elif isinstance(item, Ack):
            self._reports.on_ack(item)
        return item if isinstance(item, Chunk) else None

    def _check(self) -> None:
        """End an action that waits, when something more important came."""
        if self._stopping:
            raise _StoppedError
        if self._newer is not None:
            raise _SupersededError

    def _next_chunk(self, timeout_s: float) -> Chunk | None:
        chunk = self._hear(timeout_s=timeout_s)
        self._check()
        return chunk

    def _pause(self, seconds: float) -> None:
        """Wait where a newer desired may end the attempt."""
        self._hear(timeout_s=seconds)
        self._check()

    def _pause_committed(self, seconds: float) -> None:
        """Wait where only the end of the process may."""
        self._hear(timeout_s=seconds)
        if self._stopping:
            raise _StoppedError

    # -- one action per state ----------------------------------------------------------------------

    def _offered(self) -> Next:
        return self._lease_over() or Next(event=E.ACCEPT)

    def _staging(self) -> Next:
        package = self._attempt.target.package
        if package is not None and differs(self._attempt.target, self._store.pointer.active):
            ports = FetchPorts(
                ask=self._ports.ask,
                next_chunk=self._next_chunk,
                progress=self._note_progress,
                clock_ns=self._ports.clock_ns,
            )
            Fetcher(self._store, ports=ports, task="hands", runtime=self._runtime).fetch(package)
        return Next(event=E.FETCHED)

    def _staged(self) -> Next:
        return Next(event=E.QUALIFY)

    def _qualifying(self) -> Next:
        package = self._attempt.target.package
        if package is None or not differs(self._attempt.target, self._store.pointer.active):
            return Next(event=E.PASSED, detail="the package is the active one")
        detail = run_trial(self._store.path(package.digest), runtime=self._runtime, pause=self._pause)
        return Next(event=E.PASSED, detail=detail)

    def _qualified(self) -> Next:
        return Next(event=E.WAIT)

    def _waiting(self) -> Next:
        # between two frames is always a safe moment for a model of this kind
        self._pause(0.001)
        return self._lease_over() or Next(event=E.SWITCH)

    def _switching(self) -> Next:
        target = self._attempt.target
        self._store.activate(target)
        self._here.install(target, self._pause_committed)
        return Next(event=E.SWITCHED)

    def _probation(self) -> Next:
        self._here.prove(self._pause_committed)
        return Next(event=E.COMMIT)

    def _rolling_back(self) -> Next:
        self._store.restore(self._attempt.before)
        self._here.install(self._attempt.before, self._pause_committed)
        return Next(event=E.RESTORED)

    def _lease_over(self) -> Next | None:
        desired = self._attempt.desired
        lease_ms = desired.start_before_ms if desired else None
        if lease_ms is None or self._ports.wall_ms() <= lease_ms:
            return None
        return Next(event=E.EXPIRE, reason=FailureReason.LEASE_EXPIRED, detail="it was not begun in time")

    def _note_progress(self, done: int, total: int) -> None:
        self._progress = (done, total)
        now_ns = self._ports.clock_ns()
        if now_ns - self._progress_ns >= PROGRESS_EVERY_NS:
            self._progress_ns = now_ns
            self._report()


ACTIONS: dict[UpdateState, Callable[[Updater], Next]] = {
    S.OFFERED: Updater._offered,  # noqa: SLF001 - the table belongs to the class
    S.STAGING: Updater._staging,  # noqa: SLF001
    S.STAGED: Updater._staged,  # noqa: SLF001
    S.QUALIFYING: Updater._qualifying,  # noqa: SLF001
    S.QUALIFIED: Updater._qualified,  # noqa: SLF001
    S.WAITING: Updater._waiting,  # noqa: SLF001
    S.SWITCHING: Updater._switching,  # noqa: SLF001
    S.PROBATION: Updater._probation,  # noqa: SLF001
    S.ROLLING_BACK: Updater._rolling_back,  # noqa: SLF001
}
