"""Structured logs."""

import io
import json
import sys

import pytest
import structlog

from observability import log
from observability.errors import LogError


@pytest.fixture(autouse=True)
def _fresh_logging():
    yield
    structlog.reset_defaults()


def test_json_logs_are_one_object_per_line_with_service_and_node():
    stream = io.StringIO()
    log.configure("worker", "w-1", json=True, stream=stream)
    log.get("intake").info("frame_refused", reason="busy", frame_id=7)
    line = json.loads(stream.getvalue())
    timestamp = line.pop("timestamp")
    assert timestamp.endswith("Z")
    assert line == {
        "service": "worker",
        "node": "w-1",
        "part": "intake",
        "event": "frame_refused",
        "level": "info",
        "reason": "busy",
        "frame_id": 7,
    }


def test_a_logger_made_before_configure_follows_it():
    early = log.get("early")
    stream = io.StringIO()
    log.configure("node", json=True, stream=stream)
    early.warning("said")
    assert json.loads(stream.getvalue())["part"] == "early"


def test_levels_below_the_chosen_one_are_left_out():
    stream = io.StringIO()
    log.configure("node", json=True, level="warning", stream=stream)
    log.get("x").info("quiet")
    assert stream.getvalue() == ""


def test_logs_go_to_stderr_so_that_stdout_keeps_the_answer(capsys):
    log.configure("node")
    log.get("x").info("said_aloud")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "said_aloud" in captured.err


def test_an_exception_is_logged_with_its_trace():
    stream = io.StringIO()
    log.configure("node", json=True, stream=stream)
    try:
        int("broken")
    except ValueError:
        log.get("x").exception("failed")
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]


def test_an_unknown_level_is_refused_with_the_known_ones():
    with pytest.raises(LogError, match="debug, info, warning, error"):
        log.configure("node", level="loud")


def test_a_reader_that_went_away_costs_the_line_and_never_the_thread_that_logs():
    stream = io.StringIO()
    log.configure("test", stream=stream)
    stream.close()
    log.get("part").warning("nobody reads this")


def test_stderr_is_looked_up_when_a_line_is_written(monkeypatch):
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    log.configure("test")
    monkeypatch.setattr(sys, "stderr", second)
    log.get("part").warning("moved")
    assert "moved" in second.getvalue()
    assert not first.getvalue()
