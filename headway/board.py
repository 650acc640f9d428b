"""Shell: what the headsets say of themselves, followed over the broker and shown as a live table.

Reads the telemetry stream like any factory system would; it knows nothing the headsets did not publish.
On a terminal the table is redrawn in place; elsewhere it is a plain line per headset every few seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.reactor import Reactor
from broker.road import Delivery, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import decode
from schemas.errors import MalformedMessage
from schemas.messages import Mode, Telemetry
from schemas.topics import parse, topic, topic_filter

PLAIN_EVERY_S = 5.0
COLUMNS = (
    "headset",
    "mode",
    "rtt ms",
    "fps",
    "p50/p99 ms",
    "age p99 ms",
    "on time",
    "battery",
    "heat",
    "model",
)


class TelemetryFeed:
    """The newest telemetry of every headset of a site."""

    def __init__(self, *, url: str, site: str, reactor: Reactor) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Telemetry] = {}
        self.malformed = 0
        config = SessionConfig(
            url=url,
            client_id="board-data",
            echo_topic=topic("client-echo", site=site, client="board", traffic="data"),
            traffic=Traffic.DATA,
        )
        self._session = Session(config, reactor=reactor)
        self._session.subscribe(topic_filter("telemetry", site=site), self._received)

    def _received(self, delivery: Delivery) -> None:
        try:
            message = decode(delivery.payload)
        except MalformedMessage:
            self.malformed += 1
            return
        if isinstance(message, Telemetry):
            with self._lock:
                self._newest[parse(delivery.topic)[1]["device"]] = message

    def newest(self) -> dict[str, Telemetry]:
        """The last report of each headset heard so far, by id."""
        with self._lock:
            return dict(sorted(self._newest.items()))

    def close(self) -> None:
        """Leave the broker."""
        self._session.close()


def cells(headset: str, telemetry: Telemetry) -> tuple[str, ...]:
    """One row of the table, in the order of ``COLUMNS``."""
    outcomes = telemetry.outcomes
    on_time = outcomes.fresh_on_time + outcomes.carried_on_time
    return (
        headset,
        Mode(telemetry.mode).name.lower(),
        f"{telemetry.rtt_us / 1000:.1f}" if telemetry.rtt_us else "-",
        f"{telemetry.fps:.0f}",
        f"{telemetry.latency_p50_us / 1000:.0f}/{telemetry.latency_p99_us / 1000:.0f}",
        f"{telemetry.age_p99_us / 1000:.0f}",
        f"{on_time / outcomes.scheduled:.0%}" if outcomes.scheduled else "-",
        f"{telemetry.battery_fraction:.0%}",
        f"{telemetry.temperature_c:.0f} C{' throttled' if telemetry.throttled else ''}",
        telemetry.model,
    )


class Board:
    """The live view of a run: the table and what happened last."""

    def __init__(self, console: Console, feed: Callable[[], dict[str, Telemetry]], *, seconds: float) -> None:
        self._console = console
        self._feed = feed
        self._seconds = seconds
        self._live = (
            Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None
        )
        self._plain_due_s = 0.0

    def __enter__(self) -> Board:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live:
            self._live.stop()

    def note(self, elapsed_s: float, text: str) -> None:
        """Say what happened; it stays on the screen."""
        line = f"{elapsed_s:5.1f} s  {text}"
        (self._live.console if self._live else self._console).print(
            Text(line), highlight=False, soft_wrap=True
        )

    def tick(self, elapsed_s: float) -> None:
        """Show the newest figures; call this a few times a second."""
        if self._live:
            self._live.update(self._table(elapsed_s))
        elif elapsed_s >= self._plain_due_s:
            self._plain_due_s = elapsed_s + PLAIN_EVERY_S
            for headset, telemetry in self._feed().items():
                pairs = zip(COLUMNS[1:], cells(headset, telemetry)[1:], strict=True)
                line = f"{elapsed_s:5.1f} s  {headset}: " + ", ".join(
                    f"{name} {cell}" for name, cell in pairs
                )
                self._console.print(Text(line), highlight=False, soft_wrap=True)

    def _table(self, elapsed_s: float) -> Table:
        table = Table(
            *COLUMNS, title=f"headway demo  {elapsed_s:.0f} / {self._seconds:.0f} s", title_justify="left"
        )
        for headset, telemetry in self._feed().items():
            table.add_row(*cells(headset, telemetry))
        return table
