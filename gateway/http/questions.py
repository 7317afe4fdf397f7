"""Forward authentication: another proxy passes requests on, and asks of each whether it may.

The question is a request of the proxy's own. It names the one that it is about in one of two ways, and the operator
says which, since a question that is taken for one of the other kind would be answered about another request:

- in X-Forwarded-Method and X-Forwarded-Uri, once each (nginx's auth_request, Traefik's ForwardAuth, Caddy's
  forward_auth);
- in its own request line, behind the path of the endpoint (Envoy's ext_authz over HTTP).

What is asked about then goes the way of every request, to the point where it would be sent to an upstream. Only the
peers that are listed may ask: those fields are as good as the proxy that set them.
"""

from enum import Enum, auto

from gateway.errors import Reason, Refused
from gateway.http.heads import MalformedHeadError, parse_request_line
from gateway.http.requests import Request

_METHOD, _URI, _HOST = b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host"


class NamedIn(Enum):
    """Where a question names the request that it is about."""

    FIELDS = auto()
    TARGET = auto()


class Questions:
    """Knows questions, which come to `path`, and unfolds them.

    `named_in` None is for peers that may not ask. Everybody's requests are looked at: one that were passed to a backend
    would get an answer that the proxy takes for a yes.
    """

    __slots__ = ("_named_in", "_path")

    def __init__(self, *, path: str, named_in: NamedIn | None) -> None:
        self._path = path.rstrip("/")
        self._named_in = named_in

    def concerns(self, target: str) -> bool:
        """Whether this comes to the endpoint: its path and whatever follows, but for what goes on in the same word.

        The target is looked at as it was sent, since Envoy puts the path before whatever a client sent to it, `*` too.
        """
        if not target.startswith(self._path):
            return False
        following = target[len(self._path) :][:1]
        return not (following.isalnum() or following in ("-", "_", "~", "."))

    def unfold(self, request: Request) -> None:
        """Make of a question the request that it is about; what is the question's alone, as its framing, stays.

        Raises `Refused`: QUESTION_DENIED for who may not ask, QUESTION_UNCLEAR where it cannot be told what is asked,
        BAD_REQUEST for what is no request line, BAD_HOST for two hosts, BAD_TARGET for a target that is no path,
        NO_ROUTE for a question about the endpoint, FORGED_FIELD for a request that names a user or another path in a
        way that only we take out.
        """
        if self._named_in is None:
            raise Refused(Reason.QUESTION_DENIED)
        in_fields = self._named_in is NamedIn.FIELDS
        method, target = self._named_by_fields(request) if in_fields else self._named_by_target(request)
        request.asked_by, request.method, request.target = request.method, method, target
        # A preflight is not answered through another proxy, which takes any good answer for leave to pass it on; nor
        # is a tunnel opened, or waited for a body.
        request.is_preflight = request.is_upgrade = False
        request.expect = None
        if not target.startswith("/"):
            raise Refused(Reason.BAD_TARGET)
        if self.concerns(target):
            raise Refused(Reason.NO_ROUTE)
        if request.has_forgery:
            raise Refused(Reason.FORGED_FIELD)

    def _named_by_fields(self, request: Request) -> tuple[str, str]:
        methods, targets, hosts = (_values(request, name) for name in (_METHOD, _URI, _HOST))
        behind = request.target[len(self._path) :]
        # Caddy leaves the query of what it asks about behind its own path.
        if behind[:1] not in ("", "?") or len(methods) != 1 or len(targets) != 1:
            raise Refused(Reason.QUESTION_UNCLEAR)
        if len(hosts) > 1:
            raise Refused(Reason.BAD_HOST)
        if hosts:
            request.host = hosts[0]  # the question's own names the gateway
        try:
            # The grammar of a request line has no other place for these two.
            return parse_request_line(b"%b %b HTTP/1.1" % (methods[0], targets[0]))[:2]
        except MalformedHeadError:
            raise Refused(Reason.BAD_REQUEST) from None

    def _named_by_target(self, request: Request) -> tuple[str, str]:
        behind = request.target[len(self._path) :]
        if not behind or _values(request, _METHOD) or _values(request, _URI):
            raise Refused(Reason.QUESTION_UNCLEAR)
        return request.method, behind


def _values(request: Request, name: bytes) -> list[bytes]:
    return [value for other, value in request.forwarded or () if other == name]
