"""Shell: parts of a split model, opened by an engine and run by tensor name.

Parts are written to a temporary folder that lives as long as their engine needs it. Refuses values that lack a
tensor the part reads. A ``Part`` belongs to one thread at a time.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from inference.errors import ModelInputError
from inference.runtimes.base import Array, Model, Runtime
from inference.split.model import SplitModel


class Part:
    """One opened part; ``inputs`` and ``outputs`` are tensor names of the flow."""

    def __init__(self, model: Model, *, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.model = model
        self.inputs = inputs
        self.outputs = outputs
        # Engines may order a part's inputs and outputs as they like; names are what both sides agree on.
        self._run_order = tuple(spec.name for spec in model.inputs())
        self._result_order = tuple(spec.name for spec in model.outputs())

    def run(self, values: Mapping[str, Array], /) -> dict[str, Array]:
        """Run once on the tensors it reads; others in ``values`` are left alone. Results are copies.

        Raises:
            ModelInputError: a tensor is missing, or differs in shape or dtype.
            ModelRunError: the engine failed, or the part is closed.
        """
        if missing := [name for name in self._run_order if name not in values]:
            msg = (
                f"the part reads {', '.join(missing)}, which were not given: pass every tensor in its inputs"
            )
            raise ModelInputError(msg)
        results = self.model.run([values[name] for name in self._run_order])
        return dict(zip(self._result_order, results, strict=True))

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self.model.close()


def open_part(
    split: SplitModel,
    start: int,
    end: int,
    /,
    *,
    runtime: Runtime,
    threads: int = 1,
    content: bytes | None = None,
) -> Part:
    """Write the part and open it. ``content`` is ``split.part(start, end)`` where the caller has it already.

    Raises:
        GraphError: there is no such part.
        ModelLoadError: the engine cannot open it.
    """
    if content is None:
        content = split.part(start, end)
    with tempfile.TemporaryDirectory(prefix="headway-part-") as folder:
        # Engines read the file when they load, so it may go afterwards.
        path = Path(folder) / f"part.{split.flow.file_format}"
        path.write_bytes(content)
        model = runtime.load(path, threads=threads)
    return Part(model, inputs=split.part_inputs(start, end), outputs=split.part_outputs(start, end))


def run_whole(parts: Sequence[Part], inputs: Mapping[str, Array], /) -> dict[str, Array]:
    """Run parts one after another; gives every tensor that was passed in or yielded on the way.

    Raises:
        ModelInputError: a part reads what neither the inputs nor an earlier part has.
        ModelRunError: the engine failed.
    """
    values = dict(inputs)
    for part in parts:
        values.update(part.run(values))
    return values
