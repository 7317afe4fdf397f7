"""The servers, each started once a session and only when a test asks for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conformance.case import Case
from tests.conformance.observation import Observation, ask
from tests.conformance.pairs import Pair, Variant, make_users, running_gateway, running_library
from tests.conformance.variants import DEFAULT, ROTATING, customised
from tests.integration.processes import Server


@pytest.fixture(scope="session")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_users(tmp_path_factory.mktemp("users"))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The library alone, with its defaults and its blacklist application."""
    with running_library(DEFAULT, tmp_path_factory.mktemp("library")) as server:
        yield server


@pytest.fixture(scope="session")
def ask_library(library: Server) -> Callable[[Case], Observation]:
    """The library's answer to a case. Asked once: a token that is blacklisted twice answers otherwise."""
    answers: dict[str, Observation] = {}

    def ask_once(case: Case) -> Observation:
        if case.id not in answers:
            answers[case.id] = ask(library.port, case.request)
        return answers[case.id]

    return ask_once


@pytest.fixture(scope="session")
def pair(library: Server, users_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with their defaults."""
    with running_gateway(DEFAULT, library, users_file, tmp_path_factory.mktemp("gateway")) as running:
        yield running


def _pair(variant: Variant, users_file: Path, folder: Path) -> Iterator[Pair]:
    with (
        running_library(variant, folder) as library,
        running_gateway(variant, library, users_file, folder) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def rotating_pair(users_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Refresh tokens are good once."""
    yield from _pair(ROTATING, users_file, tmp_path_factory.mktemp("rotating"))


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def customised_pair(
    rsa_key: rsa.RSAPrivateKey, users_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Every name, the algorithm and the lifetimes are other than the defaults."""
    yield from _pair(customised(rsa_key), users_file, tmp_path_factory.mktemp("customised"))
