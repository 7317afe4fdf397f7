"""What no request reaches; what requests do with the ledger is in the tests of the endpoints."""

from collections.abc import Callable

from gateway.errors import StoreUnavailable
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Session
from tests.unit.endpoints.plane import Plane


class RestlessStore(SqliteStateStore):
    """Somebody is always faster."""

    async def replace_session(self, old: Session, new: Session) -> bool:
        return False


def test_a_session_that_never_rests_is_refused_and_not_waited_for(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(store_class=RestlessStore, rotates=True)
    answer = plane.ask("refresh/", {"refresh": plane.login()["refresh"]})
    assert (answer.status, answer.json["code"], answer.fields["Retry-After"]) == (503, "store_unavailable", "1")


def test_a_log_in_whose_session_cannot_be_recorded_gives_no_tokens(make_plane: Callable[..., Plane]) -> None:
    class ReadOnlyStore(SqliteStateStore):
        async def open_session(self, session: Session) -> bool:
            raise StoreUnavailable("The disk is full.")

    plane = make_plane(store_class=ReadOnlyStore)
    answer = plane.ask("", {"username": "alice", "password": "alice-pass-1"})
    assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
