"""Spans for OpenTelemetry: what the gateway has recorded, in the words of the HTTP semantic conventions.

The only module that imports OpenTelemetry, which is an extra. The SDK's processor keeps a bounded queue and sends it
from a thread of its own; a collector that is away costs the spans, not the service.
"""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway import __version__
from gateway.observability.families import KNOWN_METHODS
from gateway.observability.tracing import Call, Served, Trace

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status(StatusCode.UNSET)
_ERROR: Final = Status(StatusCode.ERROR)
_EXPORT_SECONDS: Final = 5.0
_MAX_TEXT: Final = 512
_PORTS: Final = {"http": 80, "https": 443}

Attributes = Mapping[str, str | int]


class OtelSpans:
    """Makes spans of what it is told and sends them to `endpoint` (OTLP over HTTP)."""

    def __init__(self, *, endpoint: str, service_name: str) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=_EXPORT_SECONDS)
        self._processor = BatchSpanProcessor(exporter)
        self._resource = Resource.create({"service.name": service_name, "service.version": __version__})
        self._scope = InstrumentationScope("gateway", __version__)

    def record(self, trace: Trace, served: Served) -> None:
        ended = time.time_ns()
        method = served.method if served.method in KNOWN_METHODS else "_OTHER"
        server = SpanContext(trace.trace_id, trace.server_span_id, is_remote=False, trace_flags=_SAMPLED)
        parent = None
        if trace.parent_id is not None:
            parent = SpanContext(trace.trace_id, trace.parent_id, is_remote=True, trace_flags=_SAMPLED)
        self._emit(
            f"{method} {served.route}" if served.route else method,
            context=server,
            parent=parent,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, **_of_server(served)},
            is_error=served.is_failure,
            times=(ended - _nanoseconds(served.duration), ended),
        )
        call = served.call
        if call is not None:
            self._emit(
                method,
                context=SpanContext(trace.trace_id, trace.client_span_id, is_remote=False, trace_flags=_SAMPLED),
                parent=server,
                kind=SpanKind.CLIENT,
                attributes={"http.request.method": method, **_of_client(call)},
                is_error=call.error is not None,
                times=(ended - _nanoseconds(call.began_before_end), ended),
            )

    def _emit(
        self,
        name: str,
        *,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        is_error: bool,
        times: tuple[int, int],
    ) -> None:
        span = ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=_ERROR if is_error else _UNSET,
            start_time=times[0],
            end_time=times[1],
            instrumentation_scope=self._scope,
        )
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left; waits for the collector, a few seconds at most."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _of_server(served: Served) -> Attributes:
    attributes: dict[str, str | int] = {
        "url.path": _sent(served.path),
        "url.scheme": served.scheme,
        "http.response.status_code": served.status,
        "client.address": served.client,
        "network.protocol.version": served.protocol,
        "gateway.request_id": served.request_id,
    }
    if served.method not in KNOWN_METHODS:
        attributes["http.request.method_original"] = served.method[:_MAX_TEXT]
    if served.route is not None:
        attributes["http.route"] = served.route
    if served.host is not None:
        attributes |= _address(f"{served.scheme}://{served.host}")
    if served.user_agent is not None:
        attributes["user_agent.original"] = served.user_agent[:_MAX_TEXT]
    if served.reason is not None:
        attributes["gateway.reason"] = served.reason
    if served.is_failure:
        attributes["error.type"] = served.reason or str(served.status)
    return attributes


def _of_client(call: Call) -> Attributes:
    base = "http://localhost" if call.server.startswith("unix:") else call.server
    attributes: dict[str, str | int] = {
        "url.full": f"{base}{_sent(call.path)}",
        "network.protocol.version": "1.1",
        **_address(call.server),
    }
    if call.status is not None:
        attributes["http.response.status_code"] = call.status
    if call.error is not None:
        attributes["error.type"] = call.error
    return attributes


def _address(url: str) -> Attributes:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return {"server.address": parts.path}
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(parts.scheme, 0)}


def _sent(path: str) -> str:
    """What the protocol can carry: whole batches would be lost for a lone surrogate."""
    return path[:_MAX_TEXT].encode(errors="replace").decode()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
