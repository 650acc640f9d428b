"""Fixtures of the headset's tests."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def fresh_logs():
    """Commands set up the process's logs; the next test must not write to their closed streams."""
    yield
    structlog.reset_defaults()
