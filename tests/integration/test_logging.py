"""docs/logging.md against the lines of a gateway that runs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.data_plane import HOST, Plane, bearer, get, running_plane

PAGE = (Path(__file__).parents[2] / "docs/logging.md").read_text()
TRACE = "9c1d62a5e0c14c52b6f18a7d7c1f0e33"
TRACEPARENT = f"traceparent: 00-{TRACE}-b7ad6b7169203331-01".encode()
EVERY_LINE = ["time", "level", "logger", "event"]


def table(heading: str) -> list[str]:
    """The members that the table below `heading` names, in order."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("logging")) as running:
        yield running


def lines(plane: Plane, logger: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in plane.gateway.raw_output().splitlines() if line.endswith("}")]
    return [record for record in records if record["logger"] == logger]


def log_in(plane: Plane, *fields: bytes) -> None:
    body = b'{"username":"nobody","password":"hunter2-hunter2"}'
    head = [b"POST /api/token/ HTTP/1.1", HOST, b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    assert plane.ask(b"\r\n".join([*head, *fields, b"", body])).status == 401


def test_every_line_is_one_object_with_time_level_logger_and_event(plane: Plane) -> None:
    plane.upstream.wait_until(lambda: '"event":"listening"' in plane.gateway.raw_output())
    assert plane.ask(get("/public/x")).status == 200
    plane.upstream.wait_until(lambda: bool(lines(plane, "gateway.access")))
    (listening,) = [line for line in lines(plane, "gateway") if line["event"] == "listening"]
    assert listening["url"] == plane.gateway.url
    for line in [listening, *lines(plane, "gateway.access")]:
        assert list(line)[:4] == EVERY_LINE
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert table("Every line")[:4] == EVERY_LINE


def test_requests_have_the_members_of_the_table_in_its_order(plane: Plane) -> None:
    assert plane.ask(get("/required/table", bearer(), TRACEPARENT)).status == 200
    assert plane.ask(get("/required/table", TRACEPARENT)).status == 401
    plane.upstream.wait_until(lambda: plane.gateway.raw_output().count('"/required/table"') == 2)
    served, refused = [line for line in lines(plane, "gateway.access") if line["path"] == "/required/table"]
    told = table("Requests")
    websocket = {"bytes_received", "close_code"}
    assert [*EVERY_LINE, *(name for name in told if name not in websocket)] == list(refused)
    assert [name for name in refused if name != "reason"] == list(served)
    assert (served["route"], served["upstream"], served["trace_id"]) == ("/required", plane.upstream.url, TRACE)
    assert served["ms"] >= served["upstream_ms"] >= 0
    assert (refused["route"], refused["upstream"], refused["upstream_ms"]) == ("/required", None, None)


def test_audit_trail_and_request_tell_of_the_same(plane: Plane) -> None:
    log_in(plane, TRACEPARENT)
    plane.upstream.wait_until(lambda: plane.gateway.raw_output().count('"route":"obtain"') == 1)
    (failed,) = [line for line in lines(plane, "gateway.audit") if line["event"] != "keys_loaded"]
    (request,) = [line for line in lines(plane, "gateway.access") if line["route"] == "obtain"]
    assert (failed["event"], failed["user"]) == ("login_failed", "nobody")
    for name in ("client", "request_id", "trace_id"):
        assert failed[name] == request[name]
    assert "hunter2" not in plane.gateway.raw_output()


def test_text_is_words_for_both_streams(tmp_path: Path) -> None:
    with running_plane(tmp_path, log={"format": "text"}) as plane:
        assert plane.ask(get("/public/x?secret")).status == 200
        plane.upstream.wait_until(lambda: "GET /public/x 200 " in plane.gateway.raw_output())
        assert re.search(r"Z INFO gateway listening url=http://\S+ workers=1 ", plane.gateway.raw_output())
        assert "{" not in plane.gateway.raw_output()
