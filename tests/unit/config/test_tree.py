from gateway.config.tree import (
    Broken,
    Entry,
    Findings,
    Listing,
    Scalar,
    Table,
    below,
    index_lines,
    index_references,
    line_of,
    show,
)
from gateway.config.yaml_tree import compose


def _document() -> Table:
    access = Scalar(line=4, text="public", kind="str")
    route = Table(line=3, entries={"access": Entry(line=4, node=access)})
    routes = Listing(line=3, items=(route, Broken(line=5, message="broken")))
    return Table(line=1, entries={"routes": Entry(line=2, node=routes), "a b": Entry(line=6, node=access)})


def test_paths_are_written_as_in_yaml_queries() -> None:
    assert below("", "routes") == "routes"
    assert below(below("routes", 0), "access") == "routes[0].access"
    assert below("upstreams", "a.b\n") == 'upstreams["a.b\\n"]'
    assert below("", "a b") == '["a b"]'


def test_the_line_of_an_entry_is_its_keys_and_of_the_unknown_its_nearest_parents() -> None:
    lines = index_lines(_document())
    assert lines == {"": 1, "routes": 2, "routes[0]": 3, "routes[0].access": 4, "routes[1]": 5, '["a b"]': 6}
    assert line_of(lines, "routes[0].access") == 4
    assert line_of(lines, "routes[0].methods[2]") == 3
    assert line_of(lines, "routes[7].path") == 2
    assert line_of(lines, "listen.port") == 1
    assert line_of({}, "listen.port") == 0


def test_what_is_shown_is_short_and_cannot_drive_a_terminal() -> None:
    assert show("plain é") == "plain é"
    assert show("\x1b[2J\n\u202e\ud800") == "\\x1b[2J\\n\\u202e\\ud800"
    assert show("x" * 61) == "x" * 59 + "…"
    assert len(show("x" * 60)) == 60


def test_findings_come_in_the_order_of_the_file() -> None:
    findings = Findings("c.yaml", index_lines(_document()))
    findings.add('["a b"]', "last")
    findings.add("routes[0].access", "middle")
    findings.add("nowhere", "first")
    findings.add("routes", "placed", line=9)
    assert [str(problem) for problem in findings.problems()] == [
        "c.yaml:1: nowhere: first",
        "c.yaml:4: routes[0].access: middle",
        'c.yaml:6: ["a b"]: last',
        "c.yaml:9: routes: placed",
    ]


def test_a_value_is_sound_when_nothing_was_found_at_below_or_around_it() -> None:
    findings = Findings("c.yaml", {})
    findings.add("routes[0].access", "x")
    findings.spoil("login.compat")
    assert findings.is_sound("routes[0].path", "routes[1]", "login.compatible", "listen")
    assert not findings.is_sound("routes[0].access")
    assert not findings.is_sound("routes[0]")
    assert not findings.is_sound("routes")
    assert not findings.is_sound("routes[0].access.deeper")
    assert not findings.is_sound("listen", "login")
    assert len(findings.problems()) == 1


def test_references_are_kept_so_that_they_can_be_written_again() -> None:
    long = "x/" * 40 + "y"
    text = f"a: {{env: KEY}}\nb: [{{file: {long}}}, {{c: {{file: 'a, b'}}}}]\nd: {{env: [no]}}\ne: plain\n"
    assert index_references(compose(text, "c.yaml")) == {
        "a": "{env: KEY}",
        "b[0]": f"{{file: {long}}}",
        "b[1].c": '{file: "a, b"}',
    }
