"""Spans of the real gateway at a real OTLP receiver."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration import processes
from tests.integration.data_plane import Plane, bearer, get, running_plane
from tests.integration.scripted_upstream import Link, Received

TRACE, PARENT = "9c1d62a5e0c14c52b6f18a7d7c1f0e33", "b7ad6b7169203331"
SERVER, CLIENT = 2, 3  # SpanKind in the protocol


class Collector:
    """Takes spans on a port of its own."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[Any] = []
        self.paths: set[str] = set()
        self._has_come = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = ExportTraceServiceRequest()
                message.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.take(self.path, message)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, message: Any) -> None:
        with self._has_come:
            self.paths.add(path)
            for resource in message.resource_spans:
                self.resources.append(resource.resource)
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            self._has_come.notify_all()

    def wait_for(self, count: int) -> list[Any]:
        with self._has_come:
            assert self._has_come.wait_for(lambda: len(self.spans) >= count, 20), self.spans
            return self.spans


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def told(span: Any) -> dict[str, Any]:
    return {
        each.key: each.value.string_value if each.value.HasField("string_value") else each.value.int_value
        for each in span.attributes
    }


def sent_traces(plane: Plane) -> list[list[str]]:
    """What the upstream got as traceparent, in parts."""
    lines = [line.decode() for received in plane.upstream.requests for line in received.head.split(b"\r\n")]
    return [line.partition(": ")[2].split("-") for line in lines if line.lower().startswith("traceparent:")]


async def fails(link: Link, received: Received) -> None:
    await link.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def test_s86_an_exchange_is_a_server_span_and_a_client_span_whose_id_the_upstream_gets(
    tmp_path: Path, collector: Collector
) -> None:
    tracing = {"otlp_endpoint": collector.url, "one_in": 1, "service_name": "edge"}
    token = bearer(user_id="traced")
    with running_plane(tmp_path, tracing=tracing) as plane:
        answer = plane.ask(get("/required/x?secret=hunter2", token, b"User-Agent: curl/8"))
        assert answer.status == 200
        (sent,) = sent_traces(plane)
    server, client = sorted(collector.wait_for(2), key=lambda span: span.kind)  # sent at the end at the latest
    assert collector.paths == {"/v1/traces"}
    assert {each.key: each.value.string_value for each in collector.resources[0].attributes}["service.name"] == "edge"
    assert (server.kind, client.kind) == (SERVER, CLIENT)
    assert sent == ["00", server.trace_id.hex(), client.span_id.hex(), "01"]
    assert client.trace_id == server.trace_id
    assert (server.parent_span_id, client.parent_span_id) == (b"", server.span_id)
    assert server.start_time_unix_nano <= client.start_time_unix_nano <= client.end_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    assert (server.name, client.name) == ("GET /required", "GET")
    assert told(server) == {
        "http.request.method": "GET",
        "url.path": "/required/x",
        "url.scheme": "http",
        "http.route": "/required",
        "http.response.status_code": 200,
        "server.address": "api.example.org",
        "server.port": 80,
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "gateway.request_id": answer.field("x-request-id"),
    }
    assert told(client) == {
        "http.request.method": "GET",
        "url.full": f"{plane.upstream.url}/required/x",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": plane.upstream.port,
        "network.protocol.version": "1.1",
    }
    assert (server.status.code, client.status.code) == (0, 0)
    everything = b"".join(span.SerializeToString() for span in collector.spans)
    assert b"hunter2" not in everything
    assert token.rpartition(b" ")[2] not in everything
    assert f'"trace_id":"{server.trace_id.hex()}"' in plane.gateway.output()


def test_errors_say_whose_they_are(tmp_path: Path, collector: Collector) -> None:
    with running_plane(tmp_path, tracing={"otlp_endpoint": collector.url, "one_in": 1}) as plane:
        assert plane.ask(get("/required/x")).status == 401
        plane.upstream.play(fails)
        assert plane.ask(get("/public/x")).status == 503
    refused, server, client = sorted(collector.wait_for(3), key=lambda span: span.end_time_unix_nano + span.kind)
    assert (refused.kind, refused.status.code, told(refused)["gateway.reason"]) == (SERVER, 0, "not_authenticated")
    assert "error.type" not in told(refused)
    assert (server.kind, server.status.code, told(server)["error.type"]) == (SERVER, 2, "503")
    assert (client.kind, client.status.code, told(client)["error.type"]) == (CLIENT, 2, "503")


def test_a_stranger_does_not_decide_what_is_recorded(tmp_path: Path, collector: Collector) -> None:
    """One in a billion is nobody here. Whose request is marked as sampled by a trusted proxy is recorded."""
    tracing = {"otlp_endpoint": collector.url, "one_in": 1_000_000_000}
    sampled, unsampled = (f"traceparent: 00-{TRACE}-{PARENT}-{flags}".encode() for flags in ("01", "00"))
    proxy = b"X-Forwarded-For: 192.0.2.7"
    with running_plane(tmp_path, tracing=tracing, listen={"trusted_proxies": ["127.0.0.1"]}) as plane:
        for lines in ([sampled], [unsampled, proxy], [], [sampled, proxy]):
            assert plane.ask(get("/public/x", *lines)).status == 200
        stranger, passed, made, followed = sent_traces(plane)
    server, client = sorted(collector.wait_for(2), key=lambda span: span.kind)
    assert len(collector.spans) == 2
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert followed == ["00", TRACE, client.span_id.hex(), "01"]
    assert (stranger[1], stranger[3]) == (TRACE, "00")
    assert passed == ["00", TRACE, PARENT, "00"]
    assert made[3] == "00"


def test_a_collector_that_is_away_costs_nobody_anything(tmp_path: Path) -> None:
    tracing = {"otlp_endpoint": f"http://127.0.0.1:{processes.free_port()}", "one_in": 1}
    with running_plane(tmp_path, tracing=tracing, workers=2) as plane:
        assert [plane.ask(get("/public/x")).status for _ in range(20)] == [200] * 20
