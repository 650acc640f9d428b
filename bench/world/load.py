"""Pure core: other headsets that ask the same worker, so that its line is as long as it is at a busy site.

Only their requests are there: they arrive from the same network, steadily and a little apart, and nobody hears their
answers.
"""

from dataclasses import dataclass

from bench.world.agenda import Agenda, Draws
from bench.world.site import Worker
from cloud_worker.request import Request
from schemas.messages import Encoding, Frame, Header, Task

NS_PER_S = 1_000_000_000
BOOT = bytes(15) + b"\x02"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """``headsets`` ask ``fps`` times a second for ``for_s`` seconds, beginning anew every ``every_s``."""

    headsets: int
    at_s: float
    for_s: float
    every_s: float
    fps: float = 30.0
    budget_ms: float = 30.0

    def holds(self, now_ns: int) -> bool:
        """Whether they ask at this time."""
        since_s = now_ns / NS_PER_S - self.at_s
        return since_s >= 0 and since_s % self.every_s < self.for_s


class Others:
    """Enters the requests of a load into a worker's line."""

    def __init__(self, agenda: Agenda, *, load: Load, worker: Worker, draws: Draws) -> None:
        self._agenda, self._load, self._worker, self._draws = agenda, load, worker, draws
        for number in range(load.headsets):
            begin_ns = round(draws.share("other begins", number) * NS_PER_S / load.fps)
            self._schedule(number, 0, begin_ns)

    def _schedule(self, number: int, turn: int, begin_ns: int) -> None:
        def ask() -> None:
            if self._load.holds(self._agenda.now_ns):
                self._worker.offer(self._request(number, turn), reply=_unheard)
            self._schedule(number, turn + 1, begin_ns)

        wobble_ns = round(self._draws.share(f"other {number}", turn) * NS_PER_S / self._load.fps / 4)
        self._agenda.at(begin_ns + round(turn * NS_PER_S / self._load.fps) + wobble_ns, ask)

    def _request(self, number: int, turn: int) -> Request:
        now_ns = self._agenda.now_ns
        header = Header(
            boot_id=BOOT,
            task=Task.HANDS,
            frame_id=turn,
            capture_ns=now_ns,
            send_ns=now_ns,
            budget_us=round(self._load.budget_ms * 1000),
        )
        frame = Frame(header=header, width_px=640, height_px=360, encoding=Encoding.JPEG, quality=80)
        return Request(
            device=f"other-{number}",
            task_word="hands",
            message=frame,
            received_ns=now_ns,
            left_ns=round(self._load.budget_ms * 1_000_000),
        )


def _unheard(request: Request, refusal: str, queue_ns: int, run_ns: int, retry_ms: int) -> None:
    """Their answers are nobody's here."""
    del request, refusal, queue_ns, run_ns, retry_ms
