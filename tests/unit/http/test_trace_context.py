"""Which `traceparent` is one: the W3C's grammar (Trace Context §2.2, §3.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.trace_context import accepted_traceparent, trace_id

TRACE, PARENT = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
GOOD = b"00-%b-%b-01" % (TRACE, PARENT)


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        b"00-%b-%b-00" % (TRACE, PARENT),
        b"00-%b-%b-ff" % (TRACE, PARENT),
        # §3.2.4: later versions may add to it, behind a dash.
        b"01-%b-%b-01" % (TRACE, PARENT),
        b"cc-%b-%b-01-what-the-future-brings" % (TRACE, PARENT),
        b"cc-%b-%b-01-" % (TRACE, PARENT),
    ],
)
def test_a_valid_one_passes_as_it_is(value: bytes) -> None:
    assert accepted_traceparent(value) == value
    assert trace_id(value) == TRACE.decode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-more",  # version 00 has a length
        GOOD + b" ",
        GOOD + b"\n",
        b"ff-%b-%b-01" % (TRACE, PARENT),
        b"00-%b-%b-01" % (b"0" * 32, PARENT),
        b"00-%b-%b-01" % (TRACE, b"0" * 16),
        b"cc-%b-%b-01.more" % (TRACE, PARENT),
        b"cc-%b-%b-01-m\x00re" % (TRACE, PARENT),
        b"cc-%b-%b-01-more\n" % (TRACE, PARENT),
        b"cc-%b-%b-01-%b" % (TRACE, PARENT, b"x" * 500),
        b"0g-%b-%b-01" % (TRACE, PARENT),
        b"00_%b_%b_01" % (TRACE, PARENT),
        GOOD + b"," + GOOD,
    ],
)
def test_others_are_none(value: bytes) -> None:
    assert accepted_traceparent(value) is None


@given(st.one_of(st.binary(max_size=80), st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?\Z")))
def test_whatever_passes_is_short_and_printable_with_an_id_in_its_place(value: bytes) -> None:
    accepted = accepted_traceparent(value)
    if accepted is not None:
        assert len(accepted) <= 512
        assert accepted.decode("ascii").isprintable()
        assert int(trace_id(accepted), 16) > 0
