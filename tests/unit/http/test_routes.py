"""Which route a canonical path falls on: held against a plain reading of the rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.routes import RouteTable

TABLE = RouteTable(
    exact={"/api/token/": "login", "/api/exact": "exact"},
    prefixes={"/api": "api", "/api/admin/": "admin", "/static/": "static", "/Case": "case"},
)


@pytest.mark.parametrize(
    ("path", "plan"),
    [
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/x/y", "api"),
        ("/api/token/", "login"),
        ("/api/token", "api"),
        ("/api/token/x", "api"),
        ("/api/exact", "exact"),
        ("/api/exact/", "api"),
        ("/api/admin", "admin"),
        ("/api/admin/", "admin"),
        ("/api/admin/x", "admin"),
        ("/api/administrator", "api"),
        ("/static", "static"),
        ("/Case/x", "case"),
    ],
)
def test_s22_the_exact_path_then_the_longest_prefix_of_whole_segments(path: str, plan: str) -> None:
    assert TABLE.match(path) == plan


@pytest.mark.parametrize("path", ["/", "/apix", "/ap", "/API", "/case", "/x/api", "/static.x"])
def test_s23_where_no_rule_matches_there_is_no_plan(path: str) -> None:
    assert TABLE.match(path) is None


def test_the_root_prefix_takes_the_rest() -> None:
    table = RouteTable(exact={}, prefixes={"/": "root", "/a": "a"})
    assert [table.match(path) for path in ("/", "/x", "/a", "/a/b", "/ab/c")] == ["root", "root", "a", "a", "root"]


def test_an_empty_table_matches_nothing() -> None:
    assert RouteTable[str](exact={}, prefixes={}).match("/") is None


def test_s20_an_equal_plan_is_not_the_same_plan() -> None:
    one, other = ["plan"], ["plan"]
    table = RouteTable(exact={}, prefixes={"/a": one, "/b": other})
    assert table.all_fall_on(one, ["/a", "/a/b"])
    assert table.all_fall_on(one, [])
    assert not table.all_fall_on(one, ["/a", "/b"])
    assert not table.all_fall_on(one, ["/x"])
    assert table.all_fall_on(None, ["/x", "/"])


PATHS = st.lists(st.sampled_from(["a", "b", "ab", "A"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(
    st.sets(PATHS, max_size=4),
    st.dictionaries(PATHS, st.booleans(), max_size=5),
    PATHS,
    st.booleans(),
)
def test_s22_matching_is_the_rule_spelled_out(
    exact: set[str], slashed: dict[str, bool], path: str, ends_in_slash: bool
) -> None:
    prefixes = {prefix.rstrip("/") + "/" * is_slashed: prefix.rstrip("/") for prefix, is_slashed in slashed.items()}
    asked = path.rstrip("/") + "/" * ends_in_slash or "/"
    covering = [prefix for prefix in prefixes.values() if asked == prefix or asked.startswith(prefix + "/")]
    expected = "=" + asked if asked in exact else max(covering, key=len, default=None)

    table = RouteTable(exact={each: "=" + each for each in exact}, prefixes=prefixes)
    assert table.match(asked) == expected


@given(st.lists(st.sampled_from(["api", "token", "admin", "exact", "apix", ""]), min_size=1, max_size=4))
def test_the_first_of_the_trace_that_covers_a_path_is_its_match(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    covering = [plan for _, _, plan, covers in TABLE.trace(path) if covers]
    assert (covering or [None])[0] == TABLE.match(path)


def test_a_trace_names_every_entry_exact_ones_and_longer_ones_first() -> None:
    assert [(entry, is_exact) for entry, is_exact, _, _ in TABLE.trace("/")] == [
        ("/api/token/", True),
        ("/api/exact", True),
        ("/api/admin", False),
        ("/static", False),
        ("/Case", False),
        ("/api", False),
    ]
