"""Attributes of spans, in the words of OpenTelemetry's HTTP conventions; tests/integration/test_tracing.py has the rest."""

import dataclasses
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from gateway.observability.otel import OtelSpans
from gateway.observability.tracing import Call, Served, Trace

TRACE = Trace(1, 2, 3, 4, True, b"")
CALL = Call(server="http://backend:8000", path="/x", began_before_end=0.5, status=200, error=None)
SERVED = Served(
    method="GET",
    path="/x",
    scheme="https",
    protocol="1.1",
    route="/",
    host="api.example.org:8443",
    client="192.0.2.7",
    user_agent=None,
    status=200,
    reason=None,
    is_failure=False,
    request_id="r-1",
    duration=1.0,
    call=CALL,
)


class Sink:
    """Where the SDK's processor would be."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = OtelSpans(endpoint="http://127.0.0.1:9/", service_name="gateway")
    made.close()
    made._processor = Sink()  # type: ignore[assignment]
    return made


def recorded(spans: Any, **changes: Any) -> list[ReadableSpan]:
    spans.record(TRACE, dataclasses.replace(SERVED, **changes))
    return spans._processor.spans


def test_times_end_together_and_begin_where_they_began(spans: Any) -> None:
    server, client = recorded(spans)
    assert server.end_time == client.end_time
    assert (server.end_time - server.start_time, client.end_time - client.start_time) == (10**9, 5 * 10**8)
    assert (server.parent.span_id, server.parent.is_remote, client.parent.span_id) == (2, True, 3)


@pytest.mark.parametrize(
    ("changes", "name", "attributes"),
    [
        ({}, "GET /", {"server.address": "api.example.org", "server.port": 8443}),
        ({"host": "a", "route": None}, "GET", {"server.address": "a", "server.port": 443, "http.route": None}),
        ({"host": None}, "GET /", {"server.address": None}),
        (
            {"method": "BREW"},
            "_OTHER /",
            {"http.request.method": "_OTHER", "http.request.method_original": "BREW"},
        ),
        ({"path": "/" + "x" * 9000}, "GET /", {"url.path": "/" + "x" * 511}),
        ({"path": "/\ud800"}, "GET /", {"url.path": "/?"}),
        ({"status": 502, "is_failure": True, "reason": "upstream_broken"}, "GET /", {"error.type": "upstream_broken"}),
        ({"status": 500, "is_failure": True}, "GET /", {"error.type": "500", "gateway.reason": None}),
    ],
)
def test_what_a_server_span_says(spans: Any, changes: dict[str, Any], name: str, attributes: dict[str, Any]) -> None:
    (server,) = recorded(spans, call=None, **changes)
    assert server.name == name
    assert {key: server.attributes.get(key) for key in attributes} == attributes


@pytest.mark.parametrize(
    ("changes", "attributes"),
    [
        ({}, {"server.address": "backend", "server.port": 8000, "url.full": "http://backend:8000/x"}),
        ({"server": "https://backend"}, {"server.port": 443, "url.full": "https://backend/x"}),
        ({"server": "unix:/run/app.sock"}, {"server.address": "/run/app.sock", "url.full": "http://localhost/x"}),
        ({"status": None, "error": "upstream_timeout"}, {"error.type": "upstream_timeout"}),
    ],
)
def test_what_a_client_span_says(spans: Any, changes: dict[str, Any], attributes: dict[str, Any]) -> None:
    _, client = recorded(spans, call=dataclasses.replace(CALL, **changes))
    assert {key: client.attributes.get(key) for key in attributes} == attributes
    assert ("http.response.status_code" in client.attributes) is (client.attributes.get("error.type") is None)
