"""docs/wire.md against a running gateway: its ```http blocks are requests and their answers, in the order of the page.

`eyJ…R1` in an answer is bound when it comes the first time; from then on, here and in requests, it stands for the same
text. Any other `…` stands for anything on its line.
"""

import dataclasses
import re
from pathlib import Path

from gateway.errors import ANSWERS, Reason
from tests.conformance.wire import exchange, post_json
from tests.integration.data_plane import Plane, running_plane
from tests.integration.raw_client import Answer

PAGE = (Path(__file__).parents[2] / "docs/wire.md").read_text()
NAMED = re.compile(r"(?:eyJ)?…([A-Z][0-9])")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """A message as the page has it; `body` is None where none is shown."""

    start_line: str
    fields: tuple[str, ...]
    body: str | None


def shown(block: str) -> Shown:
    head, separator, body = block.partition("\n\n")
    start_line, *fields = head.strip().split("\n")
    return Shown(start_line=start_line, fields=tuple(fields), body=body.strip() if separator else None)


def exchanges() -> list[tuple[Shown, Shown]]:
    blocks = [shown(block) for block in re.findall(r"```http\n(.*?)```", PAGE, re.DOTALL)]
    requests, answers = blocks[::2], blocks[1::2]
    assert len(requests) == len(answers)
    assert all(answer.start_line.startswith("HTTP/1.1 ") for answer in answers)
    return list(zip(requests, answers, strict=True))


class Reader:
    """Sends what the page shows, with the tokens that came before."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.known: dict[str, str] = {}

    def log_in(self, number: int) -> None:
        answer = exchange(
            self._plane.port, post_json(b"/api/token/", {"username": "alice", "password": "alice-password"})
        )
        self.known |= {f"R{number}": answer.json()["refresh"], f"A{number}": answer.json()["access"]}

    def guess(self, times: int) -> None:
        for _ in range(times):
            exchange(self._plane.port, post_json(b"/api/token/", {"username": "guessed", "password": "wrong"}))

    def send(self, request: Shown) -> Answer:
        text = "\r\n".join([request.start_line, "Host: api.example.org", "User-Agent: a browser", *request.fields])
        body = self._with_known(request.body or "").encode()
        if body:
            text += f"\r\nContent-Length: {len(body)}"
        return self._plane.ask(f"{self._with_known(text)}\r\n\r\n".encode() + body)

    def _with_known(self, text: str) -> str:
        return NAMED.sub(lambda match: self.known[match[1]], text)

    def compare(self, expected: Shown, answer: Answer) -> None:
        assert answer.status == int(expected.start_line.split(" ")[1]), (expected, answer)
        for line in expected.fields:
            name, _, value = line.partition(": ")
            assert answer.field(name.lower()) == value, (expected, answer)
        if expected.body is not None:
            match = re.fullmatch(self._pattern(expected.body), answer.body.decode())
            assert match, (expected, answer)
            self.known |= match.groupdict()

    def _pattern(self, text: str) -> str:
        parts, end = [], 0
        for match in NAMED.finditer(text):
            parts.append(_loose(text[end : match.start()]))
            known = self.known.get(match[1])
            parts.append(f'(?P<{match[1]}>[^"]+)' if known is None else re.escape(known))
            end = match.end()
        return "".join([*parts, _loose(text[end:])])


def _loose(text: str) -> str:
    return r"[^\"]*".join(map(re.escape, text.split("…")))


def test_every_exchange_of_the_page_is_what_the_gateway_answers(tmp_path: Path) -> None:
    with running_plane(
        tmp_path,
        routes=[{"path": "/", "upstream": "main"}],
        users=["alice"],
        guessing={"enabled": True},
        cors={"allow_origins": ["https://app.example.org"]},
        tokens={"rotate_refresh_tokens": True},
    ) as plane:
        reader = Reader(plane)
        for request, answer in exchanges():
            if "guessed" in (request.body or ""):
                reader.guess(5)
            if "A5" in str(request) and "A5" not in reader.known:
                reader.log_in(5)
            if "A6" in str(request):
                reader.log_in(6)
            reader.compare(answer, reader.send(request))


# No client that a person writes is refused so: other methods, versions and expectations than there are.
UNUSUAL = {417, 426, 501, 505}


def test_every_code_of_a_refusal_is_on_the_page() -> None:
    table = PAGE.partition("## What every status means to a client")[2].partition("\n## ")[0]
    codes = {}
    for statuses, cell in re.findall(r"^\| ([0-9, ]+) \| (.*?) \|", table, re.MULTILINE):
        codes |= dict.fromkeys(map(int, statuses.split(", ")), re.findall(r"`([a-z_]+)…?`", cell))
    for reason, answer in ANSWERS.items():
        to_a_proxy = reason in (Reason.QUESTION_DENIED, Reason.QUESTION_UNCLEAR)
        if answer.status not in UNUSUAL and answer.code is not None and not to_a_proxy:
            assert any(answer.code.startswith(code) for code in codes[answer.status]), answer
