"""A response head, cut out whole → everything that later steps ask of it."""

from dataclasses import dataclass, field

from gateway.errors import Reason, Refused
from gateway.http.fields import (
    ACCESS_CONTROL,
    CONNECTION,
    CONTENT_LENGTH,
    PASS,
    TRANSFER_ENCODING,
    UPGRADE,
    ResponseFieldUses,
    connection_options,
    without_nominated,
)
from gateway.http.heads import HTTP10, HTTP11, MalformedHeadError, Version, head_lines, parse_status_line


@dataclass(slots=True)
class Response:
    """A response head. `passed` are the field lines that go on to the client, without line ends.

    `line` is the status line to send on: always HTTP/1.1, with the upstream's reason phrase. `access_control` are
    field lines that go on only where the gateway has no cross-origin rules of its own. `is_upgrade`: Upgrade came and
    Connection names it.
    """

    status: int
    line: bytes
    version: Version = HTTP11
    passed: list[bytes] = field(default_factory=list)
    access_control: tuple[bytes, ...] = ()
    content_length: bytes | None = None
    transfer_encoding: bytes | None = None
    should_close: bool = False
    upgrade: bytes | None = None
    is_upgrade: bool = False


class ResponseReader:
    """Reads response heads, strictly: a backend that is unclear must not confuse two clients."""

    __slots__ = ("_uses",)

    def __init__(self, *, uses: ResponseFieldUses) -> None:
        self._uses = uses

    def read(self, head: bytes) -> Response:
        """`head` ends with the empty line. Raises `Refused(UPSTREAM_BROKEN)`."""
        try:
            lines = head_lines(head)
            status, line, version = parse_status_line(lines[0])
            passed: list[bytes] = []
            response = Response(status, line, version, passed)
            uses = self._uses.by_name
            connection: bytes | None = None
            for line in lines[1:]:
                name, value = line.split(b":", 1)  # ValueError for a line without a colon
                use = uses.get(name)
                if use is None:
                    use = self._uses.learn(name)
                if use is PASS:
                    passed.append(line)
                elif use is CONTENT_LENGTH:
                    if response.content_length is not None:
                        raise Refused(Reason.UPSTREAM_BROKEN)
                    response.content_length = value.strip(b" \t")
                elif use is TRANSFER_ENCODING:
                    if response.transfer_encoding is not None:
                        raise Refused(Reason.UPSTREAM_BROKEN)
                    response.transfer_encoding = value.strip(b" \t")
                elif use is ACCESS_CONTROL:
                    response.access_control = (*response.access_control, line)
                elif use is CONNECTION:
                    connection = value.strip(b" \t") if connection is None else b"%b,%b" % (connection, value)
                elif use is UPGRADE:
                    value = value.strip(b" \t")
                    response.upgrade = value if response.upgrade is None else b"%b,%b" % (response.upgrade, value)
        except (MalformedHeadError, ValueError):
            raise Refused(Reason.UPSTREAM_BROKEN) from None
        if connection != b"keep-alive" and (connection is not None or version is HTTP10):
            _apply_connection(response, connection or b"")
        return response


def is_event_stream(response: Response) -> bool:
    """Whether the content is server-sent events, which may go on for hours."""
    for line in response.passed:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-type":
            return value.partition(b";")[0].strip(b" \t").lower() == b"text/event-stream"
    return False


def _apply_connection(response: Response, connection: bytes) -> None:
    try:
        options = connection_options(connection)
    except ValueError:
        raise Refused(Reason.UPSTREAM_BROKEN) from None
    response.should_close = b"close" in options or (response.version is HTTP10 and b"keep-alive" not in options)
    response.is_upgrade = response.upgrade is not None and b"upgrade" in options and response.version is HTTP11
    response.passed = without_nominated(response.passed, options)
    if response.access_control:
        response.access_control = tuple(without_nominated([*response.access_control], options))
