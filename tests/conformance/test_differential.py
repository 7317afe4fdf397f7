"""The same bytes to the real library and to the gateway: the answers agree, or a documented deviation says why not."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from tests.conformance.case import Case
from tests.conformance.compatibility_page import CASES
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.observation import Observation, ask
from tests.conformance.pairs import Pair
from tests.conformance.users import USERS

DEVIATING: Final = {case_id: answer for deviation in DEVIATIONS for case_id, answer in deviation.answers.items()}

AskLibrary = Callable[[Case], Observation]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@each_case
def test_library_answers_as_its_contract_says(case: Case, ask_library: AskLibrary) -> None:
    observation = ask_library(case)
    assert observation.shows(case.expected), observation


@each_case
def test_gateway_answers_as_the_library_or_as_documented(case: Case, ask_library: AskLibrary, pair: Pair) -> None:
    from_library = ask_library(case)
    from_gateway = ask(pair.gateway.port, case.request)
    if case.id not in DEVIATING:
        assert from_gateway == from_library
        return
    assert from_gateway.shows(DEVIATING[case.id]), from_gateway
    assert from_gateway != from_library, f"{case.id} agrees now: take it out of deviations.py"


def test_every_case_has_its_own_id() -> None:
    assert [case_id for case_id, count in Counter(case.id for case in CASES).items() if count > 1] == []


def test_every_deviation_names_a_case_once() -> None:
    named = [case_id for deviation in DEVIATIONS for case_id in deviation.answers]
    assert len(named) == len(set(named))
    assert set(named) <= {case.id for case in CASES}


def test_s84_no_request_made_the_gateway_raise(pair: Pair) -> None:
    """Stands behind the cases: none of them left a traceback. Other stories are looked at when their servers end."""
    assert "Traceback" not in pair.gateway.output()


def test_s86_neither_token_nor_password_is_logged(pair: Pair) -> None:
    by_id = {case.id: case for case in CASES}
    for case_id in ("obtain-good", "obtain-wrong-password", "refresh-good", "view-good", "view-exp-past"):
        ask(pair.gateway.port, by_id[case_id].request)
    output = pair.gateway.output()
    assert "login_succeeded" in output
    # Every token begins with these letters, the Base64 of `{"`.
    assert "eyJ" not in output
    assert [user["password"] for user in USERS if user["password"] in output] == []
