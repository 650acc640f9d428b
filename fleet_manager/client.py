"""Client shell of the REST interface: one HTTP connection, problems turned into errors of this room."""

from types import TracebackType
from typing import Any

import httpx

from fleet_manager.errors import ConflictError, FleetError, NotFoundError, RefusedError, UnreachableError

TIMEOUT_S = 10.0
ERRORS: dict[int, type[FleetError]] = {404: NotFoundError, 409: ConflictError, 503: UnreachableError}

Json = Any  # what json.loads gives; its shape is that of ``views``


class ManagerClient:
    """Speaks to one manager."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=timeout_s)

    def __enter__(self) -> "ManagerClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> Json:
        """What ``path`` shows.

        Raises:
            UnreachableError: no manager answers there.
            FleetError: the manager refuses; carries its reason and fix.
        """
        return self._ask("GET", path)

    def post(self, path: str, body: Json = None) -> Json:
        """Ask for something; raises as ``get``."""
        return self._ask("POST", path, body)

    def delete(self, path: str) -> Json:
        """Take something away; raises as ``get``."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, body: Json = None) -> Json:
        try:
            answer = self._http.request(method, f"/v1{path}", json=body)
            content = answer.json() if answer.content else None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnreachableError(
                f"no manager answers at {self._url} ({error})",
                fix="start one: headway manager run, or name it with --manager or HEADWAY_MANAGER",
            ) from error
        except ValueError as error:
            raise UnreachableError(
                f"{self._url} is no Headway manager ({answer.status_code})", fix="check --manager"
            ) from error
        if answer.is_success:
            return content
        problem = content if isinstance(content, dict) else {}
        kind = ERRORS.get(answer.status_code, RefusedError)
        raise kind(
            str(problem.get("detail", f"status {answer.status_code}")),
            fix=str(problem.get("fix", "see the manager's log")),
        )
