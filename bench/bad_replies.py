"""Pure core: what becomes of a worker's replies on a bad way back: doubled, late, out of order, damaged, for a stranger.

A damaged reply takes the place of the genuine one, so its frame hears nothing that it can use. Held back means out of
order: the reply comes behind its successor. What is copied comes as well as the genuine one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.codec import Encoder, decode
from schemas.errors import MalformedMessage

DAMAGES = ("truncated", "garbled")
COPIES = ("duplicate", "late", "stranger")
HELD = "reordered"
KINDS = (*DAMAGES, HELD, *COPIES)
LATE_S = (0.05, 1.5)
MOST_FLIPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What goes on instead of a reply: ``now`` at once, ``later`` after so many seconds each.

    ``held`` says that the reply itself waits until the next one has gone.
    """

    now: tuple[bytes, ...]
    later: tuple[tuple[float, bytes], ...] = ()
    held: bool = False


class Tamperer:
    """``rates`` holds the share of replies for each kind; what befalls a reply is at most one of them."""

    def __init__(self, rates: Mapping[str, float], *, rng: random.Random) -> None:
        unknown = set(rates) - set(KINDS)
        if unknown:
            raise ValueError(f"no kind of bad reply: {', '.join(sorted(unknown))}; write {', '.join(KINDS)}")
        if sum(rates.values()) > 1:
            raise ValueError(f"the shares of bad replies add up to {sum(rates.values()):g}: at most 1")
        self.counts: Counter[str] = Counter()
        self._rates, self._rng = dict(rates), rng

    def pass_on(self, payload: bytes) -> Passing:
        """What goes on in place of this reply."""
        self.counts["replies"] += 1
        kind = self._drawn()
        if kind is None:
            return Passing(now=(payload,))
        self.counts[kind] += 1
        if kind == HELD:
            return Passing(now=(), held=True)
        if kind in DAMAGES:
            bad = self._cut(payload) if kind == "truncated" else self._flipped(payload)
            self.counts["damaged_but_readable"] += _is_readable(bad)
            return Passing(now=(bad,))
        if kind == "late":
            return Passing(now=(payload,), later=((self._rng.uniform(*LATE_S), payload),))
        copy = payload if kind == "duplicate" else self._of_a_stranger(payload)
        return Passing(now=(payload, copy))

    def _drawn(self) -> str | None:
        share = self._rng.random()
        for kind in KINDS:
            share -= self._rates.get(kind, 0.0)
            if share < 0:
                return kind
        return None

    def _cut(self, payload: bytes) -> bytes:
        return payload[: self._rng.randrange(len(payload))]

    def _flipped(self, payload: bytes) -> bytes:
        bad = bytearray(payload)
        for _ in range(self._rng.randint(1, MOST_FLIPS)):
            bad[self._rng.randrange(len(bad))] ^= self._rng.randint(1, 255)
        return bytes(bad)

    def _of_a_stranger(self, payload: bytes) -> bytes:
        """As if for another start of the headset."""
        message = decode(payload, stream="result")
        header = replace(message.header, boot_id=self._rng.randbytes(16))
        return Encoder().encode(replace(message, header=header))


def _is_readable(payload: bytes) -> bool:
    try:
        decode(payload, stream="result")
    except MalformedMessage:
        return False
    return True
