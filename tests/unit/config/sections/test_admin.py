"""The least configuration has an admin listener, on loopback."""

import pytest

from gateway.config.sections.admin import Admin
from tests.unit.config.sample import parse_with, refusals


def test_s87_without_a_section_it_is_on_loopback() -> None:
    assert parse_with().admin == Admin(enabled=True, address="127.0.0.1", port=8081)


@pytest.mark.parametrize("port", ["0", "65536", "null"])
def test_its_port_must_be_known_to_those_who_ask(port: str) -> None:
    assert [refusal.split(":")[0] for refusal in refusals(admin=f"{{port: {port}}}")] == ["admin.port"]
