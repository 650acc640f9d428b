"""Vocabulary of the database: the tables, in the words of ``domain``.

Documents are stored as their canonical JSON text, so that a row reads like the message it came from.
The migrations in ``migrations/versions`` build exactly these tables; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

site = Table(
    "site",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, id 1
    Column("epoch", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("admission", String(16), nullable=False),
    Column("connectivity", String(16), nullable=False),
    Column("presence", Text, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("desired", Text),
    Column("settled_package", Text),
    Column("settled_split_config", Text),
    Column("reported", Text),
)

groups = Table(
    "groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_name", String(64), ForeignKey("groups.name", ondelete="CASCADE"), primary_key=True),
    Column("device_id", String(32), ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
)

models = Table(
    "models",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", String(32), nullable=False),
    Column("manifest", Text, nullable=False),
    Column("manifest_bytes", Integer, nullable=False),
    Column("published_ms", BigInteger, nullable=False),
    Column("published_seq", Integer, nullable=False),  # orders publications within one millisecond
    UniqueConstraint("name", "version"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("seq", Integer, primary_key=True),  # the n of dep-n
    Column("spec", Text, nullable=False),
    Column("package", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("deadline_ms", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False, index=True),
    Column("reason", Text),
    Column("detail", Text, nullable=False),
    Column("finished_ms", BigInteger),
)

results = Table(
    "deployment_results",
    metadata,
    Column("deployment_seq", Integer, ForeignKey("deployments.seq", ondelete="CASCADE"), primary_key=True),
    Column("device_id", String(32), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("state", String(32)),
    Column("reason", String(64)),
    Column("detail", Text, nullable=False),
    Column("progress_bytes", BigInteger, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Index("ix_deployment_results_open", "device_id", "outcome"),
)

journal = Table(
    "journal",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("device_id", String(32), index=True),
    Column("kind", String(64), nullable=False),
    Column("detail", Text, nullable=False),
)
