"""Rows of the site: the epoch, which outlives restarts."""

from sqlalchemy import Connection, insert, select

from fleet_manager.tables import site

ONLY = 1


class SiteRows:
    """The one row of the site."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def epoch(self, *, now_ms: int) -> int:
        """The epoch of this database.

        The first call fixes it to the current second, so that an office that lost its database desires
        something newer than everything it desired before.
        """
        known = self._connection.execute(select(site.c.epoch).where(site.c.id == ONLY)).scalar()
        if known is not None:
            return int(known)
        epoch = now_ms // 1000
        self._connection.execute(insert(site).values(id=ONLY, epoch=epoch, created_ms=now_ms))
        return epoch
