"""Pure core: which placement may be proved now, and what those are told that have to wait.

A proof that came to an end is final, whatever it found: bytes that differ once differ again. One that did not come
to an end (its child ran out of time, crashed or never started) says little of the placement, so it is made again
for whoever asks after a pause, which doubles each time up to ``last_retry_s``. Of one model at most ``per_minute``
proofs begin in a minute, of all ``per_minute_in_all``, so that nobody keeps a core busy by asking for every placement
there is: a proof takes about a second. Positions that are
no cuts cost nothing. Times are passed in; whoever shares one between threads holds a lock around it.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.placements import Placement

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MINUTE_NS = 60 * NS_PER_S
PROOF_RETRY_MS = 1000  # a proof takes about so long

Key = tuple[bytes, Placement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a proof; ``why`` is empty where the placement is sound, and with ``final`` it stays as it is."""

    why: str = ""
    final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """Why a placement cannot be used now, and when to ask again; ``retry_after_ms`` 0: never."""

    detail: str
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofLimits:
    """``waiting`` proofs in line, ``failed`` ones remembered, ``per_minute`` begun of one model and of all."""

    waiting: int = 16
    failed: int = 256
    per_minute: int = 12
    per_minute_in_all: int = 24
    first_retry_s: int = 5
    last_retry_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    verdict: Verdict
    tries: int
    again_ns: int


class ProofPlan:
    """What is known of placements that are not proved. ``legal``: the cut positions of each model."""

    def __init__(self, legal: Mapping[bytes, frozenset[int]], *, limits: ProofLimits) -> None:
        self._legal = legal
        self._limits = limits
        self._waiting: set[Key] = set()
        self._failed: OrderedDict[Key, _Failed] = OrderedDict()
        self._begun: dict[bytes, deque[int]] = {digest: deque() for digest in legal}
        self._all_begun: deque[int] = deque()

    def waiting(self) -> int:
        """Proofs in line, the one that runs included."""
        return len(self._waiting)

    def hindrance(self, key: Key, *, now_ns: int) -> NotYet | None:
        """Why no proof of a placement may be begun now; None where it may."""
        digest, placement = key
        if key in self._waiting:
            return being_proved(placement)
        if illegal := self._illegal(key):
            return NotYet(detail=illegal)
        failed = self._failed.get(key)
        if failed is not None and failed.verdict.final:
            return NotYet(detail=failed.verdict.why)
        if failed is not None and now_ns < failed.again_ns:
            return _later(
                f"the last of {failed.tries} proofs did not come to an end ({failed.verdict.why})",
                failed.again_ns - now_ns,
            )
        return self._no_room(digest, now_ns=now_ns)

    def begin(self, key: Key, *, now_ns: int) -> None:
        """Note that a proof was put in line."""
        self._waiting.add(key)
        self._begun[key[0]].append(now_ns)
        self._all_begun.append(now_ns)

    def end(self, key: Key, verdict: Verdict, *, now_ns: int) -> None:
        """Note what came of it."""
        self._waiting.discard(key)
        before = self._failed.pop(key, None)
        if not verdict.why:
            return
        tries = 1 if before is None else before.tries + 1
        pause_s = min(self._limits.first_retry_s << min(tries - 1, 16), self._limits.last_retry_s)
        self._failed[key] = _Failed(verdict=verdict, tries=tries, again_ns=now_ns + pause_s * NS_PER_S)
        while len(self._failed) > self._limits.failed:
            self._failed.popitem(last=False)

    def _no_room(self, digest: bytes, *, now_ns: int) -> NotYet | None:
        if len(self._waiting) >= self._limits.waiting:
            return NotYet(
                detail=f"{len(self._waiting)} other proofs wait here: ask again or choose another worker",
                retry_after_ms=PROOF_RETRY_MS,
            )
        for what, begun, most in (
            ("this model", self._begun[digest], self._limits.per_minute),
            ("all models", self._all_begun, self._limits.per_minute_in_all),
        ):
            while begun and begun[0] <= now_ns - MINUTE_NS:
                begun.popleft()
            if len(begun) >= most:
                wait_ns = begun[0] + MINUTE_NS - now_ns
                return _later(f"{len(begun)} proofs of {what} were begun in the last minute", wait_ns)
        return None

    def _illegal(self, key: Key) -> str:
        digest, placement = key
        wrong = [str(at) for at in (placement.start, placement.end) if at not in self._legal[digest]]
        if not wrong:
            return ""
        return f"{' and '.join(wrong)} is no legal cut of this model: see `headway model inspect`"


def being_proved(placement: Placement, /) -> NotYet:
    """A proof is in line or runs."""
    return NotYet(
        detail=f"operators {placement.start} to {placement.end} are being proved here: ask again",
        retry_after_ms=PROOF_RETRY_MS,
    )


def _later(what: str, wait_ns: int) -> NotYet:
    wait_ms = max(1, -(-wait_ns // NS_PER_MS))
    # the advice first: a detail that is too long for a message loses its end
    return NotYet(detail=f"ask again in {wait_ms / 1000:.1f} s: {what}", retry_after_ms=wait_ms)
