"""Rows of what happened. Bounded: the newest entries stay, the oldest go."""

from sqlalchemy import Connection, delete, insert, select

from fleet_manager.domain import JournalEntry
from fleet_manager.tables import journal

KEEP = 10_000
SWEEP_EVERY = 256


class JournalRows:
    """Read and write journal entries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entry: JournalEntry) -> None:
        """Note an entry; now and then the oldest beyond ``KEEP`` are dropped."""
        added = self._connection.execute(
            insert(journal).values(
                at_ms=entry.at_ms, device_id=entry.device, kind=entry.kind, detail=entry.detail
            )
        )
        key = added.inserted_primary_key
        if key is not None and key[0] % SWEEP_EVERY == 0:
            self._connection.execute(delete(journal).where(journal.c.seq <= key[0] - KEEP))

    def of_device(self, device_id: str, *, limit: int) -> tuple[JournalEntry, ...]:
        """A device's newest entries, the newest first."""
        query = (
            select(journal)
            .where(journal.c.device_id == device_id)
            .order_by(journal.c.seq.desc())
            .limit(limit)
        )
        return tuple(
            JournalEntry(at_ms=row.at_ms, device=row.device_id, kind=row.kind, detail=row.detail)
            for row in self._connection.execute(query)
        )
