"""Shell: reads recorded links: ``ping`` logs (delay) and packet-delivery files of mahimahi (rate).

Refuses a file that holds no record, and says what such a file looks like. A ping that never came back counts as a
lost segment sent again: the round trip before it and a retransmission timeout more. Recordings hold no rate (pings)
or no delay (deliveries): who plays them names the other.
"""

from __future__ import annotations

import re
from pathlib import Path

from headway.link_model import LEAST_RTO_NS, MS_NS
from headway.link_spec import DelayTrace, DeliveryTrace, LinkSpecError

_REPLY = re.compile(r"icmp_seq=(\d+) .*\btime=([\d.]+) ms")
_MOST_MISSING = 100_000


def read_delays(path: Path, *, start_s: float = 0.0) -> DelayTrace:
    """The round trips of a log that ``ping`` wrote once a second.

    Raises:
        LinkSpecError: the file cannot be read or is no such log.
    """
    found = {int(number): float(rtt_ms) for number, rtt_ms in _REPLY.findall(_text(path))}
    if not found:
        raise LinkSpecError(
            f"{path} holds no line like 'icmp_seq=1 ttl=64 time=12.3 ms': give the output of ping"
        )
    first, last = min(found), max(found)
    if last - first > len(found) + _MOST_MISSING:
        raise LinkSpecError(f"{path} lacks more than {_MOST_MISSING} pings: give the log of one run of ping")
    rtts_ms: list[float] = []
    before_ms = found[first]
    for number in range(first, last + 1):
        rtt_ms = found.get(number)
        rtts_ms.append(before_ms + LEAST_RTO_NS / MS_NS if rtt_ms is None else rtt_ms)
        before_ms = before_ms if rtt_ms is None else rtt_ms
    return DelayTrace(rtts_ms=tuple(rtts_ms), start_s=start_s)


def read_deliveries(path: Path) -> DeliveryTrace:
    """The times of a packet-delivery file: one whole number of milliseconds a line, one line per 1500 bytes.

    Raises:
        LinkSpecError: the file cannot be read or is no such file.
    """
    times: list[int] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        if not (word.isascii() and word.isdigit()):
            raise LinkSpecError(f"{path}, line {number}: {word[:40]!r} is no whole number of milliseconds")
        times.append(int(word))
    try:
        return DeliveryTrace(opportunities_ms=tuple(times))
    except LinkSpecError as error:
        raise LinkSpecError(f"{path}: {error}") from error


def is_ping_log(path: Path) -> bool:
    """Whether the file looks like the output of ``ping``."""
    return _REPLY.search(_text(path)) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise LinkSpecError(f"{path} cannot be read ({error.strerror}): name a file that is there") from error
