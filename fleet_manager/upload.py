"""Shell of an upload: a multipart body, spooled to disk by the server, becomes parts that can be read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request

from fleet_manager.artifacts import READ_BYTES
from fleet_manager.domain import Model
from fleet_manager.errors import RefusedError
from fleet_manager.publication import MAX_FILES
from schemas.documents import MAX_MANIFEST_BYTES

MODELS_PATH = "/v1/models"
MANIFEST_PART = "manifest"

Publish = Callable[[bytes, Mapping[str, Iterable[bytes]]], tuple[Model, bool]]


async def read_package(request: Request, publish: Publish) -> tuple[Model, bool]:
    """Hand the parts of a multipart request to ``publish``, off the event loop.

    Raises:
        RefusedError: not multipart, or the part ``manifest`` is missing.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RefusedError("a package comes as multipart/form-data", fix="use: headway model publish PACKAGE")
    async with request.form(max_files=MAX_FILES + 1, max_fields=1, max_part_size=MAX_MANIFEST_BYTES) as form:
        parts = dict(form.multi_items())
        if len(parts) != len(form.multi_items()):
            raise RefusedError("two parts have the same name", fix="send each file once")
        manifest = parts.pop(MANIFEST_PART, None)
        if manifest is None:
            raise RefusedError("the part 'manifest' is missing", fix="use: headway model publish PACKAGE")
        manifest_bytes = (
            manifest.encode() if isinstance(manifest, str) else await manifest.read(MAX_MANIFEST_BYTES + 1)
        )
        files = {name: _in_parts(part.file) for name, part in parts.items() if isinstance(part, UploadFile)}
        if len(files) != len(parts):
            raise RefusedError("a file came as a plain field", fix="send every file as a file part")
        return await run_in_threadpool(publish, manifest_bytes, files)


def _in_parts(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while part := file.read(READ_BYTES):
        yield part
