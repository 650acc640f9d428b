"""Pure core: one file on its way in numbered chunks: which are missing, which to ask for, which are damaged.

Every chunk is checked against its hash before it is kept; where single hashes are not known (a manifest) the
whole is checked when it is complete. Time and bytes are passed in; nothing here sends or writes.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from enum import Enum

from schemas.documents import ChunkRequest

WINDOW = 8
MAX_BAD_COPIES = 3
STALL_NS = 1_000_000_000  # what was asked for and did not come by then is asked for again


class Arrival(str, Enum):
    """What a chunk that came in is worth."""

    KEPT = "kept"
    BAD = "bad"
    HAD = "had"  # it was here already


@dataclass(slots=True, kw_only=True)
class Transfer:
    """The state of one file's transfer. ``chunk_sha256`` empty: chunks cannot be checked one by one."""

    digest: str
    size_bytes: int
    chunk_bytes: int
    chunk_sha256: tuple[str, ...] = ()
    missing: set[int] = field(init=False)
    bad_copies: dict[int, int] = field(default_factory=dict)
    _asked: dict[int, int] = field(default_factory=dict)  # chunk -> when it was asked for

    def __post_init__(self) -> None:
        self.missing = set(range(self.chunks))

    @property
    def chunks(self) -> int:
        """Number of chunks of the file."""
        return -(-self.size_bytes // self.chunk_bytes)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk is here."""
        return not self.missing

    @property
    def is_hopeless(self) -> bool:
        """Whether some chunk came damaged too often."""
        return any(count >= MAX_BAD_COPIES for count in self.bad_copies.values())

    def span(self, n: int) -> tuple[int, int]:
        """First byte and length of a chunk in the file."""
        first = n * self.chunk_bytes
        return first, min(self.chunk_bytes, self.size_bytes - first)

    def take(self, n: int, data: bytes) -> Arrival:
        """Judge a chunk that came in; KEPT means that it is to be written at ``span(n)``."""
        if n not in self.missing:
            return Arrival.HAD
        self._asked.pop(n, None)
        if not self._is_good(n, data):
            self.bad_copies[n] = self.bad_copies.get(n, 0) + 1
            return Arrival.BAD
        self.missing.discard(n)
        return Arrival.KEPT

    def distrust(self) -> None:
        """The whole is damaged though no chunk was known to be: everything is asked for again."""
        self.missing = set(range(self.chunks))
        self.bad_copies = {n: self.bad_copies.get(n, 0) + 1 for n in self.missing}

    def request(self, *, now_ns: int) -> ChunkRequest | None:
        """What to ask for now; None while enough is on its way."""
        self._asked = {n: at_ns for n, at_ns in self._asked.items() if now_ns - at_ns < STALL_NS}
        wanted = sorted(self.missing - self._asked.keys())
        room = WINDOW - len(self._asked)
        if not wanted or room < min(WINDOW // 2, len(wanted)):
            return None
        for n in wanted[:room]:
            self._asked[n] = now_ns
        return ChunkRequest(
            digest=self.digest, chunks=self.chunks, missing=bitmap(wanted, chunks=self.chunks), window=room
        )

    def _is_good(self, n: int, data: bytes) -> bool:
        if len(data) != self.span(n)[1]:
            return False
        return not self.chunk_sha256 or hashlib.sha256(data).hexdigest() == self.chunk_sha256[n]


def bitmap(numbers: list[int], *, chunks: int) -> str:
    """Base64 of a bitmap of ``chunks`` bits in which these numbers are set."""
    bits = bytearray(-(-chunks // 8))
    for n in numbers:
        bits[n // 8] |= 1 << (n % 8)
    return base64.b64encode(bits).decode()
