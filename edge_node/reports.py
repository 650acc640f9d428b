"""Core: what a headset tells of its updates, and which report still waits for its receipt.

Numbers every report of this boot. Only the newest report matters: the manager ignores older ones.
"""

from collections.abc import Callable

from edge_node.model_store import Pointer
from edge_node.update import Attempt
from schemas.documents import Ack, Reported
from schemas.states import TERMINAL


class Reports:
    """The reports of one boot. ``send`` publishes one, ``wall_ms`` is unix time."""

    def __init__(
        self, *, device: str, boot_id: bytes, send: Callable[[Reported], None], wall_ms: Callable[[], int]
    ) -> None:
        self._device = device
        self._boot_id = boot_id
        self._send = send
        self._wall_ms = wall_ms
        self._seq = 0
        self._unacked: Reported | None = None

    @property
    def waits(self) -> bool:
        """Whether a terminal report was not acknowledged yet."""
        return self._unacked is not None

    def say(self, attempt: Attempt, *, pointer: Pointer, model: str, progress: tuple[int, int]) -> None:
        """Report an attempt; ``progress`` is (bytes here, bytes in all)."""
        self._seq += 1
        epoch, version = attempt.at
        reported = Reported(
            device=self._device,
            boot_id=self._boot_id.hex(),
            epoch=epoch,
            version=version,
            deployment=attempt.desired.deployment if attempt.desired else None,
            attempt=attempt.number,
            seq=self._seq,
            state=attempt.state,
            reason=attempt.reason,
            detail=attempt.detail,
            progress_bytes=progress[0],
            total_bytes=progress[1],
            active=pointer.active.package,
            previous=pointer.previous.package,
            model=model,
            split_config=pointer.active.split_config,
            sent_ms=self._wall_ms(),
        )
        is_awaited = attempt.state in TERMINAL and reported.deployment is not None
        self._unacked = reported if is_awaited else None
        self._send(reported)

    def again(self) -> None:
        """Send what was not acknowledged once more."""
        if self._unacked is not None:
            self._send(self._unacked)

    def on_ack(self, ack: Ack) -> None:
        """The manager has stored a report."""
        waiting = self._unacked
        if waiting is not None and (ack.deployment, ack.seq) == (waiting.deployment, waiting.seq):
            self._unacked = None
