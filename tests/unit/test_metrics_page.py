"""docs/metrics.md, the dashboard and the alert rules against the metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.observability.audit_events import COMMAND_EVENTS
from gateway.observability.families import FAMILIES, Kind

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/metrics.md").read_text()
TYPES = {Kind.COUNTER: "counter", Kind.LEVEL: "gauge", Kind.DURATIONS: "histogram"}
DASHBOARD = json.loads((TOP / "deploy/grafana/gateway.json").read_text())
RULES = yaml.safe_load((TOP / "deploy/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
OF_PROCESSES = {f"process_{name}" for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds")}


def rows() -> dict[str, tuple[str, tuple[str, ...]]]:
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| .+ \|$", PAGE, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in found}


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def expressions() -> dict[str, str]:
    shown = {f"{panel['title']} {at['refId']}": at["expr"] for panel in panels() for at in panel["targets"]}
    return shown | {rule["alert"]: rule["expr"] for rule in RULES}


def metrics_in(expression: str) -> set[str]:
    names = re.findall(r"\b(?:gateway|process)_\w+", re.sub(r'"[^"]*"', "", expression))
    return {re.sub(r"(?<=_seconds)_(bucket|sum|count)$", "", name) for name in names}


def test_the_page_has_each_metric_with_its_type_and_labels() -> None:
    assert rows() == {name: (TYPES[family.kind], family.labels) for name, family in FAMILIES.items()}


def test_the_page_has_each_event_of_the_audit_log() -> None:
    source = (TOP / "gateway/observability/audit.py").read_text()
    events = re.findall(r"self\._write\(logging\.\w+, \"(\w+)\"", source)
    assert len(events) > 5
    [row] = [line for line in PAGE.splitlines() if line.startswith("| `gateway_auth_events_total`")]
    assert [event for event in [*events, *COMMAND_EVENTS] if f"`{event}`" not in row] == []


@pytest.mark.parametrize("name", expressions())
def test_what_is_shown_and_what_alerts_asks_for_metrics_and_labels_that_exist(name: str) -> None:
    expression = expressions()[name]
    metrics = metrics_in(expression)
    assert metrics
    assert metrics <= FAMILIES.keys() | OF_PROCESSES
    labels = {label for metric in metrics & FAMILIES.keys() for label in FAMILIES[metric].labels}
    used = set(re.findall(r"[{,] *(\w+)(?:=~|!=|=)", expression))
    for listed in re.findall(r"by \(([^)]*)\)", expression):
        used |= set(listed.replace(" ", "").split(","))
    assert used <= labels | {"instance", "worker", "le"}


def test_every_metric_is_shown() -> None:
    shown = set().union(*(metrics_in(expression) for expression in expressions().values()))
    assert FAMILIES.keys() - shown == set()


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_every_alert_is_tried() -> None:
    tests = (TOP / "deploy/prometheus/alerts_test.yaml").read_text()
    assert [
        rule["alert"] for rule in RULES if f'"{rule["alert"]}"' not in tests and f"{rule['alert']}\n" not in tests
    ] == []


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    places = set()
    for panel in panels():
        assert panel["description"].endswith(".")
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert places.isdisjoint(cells)
        assert max(x for x, _ in cells) < 24
        places |= cells
