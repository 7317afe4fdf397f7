import pytest

from gateway.config.tree import Broken, Listing, Node, Scalar, Table
from gateway.config.yaml_tree import MAX_DEPTH, compose
from gateway.errors import ConfigError


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(text, "c.yaml")
    assert len(caught.value.problems) == 1
    return str(caught.value)


def entry(text: str) -> Node:
    """The value of the document's only key."""
    root = compose(text, "c.yaml")
    assert isinstance(root, Table)
    (only,) = root.entries.values()
    return only.node


def test_nodes_know_their_lines_and_what_yaml_takes_them_for() -> None:
    root = compose("# first\na:\n  - 1\n  - 'x'\nb: {c: no}\n", "c.yaml")
    assert isinstance(root, Table)
    assert [(key, item.line) for key, item in root.entries.items()] == [("a", 2), ("b", 5)]
    assert root.entries["a"].node == Listing(
        line=3, items=(Scalar(line=3, text="1", kind="int"), Scalar(line=4, text="x", kind="str"))
    )
    table = root.entries["b"].node
    assert isinstance(table, Table)
    assert table.entries["c"].node == Scalar(line=5, text="no", kind="bool")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("5", "int"),
        ("010", "int"),
        ("1:30", "int"),
        ("3.3", "float"),
        ("on", "bool"),
        ("", "null"),
        ("~", "null"),
        ("2026-01-01", "timestamp"),
        ("=", "value"),
        ("5m", "str"),
        ("'5'", "str"),
        ('"no"', "str"),
        ("|\n  5", "str"),
    ],
)
def test_the_kind_of_a_scalar(text: str, kind: str) -> None:
    node = entry(f"a: {text}")
    assert isinstance(node, Scalar)
    assert node.kind == kind


def test_a_byte_order_mark_is_not_text() -> None:
    assert isinstance(entry("\ufeffa: 1"), Scalar)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "--- # nothing\n...\n# x"])
def test_an_empty_file_is_told_where_to_start(text: str) -> None:
    if text.startswith("---"):
        assert compose(text, "c.yaml") == Scalar(line=2, text="", kind="null")
    else:
        assert problem(text) == "c.yaml: is empty; start from config.example.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n\tb: 2", "c.yaml:2: is not valid YAML: while scanning for the next token, found character '\\t'"),
        ("a: b: c", "c.yaml:1: is not valid YAML: mapping values are not allowed here; check the indentation"),
        (
            "a: 1\nb",
            "c.yaml:2: is not valid YAML: while scanning a simple key, could not find expected ':'; every line",
        ),
        ("a: 'x\ny: 1", "c.yaml:2: is not valid YAML: while scanning a quoted scalar that begins on line 1, found"),
        ("a: [1, 2", "c.yaml:1: is not valid YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a: @x", "c.yaml:1: is not valid YAML: while scanning for the next token, found character '@'"),
        ("a: 1\nb: \x00", "c.yaml:2: holds the character U+0000, which YAML does not allow"),
        ("a: 1\nb: \ud800", "c.yaml:2: holds the character U+D800, which YAML does not allow"),
        ('a: 1\nb: "\\Uffffffff"', "c.yaml:2: is not valid YAML: check this line"),
        ("a: 1\n---\nb: 2", "c.yaml:2: begins a second YAML document here; a configuration is one"),
    ],
)
def test_what_is_no_yaml_is_one_sentence_with_its_line(text: str, expected: str) -> None:
    assert problem(text).startswith(expected)


def test_a_tab_is_told_to_be_spaces() -> None:
    assert problem("a:\n\t- b").endswith("indent with spaces; YAML allows no tab there")


def test_what_stands_around_a_mistake_is_not_shown() -> None:
    assert "hunter2" not in problem("password: hunter2: hunter2\n  key: 'hunter2")


def test_s88_aliases_are_refused_where_they_stand_and_cost_nothing() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{after}: &{after} [*{name}, *{name}]\n" for name, after in zip("abcdefgh", "bcdefghi")
    )
    root = compose(bomb, "c.yaml")
    assert isinstance(root, Table)
    node = root.entries["i"].node
    assert isinstance(node, Listing)
    assert node.items[0] == Broken(line=9, message="uses the alias `*h`; write the value out")


def test_s88_a_document_that_holds_itself_is_refused() -> None:
    assert isinstance(entry("a: &a {b: *a}"), Table)


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system [id]", "!!str x", "!secret {a: b}", "!!timestamp x", "! 5"]
)
def test_s88_no_tag_constructs_anything(value: str) -> None:
    node = entry(f"a: {value}")
    assert isinstance(node, Broken)
    assert "write the plain value, without a tag" in node.message


def test_half_a_surrogate_pair_is_refused() -> None:
    assert entry('a: "\\ud800"') == Broken(line=1, message="holds half of a surrogate pair; write the character itself")


def test_depth_is_bounded_before_pythons_stack_is() -> None:
    assert compose("[" * MAX_DEPTH + "]" * MAX_DEPTH, "c.yaml")
    assert problem("[" * 100_000) == "c.yaml:1: is nested more than 16 deep; no key of a configuration is"
    assert "nested" in problem("a:\n" + "".join(f"{' ' * depth}- \n" for depth in range(1, 40)))


def test_keys_that_are_given_twice_are_kept_as_faults() -> None:
    root = compose("a: 1\nb: 2\na: 3\n'a': 4", "c.yaml")
    assert isinstance(root, Table)
    assert root.entries["a"].node == Scalar(line=1, text="1", kind="int")
    assert [(fault.line, fault.key) for fault in root.faults] == [(3, "a"), (4, "a")]
    assert root.faults[0].message == "the key `a` is given twice, first on line 1; remove one"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a]\n: 1", "a key is not plain text"),
        ("'': 1", "a key is not plain text"),
        ("?\n: 1", "a key is not plain text"),
        ("*a : 1", "a key uses the alias `*a`; write the value out"),
        ("!!str a: 1", "a key has the tag `tag:yaml.org,2002:str`; write the plain value, without a tag"),
    ],
)
def test_keys_that_are_no_text_are_kept_as_faults(text: str, message: str) -> None:
    root = compose(text, "c.yaml")
    assert isinstance(root, Table)
    assert not root.entries
    assert [fault.message for fault in root.faults] == [message]
