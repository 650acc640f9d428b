"""The demo's operator at a real manager: commands as a person types them, looks over REST."""

import pytest

from headway.cast import Cast
from headway.errors import DemoError
from headway.operations import Operations
from headway.play import deployment_entry


@pytest.fixture(scope="module")
def manager_url(mosquitto_binary, tmp_path_factory):
    with Cast(folder=tmp_path_factory.mktemp("site"), site="demo", mosquitto=mosquitto_binary) as cast:
        cast.start_broker()
        yield cast.start_manager()


@pytest.fixture
def operations(manager_url):
    operator = Operations(manager_url)
    yield operator
    operator.close()


def test_a_command_answers_what_a_look_then_sees(operations):
    operations.command("group", "create", "line-a")
    assert "line-a" in {row["name"] for row in operations.look("/groups")}


def test_a_command_that_fails_carries_what_it_said(operations):
    with pytest.raises(DemoError, match=r"`headway device show nobody` failed: .*nobody"):
        operations.command("device", "show", "nobody")


def test_commands_begun_beside_the_caller_run_one_after_the_other(operations):
    futures = [operations.begin("group", "create", f"line-{letter}") for letter in "bc"]
    for future in futures:
        future.result(timeout=30)
    assert {"line-b", "line-c"} <= {row["name"] for row in operations.look("/groups")}


def test_nobody_is_registered_at_a_new_manager(operations):
    assert operations.registered() == set()


def test_a_look_at_what_is_not_there_is_an_error(operations):
    with pytest.raises(DemoError, match="does not answer /no-such"):
        operations.look("/no-such")


def test_a_manager_that_is_gone_is_an_error():
    operator = Operations("http://127.0.0.1:9")
    with pytest.raises(DemoError, match="does not answer /devices"):
        operator.registered()
    operator.close()


def test_closing_drops_what_has_not_begun(operations, manager_url):
    operator = Operations(manager_url)
    first, *others = [operator.begin("device", "ls") for _ in range(4)]
    operator.close()
    assert first.result() == []
    assert all(future.cancelled() for future in others)


def test_a_deployment_to_an_empty_group_reads_as_an_entry_of_the_report(operations, packages):
    package = packages["lite"]
    operations.command("model", "publish", str(package.directory))
    operations.command("group", "create", "nobody")
    model = f"{package.manifest.name}:{package.manifest.version}"
    begun = operations.command("deploy", "apply", "--group", "nobody", "--model", model)
    entry = deployment_entry(operations.look(f"/deployments/{begun['id']}"))
    assert entry["id"] == begun["id"]
    assert (entry["group"], entry["device"]) == ("nobody", None)
    assert entry["outcome"] == "succeeded"
    assert (entry["devices"], entry["succeeded"], entry["failed"]) == (0, 0, 0)
    assert entry["seconds"] >= 0
    assert entry["reason"] is None
