"""The generated part of `docs/simplejwt-compatibility.md`.

`python -m tests.conformance.compatibility_page` rewrites it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.conformance import cases_bodies, cases_fields, cases_methods, cases_tokens
from tests.conformance.case import NO_BODY, NOT_JSON, Case, Expected
from tests.conformance.deviations import DEVIATIONS, GENERAL_DEVIATIONS

PAGE: Final = Path(__file__).parents[2] / "docs" / "simplejwt-compatibility.md"
BEGIN: Final = "<!-- from here on made by tests/conformance/compatibility_page.py -->"

GROUPS: Final[dict[str, tuple[Case, ...]]] = {
    "Log-in: bodies, content types, fields, credentials": cases_bodies.CASES,
    "Tokens of every shape, at refresh, verify, blacklist and in front of a backend": cases_tokens.CASES,
    "The Authorization field; optional and stateless routes; fields of refresh, verify, blacklist": cases_fields.CASES,
    "Methods and content negotiation at the token endpoints": cases_methods.CASES,
}
CASES: Final = tuple(case for cases in GROUPS.values() for case in cases)


def render() -> str:
    """Markdown from the marker to the end of the page."""
    return "\n".join([BEGIN, "", *_compared(), "", *_single_answers(), "", *_general(), ""])


def rewritten(page: str) -> str:
    """`page` with its generated part made anew."""
    return page[: page.index(BEGIN)] + render()


def _compared() -> Iterator[str]:
    deviating = {case_id for deviation in DEVIATIONS for case_id in deviation.answers}
    yield "## What is compared"
    yield ""
    yield "| requests | compared | answered otherwise on purpose |"
    yield "|---|---|---|"
    for title, cases in GROUPS.items():
        yield f"| {title} | {len(cases)} | {sum(case.id in deviating for case in cases)} |"
    yield f"| together | {len(CASES)} | {len(deviating)} |"


def _single_answers() -> Iterator[str]:
    library = {case.id: case.expected for case in CASES}
    yield "## Where a single answer differs"
    yield ""
    yield "| request | SimpleJWT 5.5.1 | gateway | why |"
    yield "|---|---|---|---|"
    for deviation in DEVIATIONS:
        theirs = _summaries(library[case_id] for case_id in deviation.answers)
        ours = _summaries(deviation.answers.values())
        yield f"| {deviation.subject} | {theirs} | {ours} | {deviation.reason} |"


def _general() -> Iterator[str]:
    yield "## What no single answer shows"
    yield ""
    yield "| difference | why |"
    yield "|---|---|"
    for deviation in GENERAL_DEVIATIONS:
        yield f"| {deviation.subject} | {deviation.reason} |"


def _summaries(answers: Iterable[Expected]) -> str:
    """The different ones among the answers, in their order."""
    return "; ".join(dict.fromkeys(_summary(answer) for answer in answers))


def _summary(answer: Expected) -> str:
    return f"{answer.status}{_text(answer.body)}"


def _text(body: Any) -> str:
    if body == NOT_JSON:
        return " (a page)"
    if body == NO_BODY:
        return ""
    if "messages" in body:
        return f" “{body['detail']}: {body['messages'][0]['message']}”"
    if "detail" in body:
        return f" “{body['detail']}”"
    if "user_id" in body:
        return ", passes"
    if "access" in body:
        return ", tokens"
    return {"name": ", a description", "username": ", field errors"}.get(next(iter(body), ""), "")


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
