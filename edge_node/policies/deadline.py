"""Pure core: the policy ``deadline``: the chance of an answer in time first, then quality, energy and cost.

The chance of a frame that leaves counts the run that begins here at the latest safe start: the frame is lost only
where both fail. Who about equals the surest way is chosen by score. What must stay here: the order of the questions.
Rows are built in ``candidates``, judged in ``scoring``; when the way may change is known in ``steps``.
"""

from edge_node.policies.base import Considered, Decision, LinkView, Path, blocked_by, stay, unproved
from edge_node.policies.berth import Berth
from edge_node.policies.candidates import Limits, candidates
from edge_node.policies.joule_price import JoulePrice
from edge_node.policies.scoring import best, score, turn_down_the_less_sure, turn_down_the_unlikely
from edge_node.policies.steps import Ladder, Steps
from schemas.documents import SplitConfig

TOLERANCE = 0.005  # chances so near count as equal
CRITICAL_TOLERANCE = 0.0005  # the same for a critical frame
HOT_TOLERANCE = 0.02  # the same for a chip that throttles soon: then it would be late more often
DOWN_SHARE = 0.7  # of the floor: below it a frame stays, between both it goes where the last one went
CEILING_SHARE = 0.9  # of the uplink's ceiling: above it frames go only where the last one went
MARGIN = 0.01  # of score: so much better another way must be, a point of quality or ten millijoules
FIRST_FRAME_NS = 33_333_333  # between frames, until there were two


class DeadlinePolicy:
    """Weighs a run here, the split and a picture of each quality for each worker."""

    def __init__(self, config: SplitConfig) -> None:
        self._limits = Limits.of(config)
        self._may_leave = self._limits.remote
        self._floor = config.on_time_floor
        self._weights = config.weights
        self._joule = JoulePrice(config)
        self._steps = Steps()
        self._berth = Berth(by="worker", says="pictures go to")
        self._pair = Berth(by="placement", says="the model is cut at")
        self._ladder = Ladder()
        self._frame_ns = FIRST_FRAME_NS
        self._borne = False  # the newest frame goes a way that promises too little
        self._deadline_ns = 0  # of the frame before; 0 before there was one

    def decide(self, view: LinkView) -> Decision:
        """Choose for one frame."""
        if not self._may_leave:
            return stay("tiers allow nothing but local")
        blocked = blocked_by(view)
        if blocked and not (self._steps.block(view.now_ns) and view.worker):
            return stay(blocked)
        if not blocked:
            self._steps.unblock()
        if view.local is None or not (view.offloads or view.pairs):
            return stay("nothing is known of the link")
        self._learn_rate(view)
        rows = candidates(view, self._limits, local=view.local)
        self._judge(rows, view)
        if blocked:
            return self._through(rows, blocked, view)
        wanted = best(rows)
        self._borne = False
        taken = self._settle(rows, wanted, view.now_ns)
        return self._decision(rows, taken, _reason(rows, taken, wanted), view)

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest: the forecast has it."""

    def on_loss(self, reason: str) -> None:
        """Of no interest: the forecast has it."""

    def wants_probes(self) -> bool:
        """While down; up, the frames themselves are the probes."""
        return self._may_leave and self._steps.at is Path.LOCAL

    def _learn_rate(self, view: LinkView) -> None:
        """A frame that was missed makes one gap longer, none shorter."""
        gap_ns = view.deadline_ns - self._deadline_ns
        if self._deadline_ns and 0 < gap_ns < FIRST_FRAME_NS * 30:
            self._frame_ns = min(gap_ns, round(self._frame_ns * 1.05))
        self._deadline_ns = view.deadline_ns

    def _judge(self, rows: list[Considered], view: LinkView) -> None:
        """Write scores, and why a row cannot be taken."""
        here = self._steps.at
        price = self._joule.at(view.vitals, now_ns=view.now_ns)
        score(rows, self._weights, joule_price=price)
        if self._limits.ceiling_bytes_per_s is not None:
            self._turn_down_the_large(rows[1:], here=here)
        tolerance = HOT_TOLERANCE if self._joule.heat else TOLERANCE
        tolerance = CRITICAL_TOLERANCE if view.critical else tolerance
        if len(view.pairs) > 1:
            splits = [row for row in rows if row.path is Path.SPLIT]
            self._pair.settle(
                splits,
                floor=self._floor,
                tolerance=tolerance,
                margin=MARGIN,
                now_ns=view.now_ns,
                in_use=here is Path.SPLIT,
            )
        pictures = [row for row in rows if row.path is Path.OFFLOAD]
        self._berth.settle(
            pictures, floor=self._floor, tolerance=tolerance, margin=MARGIN, now_ns=view.now_ns
        )
        turn_down_the_unlikely(rows, floor=self._floor, floor_here=DOWN_SHARE * self._floor, here=here)
        turn_down_the_less_sure(rows, tolerance=tolerance)

    def _turn_down_the_large(self, rows: list[Considered], *, here: Path) -> None:
        for row in rows:
            is_here = row.path is here and row.quality == self._ladder.quality  # whoever it goes to
            share = 1.0 if is_here else CEILING_SHARE
            row.why_not = row.why_not or self._limits.over_ceiling(
                row.payload_bytes, frame_ns=self._frame_ns, share=share
            )

    def _settle(self, rows: list[Considered], wanted: Considered | None, now_ns: int) -> Considered:
        """The row to take. Moves up and down; the first row is the run here, the net under all others."""
        steps = self._steps
        last = best([row for row in rows if row.path is steps.at])
        if wanted is None or (last is None and steps.at is not Path.LOCAL):
            borne = self._bearable(rows)
            if borne is not None and steps.bear(now_ns):
                self._borne = True
                return borne
            steps.fall(now_ns)
            return rows[0]
        if wanted is last and wanted.path is Path.LOCAL:
            steps.keep()
            return wanted
        if last is not None and (wanted.path is last.path or wanted.score <= last.score + MARGIN):
            steps.keep()
            taken = last
        elif waits := steps.wish(wanted.path, now_ns):
            wanted.why_not = waits
            taken = last or rows[0]
        else:
            taken = wanted
            self._ladder = Ladder()
        return self._on_rung(rows, taken, now_ns)

    def _through(self, rows: list[Considered], blocked: str, view: LinkView) -> Decision:
        """A link that is blocked for a moment: pictures go on leaving, each with what stands behind it."""
        for row in rows:
            if row.path is Path.OFFLOAD and (row.unsure or not row.why_not):
                row.why_not, row.unsure = blocked, True
        taken = self._bearable(rows)
        if taken is None:
            return stay(blocked)
        self._borne = True
        return self._decision(rows, taken, _reason(rows, taken, None), view)

    def _bearable(self, rows: list[Considered]) -> Considered | None:
        """The surest picture of those that were turned down for their chance alone, where pictures leave."""
        if self._steps.at is not Path.OFFLOAD:
            return None
        return max(
            (row for row in rows if row.path is Path.OFFLOAD and row.unsure), key=_p_remote, default=None
        )

    def _on_rung(self, rows: list[Considered], taken: Considered, now_ns: int) -> Considered:
        if taken.path is not Path.OFFLOAD:
            return taken
        if taken.quality == self._ladder.quality:
            self._ladder.settle(taken.quality, may_keep=True, now_ns=now_ns)
            return taken
        rungs = {row.quality: row for row in rows if row.path is Path.OFFLOAD and row.worker == taken.worker}
        last = rungs.get(self._ladder.quality)
        may_keep = last is not None and not last.why_not
        return rungs[self._ladder.settle(taken.quality, may_keep=may_keep, now_ns=now_ns)]

    def _decision(self, rows: list[Considered], taken: Considered, reason: str, view: LinkView) -> Decision:
        duplicate, p_on_time = self._duplicate(taken, view)
        taken.why_not = ""
        for row in rows:
            if row is not taken and not row.why_not:
                row.why_not = f"as sure, scores {row.score:.3f} against {taken.score:.3f}"
        return Decision(
            path=taken.path,
            worker=taken.worker,
            reason=reason,
            placement=taken.placement,
            unproved=unproved(view.pairs) if self._limits.split and view.pairs else (),
            duplicate=duplicate,
            p_on_time=p_on_time,
            quality=taken.quality,
            energy_j=taken.energy_j,
            considered=tuple(rows),
        )

    def _duplicate(self, taken: Considered, view: LinkView) -> tuple[bool, float]:
        """Whether a whole run begins here at once too, and the chance then.

        Always for critical frames, and where a way is borne that makes a frame less sure than a run here alone. For
        others where it is worth a token, and the chip has joules to spare.
        """
        if taken.path is not Path.OFFLOAD or view.local is None:
            return False, taken.p_on_time
        if view.critical:
            return True, taken.p_on_time
        with_two = 1 - (1 - taken.p_remote) * (1 - view.local.p_now)
        if self._borne and taken.p_on_time < view.local.p_now:
            return True, with_two
        spare = view.may_duplicate and not self._joule.scarce and not self._joule.heat
        if spare and with_two > taken.p_on_time + TOLERANCE:
            return True, with_two
        return False, taken.p_on_time


def _p_remote(row: Considered) -> float:
    return row.p_remote


def _reason(rows: list[Considered], taken: Considered, wanted: Considered | None) -> str:
    if taken.path is not Path.LOCAL:
        borne = f", borne for now: {taken.why_not}" if taken.why_not else ""
        return f"{taken.p_remote:.2f} to be back in time{borne}"
    if wanted is None or wanted is taken:
        wanted = max(rows[1:], key=lambda row: row.p_on_time, default=None)
    if wanted is None:
        return "there is no other way"
    return wanted.why_not or f"as sure, scores {taken.score:.3f} against {wanted.score:.3f}"
