"""ASGI shell that ends a request whose body is larger than stated, whether or not it says so itself."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyTooLargeError(HTTPException):
    """The body grew above the limit while it was read.

    An HTTP exception, because the framework turns every other one that comes out of a body into a 400.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(413, f"the body is above {limit_bytes} bytes")


class BodyLimit:
    """Counts the bytes of every request body; ``uploads`` are the paths with the larger limit."""

    def __init__(self, app: ASGIApp, *, plain_bytes: int, upload_bytes: int, uploads: frozenset[str]) -> None:
        self._app = app
        self._plain_bytes = plain_bytes
        self._upload_bytes = upload_bytes
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._upload_bytes if scope["path"] in self._uploads else self._plain_bytes
        seen_bytes = 0

        async def counted() -> Message:
            nonlocal seen_bytes
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > limit_bytes:
                raise BodyTooLargeError(limit_bytes)
            return message

        await self._app(scope, counted, send)
