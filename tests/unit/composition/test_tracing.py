"""Tracing is there where it is wanted, and where it can be."""

import sys

import pytest

from gateway.composition.tracing import open_tracing
from gateway.config.sections.tracing import Tracing as TracingSection
from gateway.errors import GatewayError
from gateway.observability.tracing import Tracing


async def test_nobody_is_recorded_unless_somebody_says_so() -> None:
    async with open_tracing(None) as tracing:
        assert tracing is None


async def test_it_records_where_the_extra_is_there() -> None:
    async with open_tracing(TracingSection(otlp_endpoint="http://127.0.0.1:9")) as tracing:
        assert isinstance(tracing, Tracing)


async def test_without_the_extra_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.observability.otel", None)
    with pytest.raises(GatewayError, match=r"pip install 'simplejwt-gateway\[otel\]'"):
        async with open_tracing(TracingSection(otlp_endpoint="http://127.0.0.1:9")):
            pass
