"""Field names: which are the gateway's, which end here, which pass; in every spelling that a backend folds together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fields import (
    CLIENT_ADDRESS_FIELD,
    FORWARDING,
    HOP_BY_HOP,
    MAX_CONNECTION_OPTIONS,
    REQUEST_ID_FIELD,
    RequestFieldUses,
    ResponseFieldUses,
    Use,
    connection_options,
    fold,
    without_nominated,
)
from gateway.http.heads import MalformedHeadError

MANAGED = ("X-User-Id", "Remote-User")
USES = RequestFieldUses(token_field="Authorization", managed=MANAGED)
TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEPARATORS = "!#$%&'*+-.^_`|~"


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        (b"X-User-Id", b"X_USER_ID"),
        (b"x.user!id", b"X_USER_ID"),
        (b"x_user_id", b"X_USER_ID"),
        (b"xuserid9", b"XUSERID9"),
        (b"", b""),
        (b"\xe9", b"_"),
    ],
)
def test_s1_names_fold_as_cgi_folds_them(name: bytes, folded: bytes) -> None:
    assert fold(name) == folded


def respelled(name: str, data: st.DataObject) -> bytes:
    """A spelling that folds to the same name: any case, any separator for each separator."""
    return "".join(
        data.draw(st.sampled_from([char.lower(), char.upper()]) if char.isalnum() else st.sampled_from(SEPARATORS))
        for char in name
    ).encode()


@given(st.sampled_from([*MANAGED, CLIENT_ADDRESS_FIELD]), st.data())
def test_s1_no_spelling_of_a_managed_name_passes(name: str, data: st.DataObject) -> None:
    assert USES.use_of(respelled(name, data)) is Use.DROP


@given(st.sampled_from(sorted(HOP_BY_HOP | FORWARDING)), st.data())
def test_s4_no_spelling_of_a_hop_by_hop_or_forwarding_name_passes(folded: bytes, data: st.DataObject) -> None:
    use = USES.use_of(respelled(folded.decode(), data))
    # In their own spelling the first three decide something; they do not pass either.
    assert use in (Use.DROP, Use.CONNECTION, Use.TRANSFER_ENCODING, Use.UPGRADE)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", max_size=20), st.data())
def test_s6_no_field_speaks_as_a_proxy(rest: str, data: st.DataObject) -> None:
    """Proxies make new ones all the time: X-Forwarded-Client-Cert is an identity, X-Forwarded-Uri another path."""
    assert USES.use_of(respelled(f"X_FORWARDED_{rest}", data)) is Use.DROP


DECIDING = {
    "Host": Use.HOST,
    "Content-Length": Use.CONTENT_LENGTH,
    "Transfer-Encoding": Use.TRANSFER_ENCODING,
    "Connection": Use.CONNECTION,
    "Expect": Use.EXPECT,
    "Authorization": Use.TOKEN,
    "Origin": Use.ORIGIN,
    "Access-Control-Request-Method": Use.PREFLIGHT,
    REQUEST_ID_FIELD: Use.REQUEST_ID,
    "X-HTTP-Method-Override": Use.METHOD_OVERRIDE,
    "X-HTTP-Method": Use.METHOD_OVERRIDE,
    "X-Method-Override": Use.METHOD_OVERRIDE,
}


@pytest.mark.parametrize(("name", "use"), DECIDING.items())
def test_a_field_that_decides_counts_in_its_one_proper_spelling(name: str, use: Use) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert USES.use_of(spelling.encode()) is use
    if "-" in name:
        for separator in SEPARATORS.replace("-", ""):
            assert USES.use_of(name.replace("-", separator).encode()) is Use.DROP


@pytest.mark.parametrize("name", ["Content-Type", "user-agent", "CONTENT-RANGE", "Content-Location", "Max-Forwards"])
def test_fields_that_may_come_once_are_counted(name: str) -> None:
    assert USES.use_of(name.encode()) is Use.PASS_ONCE


@pytest.mark.parametrize("name", ["Cookie", "Accept", "X-User-Idx", "XUserId", "X-User--Id", "X-Trace", "Via", "x"])
def test_other_fields_pass(name: str) -> None:
    assert USES.use_of(name.encode()) is Use.PASS


def test_the_tokens_field_is_the_configured_one_and_authorization_passes_then() -> None:
    uses = RequestFieldUses(token_field="X-Token", managed=MANAGED)
    assert uses.use_of(b"x-token") is Use.TOKEN
    assert uses.use_of(b"X_Token") is Use.DROP
    assert uses.use_of(b"Authorization") is Use.PASS


ASKED_ABOUT = ("X-Forwarded-Method", "X-Forwarded-Uri")
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto")


@pytest.mark.parametrize("name", FORWARDED)
def test_s6_what_a_trusted_proxy_says_is_kept_aside_in_its_one_proper_spelling(name: str) -> None:
    trusting = RequestFieldUses(token_field="Authorization", managed=MANAGED, trusts_peer=True)
    for spelling in (name, name.lower()):
        assert trusting.use_of(spelling.encode()) is Use.FORWARDED
        assert USES.use_of(spelling.encode()) is Use.DROP
    for other in (name.replace("-", "_"), "X-Real-IP", "Forwarded", "X-Forwarded-Prefix", *ASKED_ABOUT):
        assert trusting.use_of(other.encode()) is Use.DROP


@pytest.mark.parametrize("name", ASKED_ABOUT)
def test_s24_what_a_proxy_asks_about_is_kept_aside_of_those_that_may_ask(name: str) -> None:
    asking = RequestFieldUses(token_field="Authorization", managed=MANAGED, trusts_peer=True, told=())
    for spelling in (name, name.lower()):
        assert asking.use_of(spelling.encode()) is Use.FORWARDED
        assert USES.use_of(spelling.encode()) is Use.DROP
    for other in (name.replace("-", "_"), "X-Original-URI", "X-Original-Method"):
        assert asking.use_of(other.encode()) is Use.DROP
    assert asking.use_of(b"X-Forwarded-For") is Use.FORWARDED


def test_s1_what_a_proxy_that_asks_would_pass_on_is_a_forgery() -> None:
    asking = RequestFieldUses(token_field="Authorization", managed={"X-User-Id", "Remote-User"}, told={"X-User-Id"})
    for name in (b"X_User_Id", b"x.user-id", b"Remote-User", b"REMOTE_USER", b"X-Original-URL", b"X_Rewrite_Url"):
        assert asking.use_of(name) is Use.FORGERY
        assert USES.use_of(name) is not Use.FORGERY
    for name in (b"X-User-Id", b"x-user-id", b"X-Real-IP", b"X-Original-URI"):
        assert asking.use_of(name) is Use.DROP


@pytest.mark.parametrize(
    "name", [b"X User", b"X ", b" X", b"\tX", b"", b"X\x00", b"\xe9", b"X:Y", b"X\r", b'"X"', b"X[]"]
)
def test_s12_a_name_that_is_no_token_is_refused_and_not_remembered(name: bytes) -> None:
    uses = RequestFieldUses(token_field="Authorization", managed=MANAGED)
    for _ in range(2):
        with pytest.raises(MalformedHeadError):
            uses.learn(name)
    assert uses.by_name == {}


def test_s83_remembered_names_are_bounded_in_number_and_length() -> None:
    uses = RequestFieldUses(token_field="Authorization", managed=MANAGED)
    remembered = uses.by_name
    for number in range(3000):
        assert uses.learn(b"X-%d" % number) is Use.PASS
        assert uses.by_name is remembered
        assert len(remembered) <= 1024
    assert uses.learn(b"X_User_Id") is remembered[b"X_User_Id"] is Use.DROP
    assert uses.learn(b"x" * 64) is remembered[b"x" * 64] is Use.PASS
    assert uses.learn(b"x" * 65) is Use.PASS
    assert b"x" * 65 not in remembered


@given(st.text(alphabet=TOKEN_CHARACTERS, min_size=1, max_size=20))
def test_s1_what_passes_folds_to_nothing_that_is_ours(name: str) -> None:
    if USES.use_of(name.encode()) in (Use.PASS, Use.PASS_ONCE):
        ours = {fold(each.encode()) for each in (*MANAGED, *DECIDING, CLIENT_ADDRESS_FIELD)} | HOP_BY_HOP | FORWARDING
        assert fold(name.encode()) not in ours


def test_fields_of_an_answer() -> None:
    uses = ResponseFieldUses()
    assert uses.use_of(b"CONTENT-LENGTH") is Use.CONTENT_LENGTH
    assert uses.use_of(b"Transfer-Encoding") is Use.TRANSFER_ENCODING
    assert uses.use_of(b"connection") is Use.CONNECTION
    assert uses.use_of(b"Upgrade") is Use.UPGRADE
    for name in (b"Keep-Alive", b"proxy-connection", b"Proxy-Authenticate", b"TE", b"Trailer", b"X-Request-ID"):
        assert uses.use_of(name) is Use.DROP
    # Clients take names exactly, so another spelling is another field.
    for name in (b"Set-Cookie", b"WWW-Authenticate", b"X_Request_Id", b"Keep_Alive", b"access_control_allow_origin"):
        assert uses.use_of(name) is Use.PASS
    for name in (b"Access-Control-Allow-Origin", b"access-control-max-age"):
        assert uses.use_of(name) is Use.ACCESS_CONTROL


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (b"close", {b"close"}),
        (b"Keep-Alive", {b"keep-alive"}),
        (b"", {b""}),
        (b"close, X-Foo", {b"close", b"x-foo"}),
        (b" \tx-a\t ,,x-b", {b"x-a", b"", b"x-b"}),
        (b"x-a, X-A", {b"x-a"}),
    ],
)
def test_connection_options(value: bytes, options: set[bytes]) -> None:
    assert connection_options(value) == options


def test_s5_connection_options_are_bounded() -> None:
    names = [b"x%d" % number for number in range(MAX_CONNECTION_OPTIONS + 1)]
    assert len(connection_options(b",".join(names[:-1]))) == MAX_CONNECTION_OPTIONS
    with pytest.raises(ValueError, match="too many"):
        connection_options(b",".join(names))
    # Equal ones count too: the rest behind the bound is not cut, so `close` there would not be seen.
    with pytest.raises(ValueError, match="too many"):
        connection_options(b"a," * MAX_CONNECTION_OPTIONS + b"b,close")


def test_s5_nominated_fields_go_in_any_case_and_no_others() -> None:
    passed = [b"X-Foo: 1", b"Cookie: a", b"x-foo:2", b"X-Foo-Bar: 3", b"X-F: X-Foo: 4"]
    assert without_nominated(passed, frozenset({b"x-foo", b"close", b"user-id"})) == [
        b"Cookie: a",
        b"X-Foo-Bar: 3",
        b"X-F: X-Foo: 4",
    ]


@pytest.mark.parametrize("options", [{b"close"}, {b"keep-alive"}, {b""}, {b"close", b"keep-alive"}, set()])
def test_usual_options_cost_no_walk(options: set[bytes]) -> None:
    passed = [b"Close: 1"]
    assert without_nominated(passed, frozenset(options)) is passed
