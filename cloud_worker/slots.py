"""Shell: one thread per slot that takes requests out of the line and answers them.

Owns the threads and the lock around the line. A request that was taken ends in exactly one call of
``finish``, whatever its task raises; what is refused goes to ``finish`` too. Draining refuses who waits and
lets who runs finish: a running model cannot be stopped.
"""

import threading
from collections.abc import Callable, Mapping

from cloud_worker.answerers import Answerer
from cloud_worker.batching import BatchPolicy, Head, batch_size, patience_ns
from cloud_worker.errors import WorkerConfigError
from cloud_worker.execute import Done, Finish, Outcome, answer_request
from cloud_worker.intake import Intake
from cloud_worker.request import Refused, Request
from schemas.messages import Task

MakeAnswerers = Callable[[], Mapping[Task, Answerer]]


class Slots:
    """The threads that run tasks.

    ``make_answerers`` is called once per slot, on that slot's thread, because engines tie models to threads.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        count: int,
        make_answerers: MakeAnswerers,
        finish: Finish,
        clock_ns: Callable[[], int],
        policy: BatchPolicy | None = None,
    ) -> None:
        self._intake = intake
        self._make_answerers = make_answerers
        self._finish = finish
        self._clock_ns = clock_ns
        self._policy = policy or BatchPolicy()
        self._changed = threading.Condition()
        self._running = 0
        self._ready = 0
        self._stopping = False
        self._failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._serve, name=f"slot-{number}", daemon=True)
            for number in range(count)
        ]

    @property
    def queued(self) -> int:
        """Requests in line."""
        return len(self._intake)

    @property
    def running(self) -> int:
        """Requests being answered."""
        return self._running

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start the threads and wait until each has its models.

        Raises:
            Exception: whatever loading a model raised.
            WorkerConfigError: loading took too long.
        """
        for thread in self._threads:
            thread.start()
        with self._changed:
            loaded = self._changed.wait_for(
                lambda: self._failure is not None or self._ready == len(self._threads), timeout_s
            )
        if self._failure is not None:
            self.stop()
            raise self._failure
        if not loaded:
            self.stop(timeout_s=0)  # a slot that is still loading ends when it has loaded
            raise WorkerConfigError(
                f"models did not load within {timeout_s:.0f} s: check the disk and the model files"
            )

    def offer(self, request: Request) -> None:
        """Put a request in line, or refuse it; never blocks for longer than a lock."""
        with self._changed:
            refused = self._intake.offer(request, now_ns=self._clock_ns())
            self._changed.notify()
        self._finish_all(refused)

    def drain(self, *, timeout_s: float) -> bool:
        """Refuse who waits and who comes, wait for who runs, end; False where a run outlasted the time."""
        with self._changed:
            refused = self._intake.drain()
            self._changed.notify_all()
        self._finish_all(refused)
        with self._changed:
            finished = self._changed.wait_for(lambda: self._running == 0, timeout_s)
        self.stop()
        return finished

    def stop(self, *, timeout_s: float = 2.0) -> None:
        """End the threads after the request each is at."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    def _serve(self) -> None:
        try:
            answerers = self._make_answerers()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits in start()
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            return
        with self._changed:
            self._ready += 1
            self._changed.notify_all()
        while (batch := self._next_batch()) is not None:
            for request in batch:
                self._answer(request, answerers)
            with self._changed:
                self._running -= len(batch)
                self._changed.notify_all()
        for answerer in answerers.values():
            answerer.close()

    def _answer(self, request: Request, answerers: Mapping[Task, Answerer]) -> None:
        began_ns = self._clock_ns()
        outcome = answer_request(request, answerers, clock_ns=self._clock_ns)
        now_ns = self._clock_ns()
        with self._changed:
            answered = isinstance(outcome, Done)
            self._intake.ran(request, took_ns=now_ns - began_ns, now_ns=now_ns, answered=answered)
        self._finish(outcome)

    def _next_batch(self) -> list[Request] | None:
        """Wait for the next batch; None when the slot has to end."""
        while True:
            batch: list[Request] = []
            refused: list[Refused] = []
            with self._changed:
                while not self._stopping and (size := self._size()) == 0:
                    self._changed.wait(self._patience_s())
                if self._stopping:
                    return None
                run_ns = 0 if (head := self._head()) is None else head.run_ns
                for number in range(size):
                    request, expired = self._intake.take(now_ns=self._clock_ns(), behind_ns=number * run_ns)
                    refused.extend(expired)
                    if request is not None:
                        batch.append(request)
                self._running += len(batch)
            self._finish_all(tuple(refused))
            if batch:
                return batch

    def _size(self) -> int:
        return batch_size(self._policy, waiting=len(self._intake), head=self._head())

    def _patience_s(self) -> float | None:
        wait_ns = patience_ns(self._policy, waiting=len(self._intake), head=self._head())
        return None if wait_ns is None else wait_ns / 1e9

    def _head(self) -> Head | None:
        first, now_ns = self._intake.first, self._clock_ns()
        if first is None:
            return None
        return Head(
            waited_ns=now_ns - first.request.received_ns,
            left_ns=first.request.left_at(now_ns),
            run_ns=first.run_ns,
        )

    def _finish_all(self, outcomes: tuple[Outcome, ...]) -> None:
        for outcome in outcomes:
            self._finish(outcome)
