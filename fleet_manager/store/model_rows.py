"""Rows of published packages."""

from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select

from fleet_manager.domain import Model
from fleet_manager.errors import NotFoundError
from fleet_manager.tables import models
from schemas.documents import ModelManifest, PackageRef


class ModelRows:
    """Read and write published packages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> tuple[Model, ...]:
        """All packages, the newest publication first."""
        return tuple(_model(row) for row in self._connection.execute(_newest_first()))

    def known(self, reference: str) -> Model:
        """The package meant by ``name`` (then the newest), ``name:version`` or a digest.

        Raises:
            NotFoundError: nothing published fits.
        """
        name, _, version = reference.partition(":")
        found = self.by_digest(reference) or self.by_name(name, version or None)
        if found is None:
            raise NotFoundError(
                f"no model {reference!r} is published", fix="publish it: headway model publish PACKAGE"
            )
        return found

    def by_digest(self, digest: str) -> Model | None:
        """The package with this digest."""
        return self._first(_newest_first().where(models.c.digest == digest))

    def by_name(self, name: str, version: str | None = None) -> Model | None:
        """The package of this name and version; without a version the one published last."""
        query = _newest_first().where(models.c.name == name)
        return self._first(query if version is None else query.where(models.c.version == version))

    def add(self, model: Model, manifest_bytes: bytes) -> None:
        """Store a new package; ``manifest_bytes`` are what its digest was taken of."""
        newest = self._connection.execute(select(func.max(models.c.published_seq))).scalar() or 0
        self._connection.execute(
            insert(models).values(
                digest=model.ref.digest,
                name=model.ref.name,
                version=model.ref.version,
                manifest=manifest_bytes.decode(),
                manifest_bytes=len(manifest_bytes),
                published_ms=model.published_ms,
                published_seq=newest + 1,
            )
        )

    def _first(self, query: Select[Any]) -> Model | None:
        row = self._connection.execute(query.limit(1)).first()
        return None if row is None else _model(row)


def _newest_first() -> Select[Any]:
    return select(models).order_by(models.c.published_seq.desc())


def _model(row: Row[Any]) -> Model:
    manifest = ModelManifest.model_validate_json(row.manifest)
    return Model(
        ref=PackageRef(
            digest=row.digest,
            manifest_bytes=row.manifest_bytes,
            name=row.name,
            version=row.version,
            model_digest=manifest.model_digest,
        ),
        manifest=manifest,
        published_ms=row.published_ms,
    )
