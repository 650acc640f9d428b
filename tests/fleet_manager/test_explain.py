"""Why a headset computed where it did: asked over a broker, told to a person, and what happens without an answer."""

import threading

import pytest
from fleet_scene import ScriptedDevice, eventually
from test_cli import APPS, answer, headway, manager_url, mosquitto, real_broker, wait_for  # noqa: F401  fixtures

from fleet_manager.errors import ConflictError, UnreachableError
from fleet_manager.explain_screen import candidates, decisions, newest, value_text
from fleet_manager.questions import MAX_OPEN, Questions
from fleet_manager.views import explain_view
from observability.metrics import Registry
from schemas.documents import Reply

CONSIDERED = [
    {"path": "local", "worker": None, "quality": 0, "p_on_time": 0.999, "energy_j": 0.11, "cost": 0.0,
     "score": 0.4, "why_not": "offload is as likely in time and better"},
    {"path": "offload", "worker": "w-1", "quality": 80, "p_on_time": 0.9985, "energy_j": 0.018, "cost": 0.0,
     "score": 1.2, "why_not": ""},
]  # fmt: skip
BODY = {
    "policy": "deadline",
    "mode": "offload",
    "reason": "in time with 99.9 %",
    "decisions": [
        {
            "frame_id": number,
            "path": "offload",
            "worker": "w-1",
            "reason": "in time with 99.9 %",
            "p_on_time": 0.9985,
            "duplicate": False,
            "inputs": {"budget_ns": 33_000_000, "route": {"w-1": {"p99_ns": 21_400_000}}, "battery": 0.81},
            "considered": CONSIDERED,
        }
        for number in (12, 13, 11)
    ],
}


def test_a_person_reads_why_over_a_real_broker(headway, real_broker):  # noqa: F811  fixtures
    ScriptedDevice(real_broker, "hs-21", boot="1" * 32, explains=BODY)
    wait_for(headway, "hs-21")
    told = headway("device", "explain", "hs-21", "--last", "2").stdout
    assert told.startswith("hs-21: policy deadline, offload: in time with 99.9 %")
    assert "offload is as likely in time and better" in told
    assert "21.4 ms" in told
    assert "110 mJ" in told
    shown = answer(headway("device", "explain", "hs-21", "--last", "2", "--json"))
    assert [row["frame_id"] for row in shown["decisions"]] == [12, 13]
    assert shown["decisions"][-1]["considered"] == CONSIDERED


def test_a_headset_of_older_software_tells_what_it_knows(headway, real_broker):  # noqa: F811  fixtures
    words = {"policy": "local", "mode": "local", "reason": "policy local"}
    ScriptedDevice(real_broker, "hs-22", boot="2" * 32, explains=words)
    wait_for(headway, "hs-22")
    told = headway("device", "explain", "hs-22").stdout
    assert "policy local" in told
    assert "its software is older" in told


def test_one_that_does_not_answer_or_went_offline_is_not_there(headway, real_broker):  # noqa: F811  fixtures
    device = ScriptedDevice(real_broker, "hs-23", boot="3" * 32)
    wait_for(headway, "hs-23")
    silent = headway("device", "explain", "hs-23", exit_code=3)
    assert "did not answer within 3 s" in silent.stderr
    assert "headway device show hs-23" in silent.stderr
    device.say("device-presence", device.born(online=False))
    eventually(lambda: answer(headway("device", "show", "hs-23", "--json"))["connectivity"] == "offline")
    assert "hs-23 is offline" in headway("device", "explain", "hs-23", exit_code=3).stderr


def test_an_answer_counts_only_from_the_one_that_was_asked():
    metrics = Registry()

    def send(device, command):
        reply = Reply(command_id=command.command_id, ok=True, body={"from": device})
        questions.answered("hs-2", reply)
        questions.answered(device, reply)
        questions.answered(device, reply)
        return True

    questions = Questions(send=send, metrics=metrics)
    assert questions.explain("hs-1").body == {"from": "hs-1"}
    counters = metrics.snapshot()["counters"]
    assert [n for name, n in counters.items() if "reply_nobody_waits_for" in name] == [2]


def test_a_road_that_takes_no_command_is_said_at_once():
    questions = Questions(send=lambda _device, _command: False, metrics=Registry())
    with pytest.raises(UnreachableError, match="healthz"):
        questions.explain("hs-1")


def test_silent_headsets_hold_a_bounded_number_of_questions():
    asked, commands = threading.Semaphore(0), []

    def send(device, command):
        commands.append((device, command))
        asked.release()
        return True

    questions = Questions(send=send, metrics=Registry())
    waiting = [threading.Thread(target=questions.explain, args=(f"hs-{n}",)) for n in range(MAX_OPEN)]
    for thread in waiting:
        thread.start()
        assert asked.acquire(timeout=10)
    with pytest.raises(ConflictError, match="ask again"):
        questions.explain("hs-99")
    for device, command in commands:
        questions.answered(device, Reply(command_id=command.command_id, ok=True))
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()


def test_what_a_headset_says_is_read_carefully():
    odd = Reply(command_id="c-1", ok=True, body={"policy": 7, "decisions": ["x", {"considered": [3, {}]}]})
    view = explain_view("hs-1", odd, last=5)
    assert (view.policy, view.mode, len(view.decisions)) == ("7", "", 1)
    assert decisions(list(view.decisions))[0][0] == "-"
    assert len(candidates(view.decisions[0])) == 1
    assert newest({"inputs": {"a": {"b": [1, 2]}}}) == [("a.b", "1, 2")]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("budget_ns", 20_500_000, "20.5 ms"),
        ("energy_j", 0.0123, "12.3 mJ"),
        ("samples", 12345, "12345"),
        ("p_on_time", 0.5, "50.0%"),
        ("ready", True, "yes"),
        ("worker", None, "-"),
        ("rest_ms", 123_456.7, "123457 ms"),
    ],
)
def test_values_are_shown_with_their_units(name, value, text):
    assert value_text(name, value) == text


def test_the_table_of_commands_has_the_question():
    assert "explain" in [command.callback.__name__ for command in APPS["device"].registered_commands]


def test_a_split_is_shown_with_where_it_cuts():
    split = {
        "frame_id": 7,
        "path": "split",
        "placement": "20:59",
        "considered": [{"path": "split", "placement": "13:59"}],
    }
    assert decisions([split])[0][1] == "split 20:59"
    assert candidates(split)[0][0] == "split 13:59"
