"""Role by row on a real Mosquitto, judged by what is delivered: it acknowledges what it denies."""

import pytest
from roads_under_test import Inbox, wait_for

from broker.access import User, acl_text, user
from broker.mosquitto import EmbeddedMosquitto
from broker.road import Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.topics import TOPICS, Role, Row

PASSWORD = "correct horse battery staple"
OWN = {
    Role.DEVICE: "device",
    Role.WORKER: "worker",
    Role.MANAGER: "manager",
    Role.ENROLLEE: "client",
    Role.BRIDGE: "client",
    Role.INTEGRATION: "client",
}
IDS = {
    "site": "s1",
    "device": "d-x",
    "worker": "w-x",
    "manager": "m-x",
    "client": "c-x",
    "task": "hands",
    "traffic": "control",
    "digest": "0" * 64,
    "n": "7",
    "name": "root",
}
USERS = {role: user(role, f"own-{role.value}", site="s1") for role in Role}
AUDITOR = "auditor"


def concrete(row: Row, who: User, /, **other: str) -> str:
    """The row's topic with the client's own id in its own place."""
    ids = dict(IDS)
    if who.role in OWN:
        ids[OWN[who.role]] = who.id
    return row.pattern.format(**{**ids, **other})


@pytest.fixture
def guarded(mosquitto_binary, tmp_path):
    acl = acl_text(USERS.values()) + f"\nuser {AUDITOR}\ntopic readwrite #\n"
    names = [AUDITOR, *(each.name for each in USERS.values())]
    passwords = dict.fromkeys(names, PASSWORD)
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "broker", acl=acl, users=passwords) as broker:
        yield broker


@pytest.fixture(params=[5, 311])
def log_in(request, guarded, reactor):
    """Open a session as some user."""
    opened = []

    def log_in(name: str, *, password: str = PASSWORD) -> Session:
        config = SessionConfig(
            url=guarded.url,
            client_id=name,
            username=name,
            password=password,
            echo_topic=f"echo/{name}",
            traffic=Traffic.CONTROL,
            protocol=request.param,
        )
        opened.append(Session(config, reactor=reactor))
        return opened[-1]

    yield log_in
    for road in opened:
        road.close(timeout_s=0.2)


def test_each_role_writes_its_rows_and_nothing_else(log_in):
    auditor, heard = log_in(AUDITOR), Inbox()
    auditor.subscribe("hw/#", heard, qos=1)
    wait_for(lambda: auditor.echo_rtt_ns.last_ns is not None)
    expected = set()
    for role, client in USERS.items():
        road = log_in(client.name)
        count = 0
        for row in TOPICS:
            tries = {concrete(row, client): role in row.writers, concrete(row, client, site="s2"): False}
            if OWN.get(role) in row.fields:
                tries[concrete(row, client, **{OWN[role]: "somebody"})] = False
            for topic, allowed in tries.items():
                payload = f"{role.value} {topic}".encode()
                assert road.publish(topic, payload, qos=1)
                count += 1
                if allowed:
                    expected.add(payload)
        wait_for(lambda road=road, count=count: road.counters.acked == count, what=f"{role} to finish")
    auditor.publish("hw/marker", b"marker", qos=1)
    wait_for(lambda: b"marker" in heard.payloads)
    assert set(heard.payloads) - {b"marker"} == expected


def test_each_role_hears_its_rows_and_nothing_else(log_in):
    auditor = log_in(AUDITOR)
    wait_for(lambda: auditor.echo_rtt_ns.last_ns is not None)
    inboxes, lasts, sent = {}, {}, set()
    for role, client in USERS.items():
        road, inboxes[role] = log_in(client.name), Inbox()
        road.subscribe("hw/#", inboxes[role], qos=1)
        readable = next(row for row in TOPICS if role in row.readers)
        lasts[role] = concrete(readable, client)
        wait_for(lambda road=road: road.counters.connects == 1)
        # Nothing comes back from a subscription that is granted anyway: wait for a word of it.
        wait_for(lambda topic=lasts[role], inbox=inboxes[role]: _knock(auditor, topic, inbox))
    for row in TOPICS:
        for client in USERS.values():
            sent |= {concrete(row, client), concrete(row, client, site="s2")}
            sent.add(concrete(row, client, **{OWN.get(client.role, "task"): "any"}))
    for topic in sorted(sent):
        assert auditor.publish(topic, b"audit", qos=1)
    for topic in lasts.values():
        auditor.publish(topic, b"last", qos=1)
    for role, client in USERS.items():
        inbox = inboxes[role]
        wait_for(lambda inbox=inbox: b"last" in inbox.payloads, what=f"{role} to hear the last word")
        heard = {each.topic for each in inbox.deliveries if bytes(each.payload) == b"audit"}
        assert heard == {topic for topic in sent if _may_hear(client, topic)}, role


def _knock(auditor: Session, topic: str, inbox: Inbox) -> bool:
    auditor.publish(topic, b"knock", qos=1)
    return b"knock" in inbox.payloads


def _may_hear(client: User, topic: str) -> bool:
    """Written again from the table's words, not from the code under test."""
    from schemas.topics import parse  # noqa: PLC0415  only this oracle needs it

    row, ids = parse(topic)
    if client.role not in row.readers or ids["site"] != client.site:
        return False
    own = OWN.get(client.role)
    if own not in ids or ids[own] == client.id:
        return True
    return row.name == "infer" and ids["worker"] == "any"


def test_a_wrong_password_is_refused_with_the_reason(log_in):
    road = log_in(AUDITOR, password="something else")
    wait_for(lambda: road.last_error is not None and "refused" in road.last_error)
    assert "authori" in road.last_error.lower() or "password" in road.last_error.lower()
    assert road.counters.connects == 0
