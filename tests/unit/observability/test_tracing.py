"""Which requests are recorded, and under which ids."""

from typing import Any

import pytest

from gateway.http.trace_context import accepted_traceparent, trace_id
from gateway.observability.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01".encode()
UNSAMPLED = f"00-{TRACE}-{PARENT}-00".encode()


def tracing(*, one_in: int = 1, follows_all: bool = False, drawn: int | None = None) -> Tracing:
    sink: Any = None
    if drawn is None:
        return Tracing(sink, one_in=one_in, follows_all=follows_all)
    return Tracing(sink, one_in=one_in, follows_all=follows_all, draw=lambda bits: drawn)


def test_a_trace_that_begins_here_has_new_ids_each_time() -> None:
    traces = [tracing().begin(None, is_trusted=False) for _ in range(3)]
    ids = set()
    for trace in traces:
        assert trace is not None
        assert trace.parent_id is None
        assert accepted_traceparent(trace.traceparent) == trace.traceparent
        assert trace.traceparent == b"00-%032x-%016x-01" % (trace.trace_id, trace.client_span_id)
        ids |= {trace.trace_id, trace.server_span_id, trace.client_span_id}
    assert len(ids) == 9


def test_no_id_is_zero() -> None:
    trace = tracing(drawn=0).begin(None, is_trusted=False)
    assert trace is not None
    assert accepted_traceparent(trace.traceparent)
    assert 0 not in (trace.trace_id, trace.server_span_id, trace.client_span_id)


def test_one_in_so_many_is_recorded() -> None:
    few = tracing(one_in=10)
    sampled = 0
    for _ in range(5000):
        trace = few.begin(None, is_trusted=False)
        assert trace is not None
        assert trace.traceparent.endswith(b"-01" if trace.is_sampled else b"-00")
        sampled += trace.is_sampled
    assert 300 < sampled < 700  # 500, and nine standard deviations of 21 to each side


@pytest.mark.parametrize(
    ("is_trusted", "follows_all", "drawn", "is_sampled"),
    [(False, False, 1, False), (False, False, 2, True), (True, False, 1, True), (False, True, 1, True)],
)
def test_what_is_marked_as_sampled_counts_from_those_who_may_say_so(
    is_trusted: bool, follows_all: bool, drawn: int, is_sampled: bool
) -> None:
    trace = tracing(one_in=2, follows_all=follows_all, drawn=drawn).begin(SAMPLED, is_trusted=is_trusted)
    assert trace is not None
    assert (trace.is_sampled, trace.parent_id) == (is_sampled, int(PARENT, 16))
    assert trace_id(trace.traceparent) == TRACE


@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_trace_that_is_not_recorded_goes_on_as_it_came(is_trusted: bool) -> None:
    assert tracing(follows_all=True).begin(UNSAMPLED, is_trusted=is_trusted) is None
