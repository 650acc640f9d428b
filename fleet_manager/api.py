"""The REST interface: thin routes over ``service``, every error as a problem document with its fix.

Routes translate and nothing else. There is no authentication yet: ``main`` binds it to the loopback
interface unless told otherwise.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fleet_manager import views
from fleet_manager.body_limit import BodyLimit, BodyTooLargeError
from fleet_manager.domain import Connectivity
from fleet_manager.errors import (
    ConflictError,
    FleetError,
    NotFoundError,
    RefusedError,
    TooLargeError,
    UnreachableError,
)
from fleet_manager.gateway import Gateway
from fleet_manager.service import FleetService
from fleet_manager.upload import MODELS_PATH, read_package
from schemas.documents import DeploymentSpec

PROBLEM_JSON = "application/problem+json"
PLAIN_BODY_BYTES = 256 * 1024
UPLOAD_BODY_BYTES = 1024 * 1024 * 1024
STATUS: dict[type[FleetError], tuple[int, str]] = {
    NotFoundError: (404, "not found"),
    ConflictError: (409, "conflict"),
    TooLargeError: (413, "too large"),
    RefusedError: (422, "refused"),
    UnreachableError: (503, "not reachable"),
}

DeviceId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
GroupName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
ModelReference = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}(:[A-Za-z0-9][A-Za-z0-9.+_-]{0,31})?$")
]
DeploymentId = Annotated[str, Path(pattern=r"^dep-[0-9]{1,9}$")]
PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"model": views.Problem, "content": {PROBLEM_JSON: {}}, "description": title}
    for status, title in [*STATUS.values(), (400, "not readable")]
}


def create_app(
    service: FleetService, *, gateway: Gateway | None = None, upload_bytes: int = UPLOAD_BODY_BYTES
) -> FastAPI:
    """The application over one office."""
    app = FastAPI(title="Headway fleet manager", version="1", redoc_url=None)
    app.include_router(_routes(service, gateway), prefix="/v1", responses=PROBLEMS)
    app.add_middleware(
        BodyLimit,
        plain_bytes=PLAIN_BODY_BYTES,
        upload_bytes=upload_bytes,
        uploads=frozenset({MODELS_PATH}),
    )
    app.add_exception_handler(FleetError, _fleet_problem)
    app.add_exception_handler(BodyTooLargeError, _body_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(HTTPException, _http_problem)
    return app


def _routes(service: FleetService, gateway: Gateway | None) -> APIRouter:
    router = APIRouter()
    _add_devices(router, service, gateway)
    _add_groups(router, service)
    _add_models(router, service)
    _add_deployments(router, service)

    @router.get("/healthz", tags=["site"])
    def healthz() -> views.HealthView:
        """How the office itself fares."""
        if gateway is None:
            return views.HealthView(epoch=service.epoch)
        counters = gateway.metrics.snapshot()["counters"]
        return views.HealthView(
            epoch=service.epoch,
            road=gateway.state.value,
            workers_online=sum(worker.online for worker in gateway.workers.values()),
            inbox_waiting=len(gateway.inbox),
            counters={name: int(str(value)) for name, value in counters.items()},
        )

    return router


def _add_devices(router: APIRouter, service: FleetService, gateway: Gateway | None) -> None:
    @router.get("/devices", tags=["devices"])
    def list_devices() -> list[views.DeviceView]:
        """Every headset that was ever seen, by id."""
        board = gateway.telemetry if gateway else None
        return [views.device_view(d, board.get(d.id) if board else None) for d in service.devices()]

    @router.get("/devices/{device_id}", tags=["devices"])
    def show_device(device_id: DeviceId) -> views.DeviceDetailView:
        """One headset with its twin and its newest journal entries."""
        reading = gateway.telemetry.get(device_id) if gateway else None
        return views.device_detail_view(service.device(device_id), reading, service.journal(device_id))

    @router.post("/devices/{device_id}/approve", tags=["devices"])
    def approve_device(device_id: DeviceId) -> views.DeviceView:
        """Admit a pending headset; one that is admitted stays so."""
        return views.device_view(service.approve(device_id), None)

    @router.get("/devices/{device_id}/explain", tags=["devices"])
    def explain_device(
        device_id: DeviceId, last: Annotated[int, Query(ge=1, le=1000)] = 10
    ) -> views.ExplainView:
        """The headset's own word on where it computes: its newest decisions, the newest last."""
        if service.device(device_id).connectivity is not Connectivity.ONLINE or gateway is None:
            raise UnreachableError(
                f"{device_id} is offline and cannot be asked",
                fix=f"start it, then see: headway device show {device_id}",
            )
        return views.explain_view(device_id, gateway.questions.explain(device_id), last=last)


def _add_groups(router: APIRouter, service: FleetService) -> None:
    @router.get("/groups", tags=["groups"])
    def list_groups() -> list[views.GroupView]:
        """All groups, by name."""
        return [views.group_view(group) for group in service.groups()]

    @router.post("/groups", status_code=201, tags=["groups"])
    def create_group(body: views.GroupCreate) -> views.GroupView:
        """A new, empty group."""
        return views.group_view(service.create_group(body.name))

    @router.get("/groups/{name}", tags=["groups"])
    def show_group(name: GroupName) -> views.GroupView:
        """One group."""
        return views.group_view(service.group(name))

    @router.delete("/groups/{name}", status_code=204, tags=["groups"])
    def remove_group(name: GroupName) -> None:
        """Delete a group; its headsets keep what they run."""
        service.remove_group(name)

    @router.post("/groups/{name}/members", tags=["groups"])
    def add_member(name: GroupName, body: views.MemberAdd) -> views.GroupView:
        """Put a headset into a group; one that is in it stays in it."""
        return views.group_view(service.add_member(name, body.device))

    @router.delete("/groups/{name}/members/{device_id}", tags=["groups"])
    def remove_member(name: GroupName, device_id: DeviceId) -> views.GroupView:
        """Take a headset out of a group; it keeps what it runs."""
        return views.group_view(service.remove_member(name, device_id))


def _add_models(router: APIRouter, service: FleetService) -> None:
    @router.get("/models", tags=["models"])
    def list_models() -> list[views.ModelView]:
        """All published packages, the newest first."""
        return [views.model_view(model) for model in service.models()]

    @router.get("/models/{reference}", tags=["models"])
    def show_model(reference: ModelReference) -> views.ModelDetailView:
        """The package meant by a name (then the newest), name:version, or digest."""
        return views.model_detail_view(service.model(reference))

    router.add_api_route(
        "/models",
        _publish_route(service),
        methods=["POST"],
        status_code=201,
        response_model=views.ModelView,
        tags=["models"],
        openapi_extra=_UPLOAD_BODY,
    )


_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["manifest"],
                    "properties": {"manifest": {"type": "string", "format": "binary"}},
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            }
        },
    }
}


def _publish_route(service: FleetService) -> Callable[[Request, Response], Awaitable[views.ModelView]]:
    async def publish_model(request: Request, response: Response) -> views.ModelView:
        """Publish a package: the part `manifest` with its bytes, and one part per file named by its sha256.

        The package's digest is the sha256 of the manifest's bytes. Publishing the same package again
        answers 200 and changes nothing.
        """
        model, is_new = await read_package(request, service.publish)
        response.status_code = 201 if is_new else 200
        return views.model_view(model)

    return publish_model


def _add_deployments(router: APIRouter, service: FleetService) -> None:
    @router.get("/deployments", tags=["deployments"])
    def list_deployments(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=1, le=999_999_999)] = None,
    ) -> list[views.DeploymentView]:
        """Deployments, the newest first; `before` is the number of the last one of the page above."""
        return [views.deployment_view(d) for d in service.deployments(limit=limit, before=before)]

    @router.post("/deployments", status_code=201, tags=["deployments"])
    def create_deployment(spec: DeploymentSpec) -> views.DeploymentView:
        """Start a deployment to a group or a headset."""
        return views.deployment_view(service.deploy(spec))

    @router.get("/deployments/{deployment_id}", tags=["deployments"])
    def show_deployment(deployment_id: DeploymentId) -> views.DeploymentView:
        """One deployment with the outcome of each member."""
        return views.deployment_view(service.deployment(deployment_id))


def _problem(status: int, title: str, detail: str, fix: str) -> JSONResponse:
    problem = views.Problem(title=title, status=status, detail=detail, fix=fix)
    return JSONResponse(problem.model_dump(), status_code=status, media_type=PROBLEM_JSON)


def _fleet_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FleetError)
    status, title = STATUS[type(error)]
    return _problem(status, title, error.detail, error.fix)


def _body_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BodyTooLargeError)
    return _problem(413, "too large", error.detail, "send less, or start the manager with a larger limit")


def _validation_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem(
        422, "refused", f"{where}: {first['msg']}", "see /openapi.json for what this request takes"
    )


def _http_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    problem = _problem(
        error.status_code, "refused", str(error.detail), "see /openapi.json for what is served here"
    )
    problem.headers.update(error.headers or {})
    return problem
