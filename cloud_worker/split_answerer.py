"""Core: the part of a task that a placement leaves to the worker: live tensors in, live tensors out.

One instance belongs to one slot, because an opened part belongs to one thread. Opens a part when it is first asked
for and keeps the last ``MAX_OPEN``. Refuses placements that were not proved, and whatever is not exactly what the
part reads.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cloud_worker.answerers import Answerer
from cloud_worker.errors import CannotAnswerError
from cloud_worker.part_models import PartModel
from cloud_worker.proofs import Proofs
from cloud_worker.request import Answer, Request
from inference.errors import PackingError, RuntimeMissingError
from inference.runtimes.base import Array, Runtime
from inference.split.live_tensors import Edge
from inference.split.part_payload import PartPayload
from inference.split.placed import Part as OpenPart
from inference.split.placed import open_part
from schemas.messages import Part, RefusalReason
from schemas.placements import Placement, PlacementIdError, placement_of

MAX_OPEN = 8  # parts held open in a slot; each holds its weights and its arena


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    part: OpenPart
    up: Edge
    down: Edge


class SplitAnswerer:
    """Runs ``operators[start:end)`` of a model for each of at most ``max_subjects`` hands."""

    def __init__(
        self,
        proofs: Proofs,
        *,
        runtime: Runtime,
        threads: int,
        max_subjects: int,
        clock_ns: Callable[[], int],
    ) -> None:
        self._proofs = proofs
        self._runtime = runtime
        self._threads = threads
        self._max_subjects = max_subjects
        self._clock_ns = clock_ns
        self._open: OrderedDict[tuple[bytes, Placement], _Opened] = OrderedDict()

    def answer(self, request: Request, /) -> Answer:
        """Run the part that the request's header names; tensors of nobody ask whether it is proved.

        Raises:
            CannotAnswerError: an unknown model or placement, or tensors that are not what the part reads.
        """
        message = request.message
        if not isinstance(message, Part):
            raise CannotAnswerError(RefusalReason.UNSUPPORTED_TASK, "a part takes live tensors: send a Part")
        started_ns = self._clock_ns()
        model, placement = self._resolve(request)
        if not (message.subjects or message.payload):
            return Answer(model_digest=model.digest)  # an ask that crossed the presence: yes, it is proved
        opened = self._opened(model, placement)
        rows = self._rows(message, opened)
        decoded_ns = self._clock_ns()
        part = opened.down.pack([opened.part.run(row) for row in rows], coding=message.coding)
        return Answer(
            model_digest=model.digest,
            decode_ns=decoded_ns - started_ns,
            run_ns=self._clock_ns() - decoded_ns,
            part=part,
        )

    def close(self) -> None:
        """Release every part."""
        while self._open:
            self._open.popitem()[1].part.close()

    def _resolve(self, request: Request) -> tuple[PartModel, Placement]:
        header = request.header
        model = self._proofs.models.get(header.model_digest)
        if model is None:
            raise CannotAnswerError(
                RefusalReason.UNKNOWN_MODEL,
                f"no parts of model {header.model_digest.hex()[:12]}… here: ask a worker whose presence "
                f"names its kernels",
            )
        try:
            placement = placement_of(header.placement_id)
        except PlacementIdError as error:
            raise CannotAnswerError(RefusalReason.UNKNOWN_PLACEMENT, str(error)) from error
        if not self._proofs.is_proved(model.digest, placement):
            not_yet = self._proofs.want(model.digest, placement)
            raise CannotAnswerError(
                RefusalReason.UNKNOWN_PLACEMENT, not_yet.detail, retry_after_ms=not_yet.retry_after_ms
            )
        return model, placement

    def _opened(self, model: PartModel, placement: Placement) -> _Opened:
        key = (model.digest, placement)
        opened = self._open.get(key)
        if opened is None:
            start, end = placement.start, placement.end
            opened = self._open[key] = _Opened(
                part=open_part(model.split, start, end, runtime=self._runtime, threads=self._threads),
                up=Edge(model.split, model.split.part_inputs(start, end)),
                down=Edge(model.split, model.split.part_outputs(start, end)),
            )
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)[1].part.close()
        self._open.move_to_end(key)
        return opened

    def _rows(self, message: Part, opened: _Opened) -> tuple[dict[str, Array], ...]:
        """What the part reads, for each hand."""
        subjects = message.subjects
        if subjects > self._max_subjects:
            raise CannotAnswerError(
                RefusalReason.TOO_LARGE,
                f"tensors of {subjects} hands, allowed are {self._max_subjects}: send fewer hands",
            )
        live = PartPayload(subjects=subjects, coding=message.coding, payload=message.payload)
        try:
            return opened.up.unpack(live)
        except PackingError as error:
            raise CannotAnswerError(RefusalReason.MALFORMED, str(error)) from error
        except RuntimeMissingError as error:
            raise CannotAnswerError(RefusalReason.UNSUPPORTED_TASK, f"{error}; or send them raw") from error


class EitherWay:
    """Answers frames with the whole task and live tensors with a part of its model."""

    def __init__(self, *, whole: Answerer, parts: SplitAnswerer) -> None:
        self._whole = whole
        self._parts = parts

    def answer(self, request: Request, /) -> Answer:
        """Compute the answer.

        Raises:
            CannotAnswerError: this request has none.
        """
        chosen = self._parts if isinstance(request.message, Part) else self._whole
        return chosen.answer(request)

    def close(self) -> None:
        """Release the models of both."""
        self._parts.close()
        self._whole.close()
