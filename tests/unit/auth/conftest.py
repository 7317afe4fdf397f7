from collections.abc import Iterator

import pytest

from gateway.auth.keyring import Keyring
from gateway.auth.keys import ALGORITHMS, build_key, generate_key
from gateway.types import Secret
from tests.unit.auth.simplejwt_library import SimpleJwtLibrary


@pytest.fixture(scope="session")
def library() -> Iterator[SimpleJwtLibrary]:
    library = SimpleJwtLibrary()
    yield library
    library.close()


@pytest.fixture(scope="session")
def keyrings() -> dict[str, Keyring]:
    """One of each algorithm; those of RSA share a key, which takes a quarter of a second to make."""
    rsa_key = generate_key("RS256")
    return {
        name: Keyring(build_key(name, Secret(rsa_key if name[:2] in ("RS", "PS") else generate_key(name)), None))
        for name in ALGORITHMS
    }
