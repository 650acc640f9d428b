"""Trace context: ids, children and the text form."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.errors import TraceError
from observability.trace import Trace, child, from_traceparent, new_trace, to_traceparent

ids = st.tuples(
    st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any)
)


@given(ids, st.booleans())
def test_a_traceparent_reads_back_as_the_trace_it_was_written_from(both, sampled):
    trace = Trace(trace_id=both[0], span_id=both[1], sampled=sampled)
    assert from_traceparent(to_traceparent(trace)) == trace


def test_the_example_of_the_specification_reads():
    trace = from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    assert trace.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace.span_id.hex() == "00f067aa0ba902b7"
    assert trace.sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
    ],
)
def test_a_text_that_breaks_the_specification_is_refused(text):
    with pytest.raises(TraceError):
        from_traceparent(text)


def test_a_newer_version_with_more_parts_is_read():
    assert from_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more").sampled is False


def test_children_keep_the_trace_and_change_the_span():
    rng = random.Random(1).randbytes
    first = new_trace(rng)
    second = child(first, rng)
    assert second.trace_id == first.trace_id
    assert second.span_id != first.span_id


def test_zero_ids_are_drawn_again():
    draws = iter([bytes(16), b"\x01" * 16, bytes(8), b"\x02" * 8])
    trace = new_trace(lambda _size: next(draws))
    assert (trace.trace_id, trace.span_id) == (b"\x01" * 16, b"\x02" * 8)
