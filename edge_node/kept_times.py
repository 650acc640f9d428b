"""Pure core: what is known of runs over a restart, as a document, for the newest few engines of one device class.

The 99.9th percentile needs thousands of runs; a headset that begins anew after every start would hedge too early for
minutes. Only whole runs are kept: heads and tails belong to a placement that may be another one then. Bounded; another
device class begins with nothing.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge_node.device_class import Thermal
from edge_node.estimates.local_times import MOST_BUCKET, Generation, RunRow
from edge_node.jobs import Engine

MOST_ENGINES = 4
MOST_ROWS = 32
MOST_NS = 600_000_000_000

Bucket = Annotated[int, Field(ge=0, le=MOST_BUCKET)]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KeptGeneration(_Kept):
    """Runs by bucket, and the longest of them."""

    counts: dict[Bucket, Annotated[int, Field(ge=1, le=100_000)]]
    longest_ns: Annotated[int, Field(ge=0, le=MOST_NS)]


class KeptRow(_Kept):
    """Runs of one kind while the chip was so hot; of all, or of those during which frames left."""

    kind: Annotated[str, Field(max_length=32)]
    thermal: Thermal
    encoding: bool
    younger: KeptGeneration
    elder: KeptGeneration


class KeptEngine(_Kept):
    """Of one model (hex digest) and what computes it here."""

    model: Annotated[str, Field(max_length=64)]
    kernel: Annotated[str, Field(max_length=64)]
    rows: Annotated[tuple[KeptRow, ...], Field(max_length=MOST_ROWS)]


class KeptTimes(_Kept):
    """The document. The newest engine comes last."""

    device_class: str
    engines: Annotated[tuple[KeptEngine, ...], Field(max_length=MOST_ENGINES)] = ()


class RunBook:
    """Rows by engine, of one device class. ``kept`` of another class is left aside."""

    def __init__(self, device_class: str, kept: KeptTimes | None = None) -> None:
        self._device_class = device_class
        self._engines: dict[tuple[str, str], KeptEngine] = {}
        if kept is not None and kept.device_class == device_class:
            self._engines = {(engine.model, engine.kernel): engine for engine in kept.engines}

    def rows(self, engine: Engine) -> list[RunRow]:
        """What is known of this engine; nothing for a new one."""
        known = self._engines.get((engine.digest, engine.kernel))
        return [] if known is None else [_read(row) for row in known.rows]

    def keep(self, engine: Engine, rows: Sequence[RunRow]) -> None:
        """Remember what is known of an engine now; the one that was kept longest ago gives way."""
        if not rows:
            return
        key = (engine.digest, engine.kernel)
        self._engines.pop(key, None)
        self._engines[key] = KeptEngine(
            model=key[0], kernel=key[1], rows=tuple(_written(row) for row in rows)
        )
        while len(self._engines) > MOST_ENGINES:
            del self._engines[next(iter(self._engines))]

    def document(self) -> KeptTimes:
        """Everything, to be written down."""
        return KeptTimes(device_class=self._device_class, engines=tuple(self._engines.values()))


def _read(row: KeptRow) -> RunRow:
    younger, elder = (
        Generation(counts=dict(kept.counts), longest_ns=kept.longest_ns) for kept in (row.younger, row.elder)
    )
    return RunRow(kind=row.kind, thermal=row.thermal, encoding=row.encoding, younger=younger, elder=elder)


def _written(row: RunRow) -> KeptRow:
    younger, elder = (
        KeptGeneration(counts=dict(known.counts), longest_ns=known.longest_ns)
        for known in (row.younger, row.elder)
    )
    return KeptRow(kind=row.kind, thermal=row.thermal, encoding=row.encoding, younger=younger, elder=elder)
