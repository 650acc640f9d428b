"""Shell: answers of a model's whole and parts on any number of kernel paths.

Writes each part once for all paths, and runs a head once for all that follows it: ask for pairs by rising start.
Opens at most the parts of one pair at a time. What must stay here: the only place where parity runs anything.
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from inference.parity.fingerprint import digest_of, split_fingerprint
from inference.parity.report import KernelPath, Pair, Places
from inference.runtimes.base import Array, Runtime
from inference.runtimes.registry import open_runtime
from inference.split.model import SplitModel
from inference.split.placed import Part, open_part

Answers = list[tuple[Array, ...]]  # the model's outputs, a row for each canary
_Values = dict[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The reference on one path: ``folded`` is what parts are cut from, ``stock`` the file as it came.

    ``fingerprint`` is that of the outputs, ``witness`` that of inner tensors too.
    """

    folded: Answers
    stock: Answers
    fingerprint: str
    witness: str


class PartRuns:
    """One model on its canaries. Belongs to one thread; close it."""

    def __init__(self, split: SplitModel, path: Path, *, canaries: Sequence[Sequence[Array]]) -> None:
        names = [split.flow.tensors[index].name for index in split.flow.inputs]
        self._split = split
        self._path = path
        self._last = len(split.flow.operators)
        self._inputs: list[_Values] = [dict(zip(names, row, strict=True)) for row in canaries]
        self._canaries = canaries
        self._outputs = [split.flow.tensors[index].name for index in split.flow.outputs]
        self._engines: dict[KernelPath, Runtime] = {}
        self._wholes: dict[KernelPath, Whole] = {}
        self._pair: Pair | None = None
        self._contents: dict[Pair, bytes] = {}
        self._heads: dict[KernelPath, list[_Values]] = {}
        self._opened: dict[tuple[Pair, KernelPath], Part] = {}
        self._stack = ExitStack()

    def whole(self, place: KernelPath, /) -> Whole:
        """Reference answers and fingerprint of a path.

        Raises:
            InferenceError: the engine cannot open or run the model.
        """
        if place not in self._wholes:
            engine = self._engine(place)
            opened = open_part(self._split, 0, self._last, runtime=engine, threads=place.threads)
            with closing(opened) as part:
                rows = [part.run(row) for row in self._inputs]
                fingerprint = digest_of([row[name] for name in part.outputs] for row in rows)
            with closing(engine.load(self._path, threads=place.threads)) as model:
                stock = [model.run(row) for row in self._canaries]
            folded = self._picked([given | row for given, row in zip(self._inputs, rows, strict=True)])
            witness = split_fingerprint(
                self._split, runtime=engine, threads=place.threads, canaries=self._canaries
            )
            self._wholes[place] = Whole(folded=folded, stock=stock, fingerprint=fingerprint, witness=witness)
        return self._wholes[place]

    def answers(self, pair: Pair, places: Places, /) -> Answers:
        """Head on the device, the part between the cuts on the worker, the rest on the device again.

        Raises:
            InferenceError: there is no such part, or the engine cannot open or run it.
        """
        self._turn_to(pair)
        start, end = pair
        rows = self._head(start, places.device)
        for span, place in (((start, end), places.worker), ((end, self._last), places.device)):
            if span[0] < span[1]:
                part = self._part(span, place)
                rows = [row | part.run(row) for row in rows]
        return self._picked(rows)

    def close(self) -> None:
        """Release the engines' memory. Idempotent."""
        self._stack.close()
        self._opened.clear()

    def _turn_to(self, pair: Pair) -> None:
        if pair == self._pair:
            return
        self.close()
        self._contents.clear()
        if self._pair is None or pair[0] != self._pair[0]:
            self._heads.clear()
        self._pair = pair

    def _head(self, start: int, place: KernelPath) -> list[_Values]:
        if start == 0:
            return self._inputs
        if place not in self._heads:
            part = self._part((0, start), place)
            self._heads[place] = [row | part.run(row) for row in self._inputs]
        return self._heads[place]

    def _part(self, span: Pair, place: KernelPath) -> Part:
        if (span, place) not in self._opened:
            if span not in self._contents:
                self._contents[span] = self._split.part(*span)
            part = open_part(
                self._split,
                *span,
                runtime=self._engine(place),
                threads=place.threads,
                content=self._contents[span],
            )
            self._stack.callback(part.close)
            self._opened[span, place] = part
        return self._opened[span, place]

    def _engine(self, place: KernelPath) -> Runtime:
        if place not in self._engines:
            self._engines[place] = open_runtime(place.runtime, options=place.options)
        return self._engines[place]

    def _picked(self, rows: Sequence[_Values]) -> Answers:
        return [tuple(row[name] for name in self._outputs) for row in rows]
