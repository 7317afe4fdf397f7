from collections.abc import Callable

import pytest

from gateway.auth.keys import ALGORITHMS, build_key
from gateway.types import Secret


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if not name.endswith(("384", "512"))])
def test_a_generated_key_is_one_that_the_gateway_accepts(
    algorithm: str, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run("key", "generate", "--algorithm", algorithm)
    assert (code, err) == (0, "")
    assert out.endswith("\n")
    assert not out.endswith("\n\n")
    build_key(algorithm, Secret(out.removesuffix("\n")), None)


def test_the_default_is_a_secret_for_hs256(run: Callable[..., tuple[int, str, str]]) -> None:
    _, first, _ = run("key", "generate")
    _, second, _ = run("key", "generate")
    assert first != second
    assert len(first.split()) == 1
    build_key("HS256", Secret(first.strip()), None)


def test_an_unknown_algorithm_names_those_that_there_are(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("key", "generate", "--algorithm", "none")
    assert (code, out) == (1, "")
    assert "HS256" in err
    assert "EdDSA" in err
