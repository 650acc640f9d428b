"""The rooms of one site: who is started with what, who ends first, and how one that fell is told."""

import contextlib
import socket
import time

import pytest

from headway.cast import Cast, check_alive
from headway.children import start
from headway.errors import ChildError
from tests.headway.door import naming, python, until

ROOM = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print(time.monotonic()), sys.exit(0)))\n"
WAITS = ROOM + "print('{}', flush=True); time.sleep(60)"
SLOW_TO_END = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(0)))\n"
    "print('{}', flush=True); time.sleep(60)"
)
FALLS = "import sys; print('{}', flush=True); print('out of memory', file=sys.stderr); sys.exit(9)"


@pytest.fixture
def cast(mosquitto_binary, tmp_path):
    with Cast(folder=tmp_path / "site", site="demo", mosquitto=mosquitto_binary) as playing:
        yield playing


def add(cast, name, code):
    child = start(name, [*python(), "-c", code], logs=cast.logs)
    cast.children[name] = child
    child.ready(timeout_s=20)
    return child


def test_everybody_alive_is_no_error(cast):
    add(cast, "hs-1", WAITS)
    check_alive(cast)
    assert cast.fallen() == []


def test_a_fallen_child_is_named_with_its_status_and_the_end_of_its_log(cast):
    add(cast, "hs-1", WAITS)
    child = add(cast, "hs-2", FALLS)
    child.process.wait(20)
    assert cast.fallen() == ["hs-2"]
    with pytest.raises(ChildError, match="hs-2 died with status 9") as caught:
        check_alive(cast)
    assert "out of memory" in str(caught.value)


def test_children_are_ended_together_and_their_last_words_returned(cast):
    for name in ("hs-1", "hs-2", "hs-3"):
        add(cast, name, SLOW_TO_END)
    began_s = time.monotonic()
    said = cast.stop_children(["hs-1", "hs-2", "hs-3", "never-started"])
    assert set(said) == {"hs-1", "hs-2", "hs-3"}
    assert time.monotonic() - began_s < 3 * 0.5 + 1, "one after the other they would take longer"
    assert cast.children == {}


def test_a_child_that_was_asked_to_end_has_not_fallen(cast):
    add(cast, "hs-1", WAITS)
    cast.stop_children(["hs-1"])
    check_alive(cast)


def test_the_manager_ends_after_everybody_who_speaks_to_it(cast, monkeypatch):
    for name in ("manager", "w-1", "hs-1"):
        add(cast, name, WAITS)
    said = {}
    stop_children = Cast.stop_children
    monkeypatch.setattr(Cast, "stop_children", lambda *given: said.update(stop_children(*given)))
    cast.stop()
    ended_s = {name: float(words) for name, words in said.items()}
    assert ended_s["manager"] > max(ended_s["w-1"], ended_s["hs-1"])


def test_a_broker_port_that_is_taken_is_an_error_in_mosquittos_words(mosquitto_binary, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, contextlib.ExitStack() as stack:
        cast = Cast(folder=tmp_path, site="demo", mosquitto=mosquitto_binary, port=taken.getsockname()[1])
        stack.enter_context(cast)
        with pytest.raises(ChildError, match="Address already in use"):
            cast.start_broker()
    assert not naming(tmp_path)


def test_two_casts_on_one_machine_do_not_collide(mosquitto_binary, tmp_path):
    with contextlib.ExitStack() as stack:
        casts = [
            stack.enter_context(Cast(folder=tmp_path / name, site="demo", mosquitto=mosquitto_binary))
            for name in ("one", "two")
        ]
        urls = {cast.start_broker() for cast in casts}
        assert len(urls) == 2
        assert all(url.startswith("mqtt://127.0.0.1:") for url in urls)
    assert not naming(tmp_path)


def test_a_worker_that_does_not_become_ready_is_an_error_and_ended_with_the_cast(cast, tmp_path):
    cast.start_broker()
    with pytest.raises(ChildError, match="w-1 ended with status"):
        cast.start_worker("w-1", models=tmp_path / "no-models", variant="full")
    cast.stop()
    assert not naming(tmp_path)


def test_a_headset_is_started_towards_the_broker_it_is_given(cast, tmp_path):
    cast.start_broker()
    cast.start_headset(
        "hs-1", ["--source", "folder:nothing", "--models", str(tmp_path)], broker_url="mqtt://x:1"
    )
    line = " ".join(" ".join(process.info["cmdline"]) for process in naming(tmp_path / "site" / "hs-1"))
    assert "node run --id hs-1 --site demo --broker mqtt://x:1" in line
    until(cast.fallen, timeout_s=20, what="the refusal of models that are not there")
