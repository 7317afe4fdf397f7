"""What is shipped beside the code, as far as promises stand in it."""

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[2]
# Each older release has a published bypass or denial of service that reaches this program.
FLOORS = {"aiohttp": (3, 14, 5), "PyJWT": (2, 15, 1), "PyYAML": (6, 0, 0)}


def version(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    return table


@pytest.mark.parametrize("name", FLOORS)
def test_s92_no_older_release_of_a_dependency_is_installed(name: str) -> None:
    [requirement] = [each for each in project()["dependencies"] if re.match(rf"{name}\b", each)]
    floor = re.search(r">=\s*([\d.]+)", requirement)
    assert floor is not None
    assert version(floor[1]) >= FLOORS[name]
    assert version(importlib.metadata.version(name)) >= FLOORS[name]


@pytest.mark.parametrize("page", ["README.md", "docs/deployment.md"])
def test_s94_the_example_lets_nobody_reach_the_backend_around_the_gateway(page: str) -> None:
    text = (TOP / page).read_text()
    [block] = re.findall(r"```yaml\n(services:.*?)```", text, re.DOTALL)
    services = yaml.safe_load(block)["services"]
    assert services["backend"]["network_mode"] == services["gateway"]["network_mode"] == "service:network"
    assert [name for name, service in services.items() if "ports" in service] == ["network"]
    assert [port.rpartition(":")[2] for port in services["network"]["ports"]] == ["8080"]
    assert services["gateway"]["read_only"] is True
    sentences = " ".join(text.split())
    assert "whoever reaches the backend directly can claim to be anyone" in sentences


@pytest.mark.parametrize("name", ["gateway.yaml", "compose.yaml"])
def test_the_page_shows_the_files_that_are_shipped(name: str) -> None:
    assert f"```yaml\n{(TOP / 'deploy/compose' / name).read_text()}```" in (TOP / "docs/deployment.md").read_text()


@pytest.mark.parametrize("path", sorted((TOP / "deploy/forward-auth").iterdir()), ids=lambda path: path.name)
def test_the_page_about_other_proxies_shows_the_files_that_are_tested(path: Path) -> None:
    assert f"\n{path.read_text()}```\n" in (TOP / "docs/forward-auth.md").read_text()


def test_the_chart_and_the_component_have_one_configuration() -> None:
    chart = yaml.safe_load((TOP / "deploy/helm/simplejwt-gateway/values.yaml").read_text())["config"]
    assert chart == yaml.safe_load((TOP / "deploy/kubernetes/component/gateway.yaml").read_text())


def test_s94_the_network_policy_leaves_the_gateways_port_alone_open() -> None:
    policy = yaml.safe_load((TOP / "deploy/kubernetes/component/network_policy.yaml").read_text())["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]


def test_s90_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", (TOP / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert all(int(number) > 0 for pair in users for number in pair)
