"""Where a .tflite file keeps the numbers that say how the rest is to be read. Core.

Walks a good file by the layout of its tables; each site is a place whose bytes a mutant may change alone.
"""

import struct
from dataclasses import dataclass

_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")

# Table -> field number: its kind. `[x]` is a vector of x, `@T` a table T, `=n` an inline number of n bytes.
_TABLES: dict[str, dict[int, tuple[str, str]]] = {
    "Model": {
        0: ("version", "=4"),
        1: ("codes", "[@Code]"),
        2: ("graphs", "[@Graph]"),
        4: ("buffers", "[@Buffer]"),
        6: ("metadata", "[@Metadata]"),
        7: ("signatures", "[@Signature]"),
    },
    "Code": {0: ("opcode", "=1"), 1: ("name", "[1]"), 2: ("version", "=4"), 3: ("opcode", "=4")},
    "Graph": {
        0: ("tensors", "[@Tensor]"),
        1: ("index", "[4]"),
        2: ("index", "[4]"),
        3: ("operators", "[@Operator]"),
        4: ("name", "[1]"),
    },
    "Tensor": {
        0: ("shape", "[4]"),
        1: ("type", "=1"),
        2: ("buffer", "=4"),
        3: ("name", "[1]"),
        4: ("quantisation", "@Quantisation"),
        5: ("variable", "=1"),
        6: ("sparsity", "@Sparsity"),
        7: ("shape", "[4]"),
    },
    "Quantisation": {2: ("scale", "[4]"), 3: ("zero point", "[8]"), 6: ("axis", "=4")},
    "Operator": {
        0: ("opcode", "=4"),
        1: ("index", "[4]"),
        2: ("index", "[4]"),
        3: ("options", "=1"),
        4: ("options", "@Options"),
        5: ("options", "[1]"),
        8: ("index", "[4]"),
    },
    "Options": {},  # one table a kind of operator: its inline bytes are taken as they are
    "Buffer": {0: ("data", "[1]"), 1: ("outside", "=8"), 2: ("outside", "=8")},
    "Metadata": {0: ("name", "[1]"), 1: ("buffer", "=4")},
    "Signature": {0: ("maps", "[@Map]"), 1: ("maps", "[@Map]"), 2: ("name", "[1]"), 4: ("index", "=4")},
    "Map": {0: ("name", "[1]"), 1: ("index", "=4")},
    "Sparsity": {0: ("sparsity", "[4]"), 1: ("sparsity", "[4]"), 2: ("sparsity", "[@Level]")},
    "Level": {
        0: ("sparsity", "=1"),
        1: ("sparsity", "=4"),
        2: ("sparsity", "=1"),
        3: ("sparsity", "@Indices"),
        4: ("sparsity", "=1"),
        5: ("sparsity", "@Indices"),
    },
    "Indices": {0: ("sparsity", "[1]")},
}
_NUMBERS = frozenset(
    ("index", "shape", "scale", "zero point", "sparsity", "name")
)  # whose items are sites too
_MOST_ITEMS = 64  # of one vector


@dataclass(frozen=True, slots=True)
class Site:
    """``size`` bytes at ``at``; ``kind`` says what they mean."""

    kind: str
    at: int
    size: int


def tflite_sites(data: bytes, /) -> tuple[Site, ...]:
    """Every site of a good file, in no order that matters."""
    sites = [Site("offset", 0, 4)]
    _table(sites, data, _U32.unpack_from(data, 0)[0], "Model")
    return tuple(sites)


def _table(sites: list[Site], data: bytes, at: int, name: str) -> None:
    vtable = at - _I32.unpack_from(data, at)[0]
    sites += [Site("vtable", at, 4), Site("vtable", vtable, 2), Site("vtable", vtable + 2, 2)]
    size, inline = _U16.unpack_from(data, vtable)[0], _U16.unpack_from(data, vtable + 2)[0]
    if name == "Options":
        sites += [Site("options", place, 1) for place in range(at + 4, at + inline)]
    for number, (kind, form) in _TABLES[name].items():
        slot = 4 + 2 * number
        if slot + 2 > size or not (entry := _U16.unpack_from(data, vtable + slot)[0]):
            continue
        sites.append(Site("vtable", vtable + slot, 2))
        _field(sites, data, at + entry, kind=kind, form=form)


def _field(sites: list[Site], data: bytes, place: int, *, kind: str, form: str) -> None:
    if form.startswith("="):
        sites.append(Site(kind, place, int(form[1:])))
        return
    sites.append(Site("offset", place, 4))
    target = place + _U32.unpack_from(data, place)[0]
    if form.startswith("@"):
        _table(sites, data, target, form[1:])
        return
    sites.append(Site("length", target, 4))
    count, item = _U32.unpack_from(data, target)[0], form[1:-1]
    size = 4 if item.startswith("@") else int(item)
    for number in range(min(count, 1 << 14)):
        at = target + 4 + number * size
        if item.startswith("@"):
            sites.append(Site("offset", at, 4))
            _table(sites, data, at + _U32.unpack_from(data, at)[0], item[1:])
        elif kind in _NUMBERS and number < _MOST_ITEMS:
            sites.append(Site(kind, at, size))
