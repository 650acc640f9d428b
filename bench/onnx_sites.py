"""Where an .onnx file keeps its keys, lengths and numbers. Core.

Walks the protobuf of a good file by the fields that hold further messages. Sites of variable length keep it: a
mutant writes as many bytes as stood there, so that everything behind stays where it was.
"""

from bench.tflite_sites import Site

# Message -> field number: the message inside, or what a number there means.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {1: "version", 7: "graph", 8: "opset"},
    "opset": {2: "version"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value"},
    "node": {5: "attribute"},
    "attribute": {3: "option", 5: "tensor", 8: "option", 20: "option"},
    "tensor": {1: "shape", 2: "type"},
    "value": {2: "kind"},
    "kind": {1: "tensor kind"},
    "tensor kind": {1: "type", 2: "sizes"},
    "sizes": {1: "size"},
    "size": {1: "shape"},
}
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5
_MOST_TEXT = 32  # bytes of one name


def onnx_sites(data: bytes, /) -> tuple[Site, ...]:
    """Every site of a good file."""
    sites: list[Site] = []
    _message(sites, data, 0, len(data), "model")
    return tuple(sites)


def _message(sites: list[Site], data: bytes, at: int, end: int, name: str) -> None:
    while at < end:
        key, size = varint(data, at)
        sites.append(Site("key", at, size))
        at += size
        inside = _MESSAGES[name].get(key >> 3, "")
        if key & 7 == _VARINT:
            _, size = varint(data, at)
            sites.append(Site(inside or "number", at, size))
            at += size
        elif key & 7 == _TEXT:
            length, size = varint(data, at)
            sites.append(Site("length", at, size))
            at += size
            if inside in _MESSAGES:
                _message(sites, data, at, at + length, inside)
            elif length <= _MOST_TEXT:
                sites += [Site("name", place, 1) for place in range(at, at + length)]
            at += length
        else:
            at += {_EIGHT: 8, _FOUR: 4}[key & 7]


def varint(data: bytes, at: int, /) -> tuple[int, int]:
    """A number of variable length and how many bytes it takes."""
    value = size = 0
    while True:
        byte = data[at + size]
        value |= (byte & 0x7F) << (7 * size)
        size += 1
        if byte < 0x80:
            return value, size
