"""One loop drives many sessions: no thread per client, and nobody starves."""

import threading

from roads_under_test import Inbox, ready, wait_for

from broker.road import RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig

SESSIONS = 150


def test_150_sessions_share_one_thread_and_all_become_ready(mosquitto, reactor):
    inbox = Inbox()
    roads = [
        Session(
            SessionConfig(
                url=mosquitto.url,
                client_id=f"node-{number}",
                echo_topic=f"echo/{number}",
                traffic=Traffic.CONTROL,
            ),
            reactor=reactor,
        )
        for number in range(SESSIONS)
    ]
    roads[0].subscribe("hello/+", inbox, qos=1)
    ready(*roads)
    wait_for(lambda: not [t for t in threading.enumerate() if t.name == "road-dial"])
    assert len([t for t in threading.enumerate() if "reactor" in t.name]) == 1
    for number, road in enumerate(roads):
        road.publish(f"hello/{number}", b"x", qos=1)
    inbox.wait(SESSIONS)
    for road in roads[:-1]:
        reactor.call_soon(road.close)
    roads[-1].close()
    # the others leave on the reactor's thread: it has to run until the last socket is closed
    wait_for(lambda: {road.state for road in roads} == {RoadState.CLOSED})
