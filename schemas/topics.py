"""THE STREAM TABLE: every conversation of the system is a row here, or it does not exist.

Pure: builds, parses and filters topics from the rows. ``broker.access`` derives access lists from the
writer and reader roles; sessions take QoS, retain, limits and queue rules from the same rows.

Topics hold no '.', no spaces and at most 7 slashes, so that every broker (and AWS IoT) carries them.
"""

import re
from dataclasses import dataclass
from enum import Enum

from schemas.errors import TopicError

PREFIX = "hw/1"
POOL = "any"
CHUNK_BYTES = 61_440  # 60 KiB: below AWS IoT's 128 KB and 12 ms of a 40 Mbit/s link
KIB = 1024


class Role(str, Enum):
    """Who a client is. A device or worker may only use topics that carry its own id in its own place."""

    DEVICE = "device"
    WORKER = "worker"
    MANAGER = "manager"
    BRIDGE = "bridge"
    INTEGRATION = "integration"
    ENROLLEE = "enrollee"


class Traffic(str, Enum):
    """Which of a node's two sessions carries the stream."""

    CONTROL = "control"
    DATA = "data"


class Keep(str, Enum):
    """What a full queue keeps: the newest message, or all in order (then the newest is refused)."""

    NEWEST = "newest"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stream."""

    name: str
    pattern: str  # with {site}, {device}, {worker}, {task}, {digest}, {n}, {name}, {client}, {manager}
    message: str  # class name in schemas.messages or schemas.documents, or "bytes"
    traffic: Traffic
    qos: int
    retain: bool
    rate_hz: float  # the highest steady rate a healthy writer keeps
    max_age_ms: int  # older is dropped by sender and receiver; 0 = never too old
    queue_depth: int
    keep: Keep
    max_payload_bytes: int
    writers: frozenset[Role]
    readers: frozenset[Role]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the pattern's placeholders in order."""
        return tuple(re.findall(r"\{(\w+)\}", self.pattern))


D, W, M, B, I, N = Role.DEVICE, Role.WORKER, Role.MANAGER, Role.BRIDGE, Role.INTEGRATION, Role.ENROLLEE  # noqa: E741 - one letter per role keeps the table readable


def _control(  # one line per stream below
    name: str,
    tail: str,
    message: str,
    writers: set[Role],
    readers: set[Role],
    *,
    retain: bool = False,
    qos: int = 1,
    rate_hz: float = 1.0,
    max_kib: int = 64,
    depth: int = 64,
    keep: Keep = Keep.ALL,
) -> Row:
    return Row(
        name=name,
        pattern=f"{PREFIX}/{{site}}/{tail}",
        message=message,
        traffic=Traffic.CONTROL,
        qos=qos,
        retain=retain,
        rate_hz=rate_hz,
        max_age_ms=0,
        queue_depth=depth,
        keep=keep,
        max_payload_bytes=max_kib * KIB,
        writers=frozenset(writers),
        readers=frozenset(readers),
    )


def _data(
    name: str,
    tail: str,
    message: str,
    writers: set[Role],
    readers: set[Role],
    *,
    rate_hz: float,
    max_age_ms: int,
    max_kib: int,
    depth: int = 1,
) -> Row:
    return Row(
        name=name,
        pattern=f"{PREFIX}/{{site}}/{tail}",
        message=message,
        traffic=Traffic.DATA,
        qos=0,
        retain=False,
        rate_hz=rate_hz,
        max_age_ms=max_age_ms,
        queue_depth=depth,
        keep=Keep.NEWEST,
        max_payload_bytes=max_kib * KIB,
        writers=frozenset(writers),
        readers=frozenset(readers),
    )


# fmt: off
TOPICS: tuple[Row, ...] = (
    # the headset
    _control("device-presence", "d/{device}/presence", "DevicePresence", {D}, {D, M, B, I}, retain=True, keep=Keep.NEWEST),
    _control("device-desired", "d/{device}/desired", "Desired", {M}, {D, B, I}, retain=True, keep=Keep.NEWEST),
    _control("device-reported", "d/{device}/reported", "Reported", {D}, {M, B, I}, retain=True, keep=Keep.NEWEST),
    _control("device-event", "d/{device}/event", "Event", {D}, {M, B, I}),
    _control("device-ack", "d/{device}/ack", "Ack", {M}, {D}),
    _control("device-command", "d/{device}/command", "Command", {M}, {D}),
    _control("device-reply", "d/{device}/reply", "Reply", {D}, {M}),
    _control("device-echo", "d/{device}/echo/{traffic}", "bytes", {D}, {D}, qos=0, rate_hz=10, max_kib=1, depth=2),
    _control("device-chunkreq", "d/{device}/chunkreq", "ChunkRequest", {D}, {M}, rate_hz=20),
    _control("device-chunk", "d/{device}/chunk/{digest}/{n}", "bytes", {M}, {D}, rate_hz=200),
    _data("telemetry", "d/{device}/telemetry", "Telemetry", {D}, {M, B, I}, rate_hz=2, max_age_ms=5000, max_kib=4, depth=8),
    _data("telemetry-json", "d/{device}/telemetry/json", "TelemetryMirror", {D}, {M, B, I}, rate_hz=2, max_age_ms=5000, max_kib=8, depth=8),
    _data("infer", "d/{device}/infer/{worker}/{task}", "Frame", {D}, {W}, rate_hz=60, max_age_ms=1000, max_kib=2048),
    _data("result", "d/{device}/result/{worker}/{task}", "Result", {W}, {D}, rate_hz=60, max_age_ms=1000, max_kib=2048, depth=4),
    # the worker
    _control("worker-presence", "w/{worker}/presence", "WorkerPresence", {W}, {W, D, M, B, I}, retain=True, keep=Keep.NEWEST),
    _control("worker-desired", "w/{worker}/desired", "Desired", {M}, {W, B, I}, retain=True, keep=Keep.NEWEST),
    _control("worker-reported", "w/{worker}/reported", "Reported", {W}, {M, B, I}, retain=True, keep=Keep.NEWEST),
    _control("worker-load", "w/{worker}/load", "Load", {W}, {D, M, I}, qos=0, rate_hz=2, max_kib=4, depth=1, keep=Keep.NEWEST),
    _control("worker-echo", "w/{worker}/echo/{traffic}", "bytes", {W}, {W}, qos=0, rate_hz=10, max_kib=1, depth=2),
    # the manager and the site
    _control("manager-presence", "m/{manager}/presence", "ManagerPresence", {M}, {M, D, W, B, I}, retain=True, keep=Keep.NEWEST),
    _control("manager-echo", "m/{manager}/echo/{traffic}", "bytes", {M}, {M}, qos=0, rate_hz=10, max_kib=1, depth=2),
    _control("client-echo", "i/{client}/echo/{traffic}", "bytes", {B, I, N}, {B, I, N}, qos=0, rate_hz=10, max_kib=1, depth=2),
    _control("broadcast-chunk", "a/{digest}/{n}", "bytes", {M}, {D, W}, rate_hz=200),
    _control("metadata", "meta/{name}", "bytes", {M}, {D, W}, retain=True, max_kib=512),
    _control("resync", "resync", "Resync", {M}, {D, W}),
    _control("enrol-request", "e/{client}/request", "EnrolRequest", {N}, {M}, max_kib=16),
    _control("enrol-reply", "e/{client}/reply", "EnrolReply", {M}, {N}, max_kib=16),
)
# fmt: on

BY_NAME: dict[str, Row] = {row.name: row for row in TOPICS}

_ID = r"[a-z0-9][a-z0-9-]{0,31}"
FIELD_PATTERNS: dict[str, str] = {
    "site": _ID,
    "device": _ID,
    "worker": _ID,
    "manager": _ID,
    "client": _ID,
    "task": _ID,
    "traffic": "control|data",
    "digest": r"[0-9a-f]{64}",
    "n": r"[0-9]{1,6}",
    "name": r"[a-z0-9][a-z0-9-]{0,63}",
}


def _regex(row: Row) -> re.Pattern[str]:
    # patterns hold no regular-expression characters besides the placeholders
    return re.compile(re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{FIELD_PATTERNS[m[1]]})", row.pattern))


_REGEXES: tuple[tuple[Row, re.Pattern[str]], ...] = tuple((row, _regex(row)) for row in TOPICS)


def row(name: str) -> Row:
    """The row of a stream.

    Raises:
        TopicError: no stream has this name.
    """
    try:
        return BY_NAME[name]
    except KeyError:
        raise TopicError(f"no stream is named {name!r}; the table has {sorted(BY_NAME)}") from None


def check_id(field: str, value: str) -> str:
    """``value`` itself when it may stand in the place ``field`` of a topic.

    Raises:
        TopicError: it may not; says which characters may.
    """
    if not re.fullmatch(FIELD_PATTERNS[field], value):
        raise TopicError(
            f"{field} {value!r} is not allowed in a topic; it must match {FIELD_PATTERNS[field]}"
        )
    return value


def topic(name: str, /, **ids: object) -> str:
    """The topic of a stream, every placeholder filled.

    Raises:
        TopicError: an id is missing, unknown or not allowed.
    """
    stream = row(name)
    if set(ids) != set(stream.fields):
        raise TopicError(f"stream {name!r} needs {stream.fields}, got {tuple(ids)}")
    return stream.pattern.format(**{field: check_id(field, str(value)) for field, value in ids.items()})


def topic_filter(name: str, /, **ids: object) -> str:
    """The subscription filter of a stream; placeholders not given become ``+``.

    Raises:
        TopicError: an id is unknown or not allowed.
    """
    stream = row(name)
    if unknown := set(ids) - set(stream.fields):
        raise TopicError(f"stream {name!r} has no {sorted(unknown)}; it has {stream.fields}")
    filled = {field: check_id(field, str(ids[field])) if field in ids else "+" for field in stream.fields}
    return stream.pattern.format(**filled)


def pool_filter(site: str, task: str) -> str:
    """The shared subscription of a task's worker pool: one fixed group per task."""
    return f"$share/{check_id('task', task)}/{topic_filter('infer', site=site, worker=POOL, task=task)}"


def parse(text: str) -> tuple[Row, dict[str, str]]:
    """The row and ids of a concrete topic.

    Raises:
        TopicError: no row matches.
    """
    for stream, regex in _REGEXES:
        if match := regex.fullmatch(text):
            return stream, match.groupdict()
    raise TopicError(f"topic {text!r} is not in the stream table")
