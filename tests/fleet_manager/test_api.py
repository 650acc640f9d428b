"""The REST interface over the ASGI transport, and against its own OpenAPI."""

import asyncio
import hashlib

import httpx
import pytest
import schemathesis
from fleet_scene import ScriptedDevice, eventually, make_package
from hypothesis import HealthCheck, given, settings
from schemathesis import checks

from fleet_manager import api
from fleet_manager.errors import FleetError, StoreError


class Client:
    """A synchronous face of httpx's ASGI transport."""

    def __init__(self, app) -> None:
        self.app = app

    def __call__(self, method: str, path: str, **more) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, f"/v1{path}", **more)

        return asyncio.run(ask())


@pytest.fixture
def ask(office):
    return Client(api.create_app(office.service, gateway=office.gateway))


def upload(ask, manifest, files, **more):
    parts = {"manifest": ("manifest.json", manifest, "application/json")}
    parts |= {digest: (digest, data, "application/octet-stream") for digest, data in files.items()}
    return ask("POST", "/models", files=parts, **more)


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["fix"]
    return body


def test_the_main_trip_over_rest(office, loopback, ask):
    device = ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    assert [d["connectivity"] for d in ask("GET", "/devices").json()] == ["online"]
    assert ask("POST", "/groups", json={"name": "line-a"}).status_code == 201
    added = ask("POST", "/groups/line-a/members", json={"device": "hs-1"}).json()
    assert added["members"] == ["hs-1"]
    manifest, files = make_package()
    published = upload(ask, manifest, files)
    assert published.status_code == 201
    assert published.json()["digest"] == hashlib.sha256(manifest).hexdigest()
    assert upload(ask, manifest, files).status_code == 200
    assert ask("GET", "/models/hands:1").json()["manifest"]["files"][0]["role"] == "model"
    spec = {"target": {"group": "line-a"}, "model": "hands", "split_config": {"policy": "rtt-threshold"}}
    begun = ask("POST", "/deployments", json=spec)
    assert begun.status_code == 201
    path = f"/deployments/{begun.json()['id']}"
    eventually(lambda: ask("GET", path).json()["outcome"] == "succeeded")
    shown = ask("GET", path).json()
    assert (shown["devices"], shown["succeeded"], shown["failed"], shown["timed_out"]) == (1, 1, 0, 0)
    assert [d["id"] for d in ask("GET", "/deployments").json()] == [shown["id"]]
    detail = ask("GET", "/devices/hs-1").json()
    assert detail["desired"]["deployment"] == shown["id"]
    assert detail["reported"]["state"] == "committed"
    assert device.desired
    health = ask("GET", "/healthz").json()
    assert health["road"] == "ready"
    assert health["counters"]["fleet_chunks_sent"] == 4
    assert ask("DELETE", "/groups/line-a/members/hs-1").json()["members"] == []
    assert ask("DELETE", "/groups/line-a").status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/devices/hs-9", None, 404),
        ("GET", "/devices/HS", None, 422),
        ("POST", "/devices/hs-9/approve", None, 404),
        ("GET", "/groups/none", None, 404),
        ("DELETE", "/groups/none", None, 404),
        ("POST", "/groups", {"name": "Not A Name"}, 422),
        ("POST", "/groups", {"name": "taken"}, 409),
        ("POST", "/groups", {"name": "x", "surprise": 1}, 422),
        ("POST", "/groups/taken/members", {"device": "hs-9"}, 404),
        ("DELETE", "/groups/taken/members/hs-9", None, 404),
        ("GET", "/models/none", None, 404),
        ("GET", "/deployments/dep-9", None, 404),
        ("POST", "/deployments", {"target": {"group": "none"}, "split_config": {}}, 404),
        ("POST", "/deployments", {"target": {"group": "taken"}, "model": "none"}, 404),
        ("POST", "/deployments", {"target": {"group": "taken"}}, 422),
        ("POST", "/deployments", {"target": {}, "split_config": {}}, 422),
        ("POST", "/deployments", {"target": {"group": "taken"}, "split_config": {"polcy": "local"}}, 422),
        ("POST", "/models", None, 422),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/groups", None, 405),
    ],
)
def test_what_is_refused_is_a_problem_with_a_fix(ask, method, path, body, status):
    ask("POST", "/groups", json={"name": "taken"})
    problem(ask(method, path, **({} if body is None else {"json": body})), status)


def test_a_version_never_changes_its_content(ask):
    upload(ask, *make_package())
    body = problem(upload(ask, *make_package(model=b"other" * 100)), 409)
    assert "new version" in body["fix"]


def test_a_damaged_upload_is_refused_and_nothing_is_listed(ask):
    manifest, files = make_package()
    digest = next(iter(files))
    assert "damaged" in problem(upload(ask, manifest, {digest: files[digest][:-1] + b"?"}), 422)["fix"]
    problem(upload(ask, manifest, {}), 422)
    problem(upload(ask, manifest, {**files, "../../etc/passwd": b"x"}), 422)
    problem(ask("POST", "/models", files={digest: files[digest]}), 422)
    assert ask("GET", "/models").json() == []


def test_a_body_above_the_limit_is_refused(office, ask):
    problem(ask("POST", "/groups", json={"name": "x" * api.PLAIN_BODY_BYTES}), 413)
    small = Client(api.create_app(office.service, upload_bytes=10_000))
    problem(upload(small, *make_package()), 413)


def test_every_error_of_the_room_that_can_reach_a_client_has_a_status():
    assert set(FleetError.__subclasses__()) - {StoreError} == set(api.STATUS)


def test_the_interface_keeps_to_its_openapi(office, loopback):
    ScriptedDevice(loopback, "hs-1")
    office.seen("hs-1")
    office.service.create_group("line-a")
    office.publish()
    app = api.create_app(office.service, gateway=office.gateway)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    wanted = [
        checks.CHECKS.get_one("not_a_server_error"),
        checks.CHECKS.get_one("status_code_conformance"),
        checks.CHECKS.get_one("content_type_conformance"),
        checks.CHECKS.get_one("response_schema_conformance"),
    ]
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        strategy = operation.as_strategy()

        @settings(
            max_examples=5,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def one(case):
            case.call_and_validate(checks=wanted)

        one()
        tried += 1
    assert tried >= 15
