"""Shell of the database: opens it, brings it up to date, and lends transactions.

SQLite (with a write-ahead log) by default, PostgreSQL by URL. Every transaction of SQLite begins
immediately, so that two writers wait for each other instead of failing half-way.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from fleet_manager.errors import StoreError
from fleet_manager.store.deployment_rows import DeploymentRows
from fleet_manager.store.device_rows import DeviceRows
from fleet_manager.store.group_rows import GroupRows
from fleet_manager.store.journal_rows import JournalRows
from fleet_manager.store.model_rows import ModelRows
from fleet_manager.store.site_rows import SiteRows

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
LOCK_WAIT_MS = 5000
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows within one transaction."""

    connection: Connection

    @property
    def site(self) -> SiteRows:
        """The site's own row."""
        return SiteRows(self.connection)

    @property
    def devices(self) -> DeviceRows:
        """Devices and their twins."""
        return DeviceRows(self.connection)

    @property
    def groups(self) -> GroupRows:
        """Groups and memberships."""
        return GroupRows(self.connection)

    @property
    def models(self) -> ModelRows:
        """Published packages."""
        return ModelRows(self.connection)

    @property
    def deployments(self) -> DeploymentRows:
        """Deployments and their results."""
        return DeploymentRows(self.connection)

    @property
    def journal(self) -> JournalRows:
        """What happened, bounded."""
        return JournalRows(self.connection)


class Store:
    """One open database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open ``url`` and bring its tables up to date.

        Raises:
            StoreError: not a database URL, no driver, not reachable, its folder cannot be made, or its tables
                are from a newer Headway.
        """
        try:
            with ExitStack() as undo:
                engine = _engine(url)
                undo.callback(engine.dispose)
                with engine.begin() as connection:
                    upgrade(connection)
                undo.pop_all()
        except CommandError as error:
            raise StoreError(
                f"database {_shown(url)} holds tables that this Headway does not know: {error}",
                fix="install the newer Headway that wrote it, or give another database",
            ) from error
        except (SQLAlchemyError, ArgumentError, ModuleNotFoundError, OSError) as error:
            raise StoreError(f"database {_shown(url)} cannot be used: {error}", fix=_fix(url)) from error
        return cls(engine)

    @contextmanager
    def begin(self) -> Iterator[Rows]:
        """One transaction: committed at the end, rolled back on any error."""
        with self.engine.begin() as connection:
            yield Rows(connection)

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def upgrade(connection: Connection) -> None:
    """Run every migration that this database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    parsed = parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _configure_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3: we begin transactions ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",  # power loss may take the last transactions; the resync at start heals them
        "foreign_keys=ON",
        f"busy_timeout={LOCK_WAIT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _shown(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a URL)"


def _fix(url: str) -> str:
    if url.startswith(("postgres://", "postgresql")):
        return "check that the server runs and that psycopg is installed: pip install 'psycopg[binary]'"
    return "give sqlite:////absolute/path/fleet.db or postgresql://user:password@host/database"
