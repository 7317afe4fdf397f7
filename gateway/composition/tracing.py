"""Configuration → what records requests, where it is wanted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.config.sections.tracing import Tracing as TracingSection
from gateway.errors import GatewayError
from gateway.observability.tracing import Tracing


@contextlib.asynccontextmanager
async def open_tracing(section: TracingSection | None) -> AsyncIterator[Tracing | None]:
    """In each worker, since a thread sends the spans. Raises `GatewayError` where the extra is not installed."""
    if section is None:
        yield None
        return
    try:
        from gateway.observability.otel import OtelSpans  # an extra, and 100 ms that nobody else should wait for
    except ImportError as error:
        raise GatewayError(
            f"`tracing` needs OpenTelemetry ({error.name} is missing): pip install 'simplejwt-gateway[otel]'"
        ) from None
    spans = OtelSpans(endpoint=section.otlp_endpoint, service_name=section.service_name)
    try:
        yield Tracing(spans, one_in=section.one_in, follows_all=section.follow_clients)
    finally:
        await asyncio.to_thread(spans.close)
