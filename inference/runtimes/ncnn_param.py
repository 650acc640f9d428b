"""Core: what a .param file says about its inputs. Pure text in, shapes out.

ncnn keeps no shapes but those that an ``Input`` layer may carry as keys 0 (width), 1 (height), 11 (depth) and
2 (channels). Refuses what is not such a file, before the engine sees it.
"""

from inference.errors import ModelLoadError

MAGIC = "7767517"
_AXES = ("2", "11", "1", "0")  # channels, depth, height, width: the order of the array's axes


def input_shapes(text: str, /) -> dict[str, tuple[int, ...]]:
    """Shape of every input by its blob's name; an empty shape where the file does not say.

    Raises:
        ModelLoadError: not the text of a .param file.
    """
    lines = text.splitlines()
    if not lines or lines[0].strip() != MAGIC:
        msg = f"it does not begin with {MAGIC}: pass the .param file that pnnx writes beside its .bin"
        raise ModelLoadError(msg)
    rows = [line.split() for line in lines[2:]]
    return {row[4]: _shape(row[5:]) for row in rows if len(row) > 4 and row[0] == "Input"}


def _shape(keys: list[str], /) -> tuple[int, ...]:
    values = dict(key.split("=", maxsplit=1) for key in keys if "=" in key)
    sizes = [values[axis] for axis in _AXES if axis in values]
    if not all(size.isdecimal() for size in sizes):
        msg = f"an Input layer has the sizes {', '.join(sizes)}: write them as whole numbers"
        raise ModelLoadError(msg)
    return tuple(int(size) for size in sizes if int(size) > 0)
