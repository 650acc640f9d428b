"""Shell: follows the JSON telemetry of a site's headsets on the data road."""

import secrets
from collections.abc import Callable
from queue import Empty, SimpleQueue

import structlog

from broker.access import own_id
from broker.external import check_login
from broker.reactor import Reactor
from broker.road import Delivery, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from edge_node.errors import BrokerError
from schemas.documents import TelemetryMirror, parse_document
from schemas.errors import MalformedMessage, TopicError
from schemas.topics import parse, topic, topic_filter
from schemas.verify import check_sender

_log = structlog.get_logger("edge_node.tail")
READY_TIMEOUT_S = 10.0
POLL_S = 0.2


def follow_telemetry(
    url: str,
    *,
    site: str,
    device: str | None,
    show: Callable[[TelemetryMirror], bool],
    clock_s: Callable[[], float],
    seconds: float | None = None,
    username: str | None = None,
    password: str | None = None,
) -> int:
    """Show telemetry as it comes until ``show`` says False or ``seconds`` are over; returns how many came.

    Raises:
        BrokerError: the broker does not answer in time.
        BrokerRefused: it does not let this listener in.
    """
    came: SimpleQueue[TelemetryMirror] = SimpleQueue()

    def take(delivery: Delivery) -> None:
        try:
            document = parse_document(TelemetryMirror, delivery.payload)
            check_sender(parse(delivery.topic)[1], document)
        except (MalformedMessage, TopicError) as error:
            _log.warning("telemetry was not readable", topic=delivery.topic, why=str(error))
            return
        came.put(document)

    check_login(url, username=username, password=password)
    me = f"tail-{secrets.token_hex(4)}"
    # an access list lets a user hear its own echo only, and names it by the user's id
    echo = own_id(username or "") or me
    config = SessionConfig(
        url=url,
        client_id=me,
        echo_topic=topic("client-echo", site=site, client=echo, traffic="data"),
        traffic=Traffic.DATA,
        username=username,
        password=password,
    )
    ids = {"site": site} if device is None else {"site": site, "device": device}
    with Reactor(name="tail") as reactor:
        session = Session(config, reactor=reactor)
        try:
            session.subscribe(topic_filter("telemetry-json", **ids), take)
            return _show_all(session, came, show=show, clock_s=clock_s, seconds=seconds)
        finally:
            session.close()


def _show_all(
    session: Session,
    came: "SimpleQueue[TelemetryMirror]",
    *,
    show: Callable[[TelemetryMirror], bool],
    clock_s: Callable[[], float],
    seconds: float | None,
) -> int:
    began_s, shown = clock_s(), 0
    while seconds is None or clock_s() - began_s < seconds:
        try:
            document = came.get(timeout=POLL_S)
        except Empty:
            unheard = shown == 0 and session.state is not RoadState.READY
            if unheard and clock_s() - began_s > READY_TIMEOUT_S:
                raise BrokerError(
                    f"the broker at {session.config.url} does not answer ({session.last_error}): "
                    "check --broker, or start one with `headway broker run`"
                ) from None
            continue
        shown += 1
        if not show(document):
            break
    return shown
