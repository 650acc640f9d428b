"""How a road stands: its state, who wants to know, and its last complaint.

Belongs to one road and is changed on the reactor's thread only. `closed` is final.
"""

from __future__ import annotations

import traceback

from broker.road import RoadCounters, RoadState, StateHandler
from observability import log

_log = log.get("broker.standing")


class Standing:
    """The state of one road and its listeners."""

    def __init__(self, name: str, *, counters: RoadCounters) -> None:
        self.state = RoadState.CONNECTING
        self.last_error: str | None = None
        self._name = name
        self._counters = counters
        self._handlers: list[StateHandler] = []

    def tell(self, handler: StateHandler) -> None:
        """Call `handler` with the present state, then at every change."""
        self._handlers.append(handler)
        self._call(handler)

    def become(self, state: RoadState) -> None:
        """Change the state, once, and tell everybody."""
        if state is self.state or self.state is RoadState.CLOSED:
            return
        self.state = state
        if state is RoadState.READY:
            self.last_error = None
        self._counters.suspects += state is RoadState.SUSPECT
        _log.debug("the road changed", client=self._name, state=state.value)
        for handler in tuple(self._handlers):
            self._call(handler)

    def complain(self, problem: str) -> None:
        """Log a problem once until another one or until the road is ready again."""
        if problem != self.last_error:
            self.last_error = problem
            _log.warning(problem, client=self._name)

    def _call(self, handler: StateHandler) -> None:
        try:
            handler(self.state)
        except Exception:  # noqa: BLE001  a listener must not stop the road
            self._counters.handler_errors += 1
            _log.error("a state handler failed", client=self._name, trace=traceback.format_exc())
