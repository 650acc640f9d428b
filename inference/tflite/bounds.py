"""Core: refuse .tflite files that would grow far beyond their size when they are unpacked.

Offsets of a FlatBuffer may lead to the same place any number of times, so a small file can stand for billions of
tables. Every table, vector and text is counted as often as it would be unpacked, before anything is. Refuses more
than one subgraph and totals that no file of the given size needs. What must stay here: the only walk over a
file's tables that trusts nothing.
"""

import inspect
from functools import cache
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from flatbuffers.table import Table

from inference.errors import GraphError

MAX_TABLES = 500_000
_MAX_SHARING = 4  # writers may store equal texts or shapes once; what they share is a fraction of a file
_TABLE_BYTES = 8  # an offset to it and its own offset to its fields are the least that a table takes
_OFFSET_BYTES = 4
# Fields that hold one of several tables: the enumeration that says which.
_UNIONS = {
    "BuiltinOptions": schema.BuiltinOptions,
    "BuiltinOptions2": schema.BuiltinOptions2,
    "Details": schema.QuantizationDetails,
    "ArraySegments": schema.SparseIndexVector,
    "ArrayIndices": schema.SparseIndexVector,
}
_NO_FIELDS = ("AsNumpy", "IsNone", "Length", "HasIdentifier", "Init")


class Bounds:
    """What a file of this size may still unpack to."""

    def __init__(self, content: bytes, /) -> None:
        self._left_bytes = _MAX_SHARING * len(content)
        self._left_tables = MAX_TABLES

    def charge(self, payload_bytes: int, /) -> None:
        """Count bytes that will be read.

        Raises:
            GraphError: more than the file's size allows.
        """
        self._left_bytes -= payload_bytes
        if self._left_bytes < 0:
            msg = "the model file says far more than it stores: it is damaged or hostile, fetch it again"
            raise GraphError(msg)

    def charge_table(self, table: Any, /) -> None:
        """Count a table of the schema with everything below it.

        Raises:
            GraphError: more than the file's size allows, or too many tables.
        """
        self._left_tables -= 1
        if self._left_tables < 0:
            msg = (
                f"the model has more than {MAX_TABLES} operators, tensors and their parts: use a smaller one"
            )
            raise GraphError(msg)
        self.charge(_TABLE_BYTES)
        fields = _fields(type(table).__name__)
        for name in fields.vectors:
            values = getattr(table, f"{name}AsNumpy")()
            self.charge(getattr(values, "nbytes", 0))  # an absent vector is the number 0
        for name in fields.lists:
            count = getattr(table, f"{name}Length")()
            self.charge(_OFFSET_BYTES * count)
            for place in range(count):
                self._charge_value(getattr(table, name)(place))
        for name in fields.singles:
            self._charge_value(_member(table, name))

    def _charge_value(self, value: Any) -> None:
        if isinstance(value, bytes):
            self.charge(_OFFSET_BYTES + len(value))
        elif hasattr(value, "_tab"):
            self.charge_table(value)


def check_bounds(content: bytes, /) -> None:
    """Walk over a file's tables before it is unpacked.

    Raises:
        GraphError: several subgraphs, or more than a file of this size can hold.
    """
    model = schema.Model.GetRootAs(content, 0)
    if (count := model.SubgraphsLength()) > 1:
        raise GraphError(wrong_count(count))
    Bounds(content).charge_table(model)


def wrong_count(count: int, /) -> str:
    """Text of the refusal of any other number of subgraphs than one."""
    return (
        f"the model has {count} subgraphs, only single-graph models are supported: "
        "export it without control flow"
    )


class _Fields:
    """Names of a table's fields by how they are read: number vectors, lists of tables or texts, and the rest."""

    def __init__(self, kind: type[object]) -> None:
        names = [name for name, value in vars(kind).items() if inspect.isfunction(value)]
        public = [name for name in names if name[0].isupper() and not name.endswith(_NO_FIELDS)]
        self.vectors = [name for name in public if f"{name}AsNumpy" in names]
        self.lists = [name for name in public if f"{name}Length" in names and name not in self.vectors]
        self.singles = [name for name in public if f"{name}Length" not in names]


@cache
def _fields(kind: str) -> _Fields:
    return _Fields(getattr(schema, kind))


def _member(table: Any, name: str) -> Any:
    value = getattr(table, name)()
    if not isinstance(value, Table):
        return value
    enumeration = _UNIONS[name]
    chosen = getattr(table, f"{name}Type")()
    kind = next((word for word, number in vars(enumeration).items() if number == chosen), "NONE")
    if kind == "NONE":
        return None  # unknown kinds are not unpacked either
    member = getattr(schema, kind)()
    member.Init(value.Bytes, value.Pos)
    return member
