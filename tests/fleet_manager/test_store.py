"""The database, on SQLite and on PostgreSQL: what is stored comes back, and migrations build the tables."""

from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fleet_scene import Office, ScriptedDevice, make_package, presence
from postgres_server import find_postgres, postgres_server
from sqlalchemy import create_engine, text

from fleet_manager import twin
from fleet_manager.artifacts import ArtifactStore
from fleet_manager.domain import Admission, Connectivity, JournalEntry, Settled
from fleet_manager.errors import StoreError
from fleet_manager.publication import take_in
from fleet_manager.rollout import Member, Tick, start, step
from fleet_manager.store import Store, journal_rows
from fleet_manager.tables import metadata
from schemas.documents import DeploymentSpec, Desired, PackageRef, Reported, SplitConfig
from tests.conftest import missing

PACKAGE = PackageRef(digest="0" * 64, manifest_bytes=10, name="hands", version="1", model_digest="1" * 64)


POSTGRES = find_postgres()


def test_postgresql_is_here_for_every_test_of_the_store_below():
    """Skips once for all of them, which are collected for PostgreSQL only where there is one."""
    if POSTGRES is None:
        missing("no PostgreSQL server is installed: the store's tests run on SQLite alone")


@pytest.fixture(scope="session")
def postgres_url(free_port):
    with postgres_server(POSTGRES, free_port) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fleet.db'}"
        return
    found = request.getfixturevalue("postgres_url")
    yield found
    engine = create_engine(found.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture
def store(url):
    opened = Store.open(url)
    yield opened
    opened.close()


def device(name="hs-1"):
    return twin.newcomer(presence(name), admission=Admission.PENDING, now_ms=1)


def test_migrations_from_empty_build_exactly_the_tables(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_opening_again_changes_nothing_and_the_epoch_outlives_it(store, url):
    with store.begin() as rows:
        epoch = rows.site.epoch(now_ms=5_000)
    again = Store.open(url)
    with again.begin() as rows:
        assert rows.site.epoch(now_ms=9_000) == epoch == 5
    again.close()


def test_sqlite_writes_ahead(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'deep' / 'fleet.db'}")
    with store.begin() as rows:
        assert rows.connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    store.close()


@pytest.mark.parametrize("bad", ["not a url", "oracle://x/y", "postgresql://fleet@127.0.0.1:1/none"])
def test_a_database_that_cannot_be_used_says_what_to_do(bad):
    with pytest.raises(StoreError) as error:
        Store.open(bad)
    assert error.value.fix


def test_a_database_of_a_newer_headway_is_refused_with_the_fix(url):
    store = Store.open(url)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    store.close()
    with pytest.raises(StoreError, match="newer Headway"):
        Store.open(url)


def test_a_folder_that_cannot_be_made_is_refused_with_the_fix(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="absolute/path"):
        Store.open(f"sqlite:///{tmp_path / 'file' / 'fleet.db'}")


def test_a_password_never_stands_in_an_error():
    with pytest.raises(StoreError) as error:
        Store.open("postgresql://fleet:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(error.value)


def test_a_device_comes_back_with_its_twin(store):
    full = replace(
        device(),
        admission=Admission.ADMITTED,
        desired=Desired(device="hs-1", epoch=7, version=3, package=PACKAGE, sent_ms=1),
        settled=Settled(package=PACKAGE, split_config=SplitConfig(policy="local")),
        reported=Reported(device="hs-1", boot_id="a" * 32, detail="ünï\x01", sent_ms=1),
    )
    with store.begin() as rows:
        rows.devices.put(device())
        rows.devices.put(full)
        rows.devices.put(device("hs-2"))
    with store.begin() as rows:
        assert rows.devices.get("hs-1") == full
        assert [d.id for d in rows.devices.all()] == ["hs-1", "hs-2"]
        assert [d.id for d in rows.devices.all(["hs-2", "hs-9"])] == ["hs-2"]
        assert rows.devices.offline_ids() == frozenset()
        rows.devices.forget_connectivity()
        assert rows.devices.get("hs-1").connectivity is Connectivity.UNKNOWN
        assert rows.devices.offline_ids() == {"hs-1", "hs-2"}


def test_groups_hold_members(store):
    with store.begin() as rows:
        rows.devices.put(device())
        rows.groups.add("line-a", now_ms=1)
        rows.groups.add("empty", now_ms=2)
        rows.groups.add_member("line-a", "hs-1")
        assert [(g.name, g.members) for g in rows.groups.all()] == [("empty", ()), ("line-a", ("hs-1",))]
        rows.groups.remove("line-a")
        assert rows.groups.get("line-a") is None
        assert rows.devices.get("hs-1") is not None


def test_models_are_found_by_digest_by_version_and_newest_by_name(store, tmp_path):
    artifacts = ArtifactStore(tmp_path / "artifacts")
    taken = []
    for version in ("10", "9"):
        manifest, files = make_package(version=version)
        parts = {digest: [data] for digest, data in files.items()}
        taken.append(take_in(manifest, parts, artifacts=artifacts, now_ms=1))
        with store.begin() as rows:
            rows.models.add(taken[-1], manifest)
    with store.begin() as rows:
        assert rows.models.known("hands") == taken[1]
        assert rows.models.known("hands:10") == taken[0]
        assert rows.models.known(taken[0].ref.digest) == taken[0]
        assert [m.ref.version for m in rows.models.all()] == ["9", "10"]


def test_deployments_come_back_with_their_results_and_are_found_while_they_run(store):
    spec = DeploymentSpec.model_validate({"target": {"group": "g"}, "model": "hands"})
    members = [Member(device=name, admitted=True, epoch=7, version=1) for name in ("hs-1", "hs-2")]
    with store.begin() as rows:
        assert rows.deployments.next_id() == "dep-1"
        first = start("dep-1", spec=spec, package=PACKAGE, members=members, now_ms=1).deployment
        rows.deployments.add(first)
        second = start("dep-2", spec=spec, package=None, members=members[:1], now_ms=2).deployment
        rows.deployments.add(second)
    with store.begin() as rows:
        assert rows.deployments.next_id() == "dep-3"
        assert rows.deployments.get("dep-1") == first
        assert rows.deployments.newest(limit=5) == (second, first)
        assert rows.deployments.newest(limit=5, before=2) == (first,)
        assert rows.deployments.running() == (first, second)
        ended = step(first, Tick(now_ms=first.deadline_ms)).deployment
        rows.deployments.put(first, ended)
    with store.begin() as rows:
        assert rows.deployments.get("dep-1") == ended
        assert rows.deployments.running() == (second,)
        for absent in ("dep-9", "dep-x", "x", "dep-", "dep-99999999999"):
            assert rows.deployments.get(absent) is None


def test_the_journal_keeps_the_newest_entries(store):
    with store.begin() as rows:
        for n in range(3):
            rows.journal.add(JournalEntry(at_ms=n, device="hs-1", kind="online", detail=""))
        rows.journal.add(JournalEntry(at_ms=9, device="hs-2", kind="online", detail=""))
        assert [e.at_ms for e in rows.journal.of_device("hs-1", limit=2)] == [2, 1]


def test_the_journal_is_bounded(store, monkeypatch):
    monkeypatch.setattr(journal_rows, "KEEP", 300)
    written = 300 + 2 * journal_rows.SWEEP_EVERY
    with store.begin() as rows:
        for n in range(written):
            rows.journal.add(JournalEntry(at_ms=n, device="hs-1", kind="online", detail=""))
        kept = rows.journal.of_device("hs-1", limit=written)
    assert 300 <= len(kept) < 300 + journal_rows.SWEEP_EVERY
    assert kept[0].at_ms == written - 1


def test_a_failed_transaction_leaves_nothing(store):
    def broken():
        with store.begin() as rows:
            rows.devices.put(device())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    with store.begin() as rows:
        assert rows.devices.all() == ()


def test_a_deployment_runs_end_to_end_on_either_database(tmp_path, loopback, url):
    office = Office(tmp_path, loopback, url=url)
    ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    office.publish()
    spec = DeploymentSpec.model_validate({"target": {"device": "hs-1"}, "model": "hands"})
    assert office.ended(office.service.deploy(spec).id).outcome.value == "succeeded"
    office.close()
