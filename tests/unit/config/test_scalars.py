from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.amounts import DURATION, SIZE
from gateway.config.forms import Form
from gateway.config.scalars import OUTSIDE, UnfitError, expected, read
from gateway.config.sections.login import Compat
from gateway.config.sections.tokens import Algorithm
from gateway.config.shapes import Amount, Choice, Flag, Hidden, ScalarShape, Text, Whole
from gateway.config.tree import Scalar
from gateway.config.yaml_tree import compose
from gateway.types import UNLIMITED_BYTES, Secret

PORT = Whole(minimum=0, maximum=65535)
TIME = Amount(measure=DURATION, minimum=1, maximum=60_000)
BYTES = Amount(measure=SIZE, minimum=512, maximum=10 * 1024**2)
BOUND = Amount(measure=SIZE, minimum=0, maximum=1024, may_be_unlimited=True)
COMPAT = Choice(options={member.value: member for member in Compat})
ALGORITHM = Choice(options={member.value: member for member in Algorithm})
TEXT = Text(form=Form.TEXT)
SHAPES: list[ScalarShape] = [Flag(), PORT, TIME, BYTES, BOUND, COMPAT, TEXT, Text(form=Form.PATH), Hidden()]


def here(text: str) -> Scalar:
    """The scalar as it stands in a file, quotes and all."""
    node = compose(text, "c.yaml")
    assert isinstance(node, Scalar)
    return node


def outside(text: str) -> Scalar:
    return Scalar(line=1, text=text, kind=OUTSIDE)


def refusal(shape: ScalarShape, scalar: Scalar) -> str:
    with pytest.raises(UnfitError) as caught:
        read(shape, scalar)
    return str(caught.value)


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (Flag(), "true", True),
        (Flag(), "FALSE", False),
        (PORT, "0", 0),
        (PORT, "65535", 65535),
        (TIME, "1500ms", 1.5),
        (TIME, "'1m'", 60.0),
        (BYTES, "10MiB", 10 * 1024**2),
        (BOUND, "1KiB", 1024),
        (BOUND, "unlimited", UNLIMITED_BYTES),
        (BOUND, "'unlimited'", UNLIMITED_BYTES),
        (COMPAT, "5", Compat.V5),
        (COMPAT, "3.3", Compat.V3_3),
        (COMPAT, "'3.3'", Compat.V3_3),
        (ALGORITHM, "EdDSA", Algorithm.EDDSA),
        (TEXT, "a b", "a b"),
        (TEXT, "'5'", "5"),
        (TEXT, '"no"', "no"),
        (Text(form=Form.BLOCK), "|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_values_that_stand_in_the_file(shape: ScalarShape, text: str, value: Any) -> None:
    assert read(shape, here(text)) == value


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (Flag(), "true", True),
        (PORT, "9000", 9000),
        (TIME, "10s", 10.0),
        (COMPAT, "5", Compat.V5),
        (TEXT, "5", "5"),
        (TEXT, "no", "no"),
        (Hidden(), "s3cret", Secret("s3cret")),
    ],
)
def test_values_from_outside_need_no_quotes(shape: ScalarShape, text: str, value: Any) -> None:
    assert read(shape, outside(text)) == value


@pytest.mark.parametrize(
    ("shape", "text", "sentence"),
    [
        (Flag(), "on", "must be true or false, not `on`"),
        (Flag(), "no", "must be true or false, not `no`"),
        (Flag(), "1", "must be true or false, not `1`"),
        (Flag(), "'True'", "must be true or false without quotes: write true"),
        (PORT, "'8080'", "must be a number without quotes: write 8080"),
        (PORT, "65536", "must be a whole number from 0 to 65535, not `65536`"),
        (PORT, "-1", "must be a whole number from 0 to 65535, not `-1`"),
        (TIME, "5", "has no unit: write 5s, or another duration as 1500ms, 10s, 5m, 24h or 1d"),
        (TIME, "'5'", "has no unit: write 5s, or another duration as 1500ms, 10s, 5m, 24h or 1d"),
        (BYTES, "512", "has no unit: write 512B, or another size as 512B, 64KiB, 10MiB or 1GiB"),
        (TIME, "1.5m", "must be a duration, a whole number with its unit as 1500ms, 10s, 5m, 24h or 1d, not `1.5m`"),
        (BYTES, "10MB", "must be a size, a whole number with its unit as 512B, 64KiB, 10MiB or 1GiB, not `10MB`"),
        (TIME, "0s", "must be a duration from 1ms to 1m, not `0s`"),
        (TIME, "2m", "must be a duration from 1ms to 1m, not `2m`"),
        (BYTES, "1B", "must be a size from 512B to 10MiB, not `1B`"),
        (
            BYTES,
            "unlimited",
            "must be a size, a whole number with its unit as 512B, 64KiB, 10MiB or 1GiB, not `unlimited`",
        ),
        (BOUND, "2KiB", "must be a size from 0B to 1KiB, or unlimited, not `2KiB`"),
        (COMPAT, "5.0", "must be one of 5, 3.3, not `5.0`"),
        (COMPAT, "on", "must be one of 5, 3.3, not `on`"),
        (TEXT, "5", 'is a number to YAML, not text: put it in quotes, as "5"'),
        (TEXT, "3.3", 'is a number to YAML, not text: put it in quotes, as "3.3"'),
        (TEXT, "no", 'is true or false to YAML, not text: put it in quotes, as "no"'),
        (TEXT, "2026-01-01", 'is a date to YAML, not text: put it in quotes, as "2026-01-01"'),
        (TEXT, "=", 'is a sign of its own to YAML, not text: put it in quotes, as "="'),
        (TEXT, "''", "must not be empty"),
        (TEXT, "null", "is empty; it must be text"),
        (PORT, "~", "is empty; it must be a whole number from 0 to 65535"),
        (Hidden(), "~", "is empty; it must be {env: NAME} or {file: PATH}"),
    ],
)
def test_what_is_wrong_and_what_to_write(shape: ScalarShape, text: str, sentence: str) -> None:
    assert refusal(shape, here(text)) == sentence


@pytest.mark.parametrize("text", ["010", "0x1F", "1_000", "1:30", "1.0", "+1", "1e3", "0o17", "yes", "eight", "'a'"])
def test_numbers_that_readers_of_yaml_disagree_about_are_refused(text: str) -> None:
    sentence = refusal(PORT, here(text))
    assert sentence.startswith("must be a whole number from 0 to 65535, in plain decimal digits without a leading zero")
    assert sentence.endswith(f"not `{text.strip(chr(39))}`")


@pytest.mark.parametrize("text", ["hunter2hunter2hunter2", "'5'", "12345678", "|\n  -----BEGIN\n  x"])
def test_s88_a_secret_in_the_file_is_refused_without_being_repeated(text: str) -> None:
    sentence = refusal(Hidden(), here(text))
    assert sentence.startswith("must not stand in this file")
    assert "{env: NAME} or {file: PATH}" in sentence
    assert "hunter2" not in sentence
    assert "12345678" not in sentence


@pytest.mark.parametrize("shape", [Flag(), PORT, TIME, BYTES, COMPAT, Text(form=Form.UPSTREAM_URL)])
@pytest.mark.parametrize("text", ["hunter2hunter2", "99999999"])
def test_s88_what_comes_from_outside_is_never_repeated(shape: ScalarShape, text: str) -> None:
    assert text not in refusal(shape, outside(text))


def test_what_is_expected_of_each_shape() -> None:
    assert [expected(shape) for shape in SHAPES] == [
        "true or false",
        "a whole number from 0 to 65535",
        "a duration from 1ms to 1m",
        "a size from 512B to 10MiB",
        "a size from 0B to 1KiB, or unlimited",
        "one of 5, 3.3",
        "text",
        "a path",
        "{env: NAME} or {file: PATH}",
    ]


@given(st.sampled_from(SHAPES), st.text(max_size=30), st.sampled_from(["str", "int", "float", "bool", "null", OUTSIDE]))
def test_no_scalar_makes_anything_but_a_value_or_a_sentence(shape: ScalarShape, text: str, kind: str) -> None:
    try:
        read(shape, Scalar(line=1, text=text, kind=kind))
    except UnfitError as unfit:
        assert str(unfit).isprintable()


@given(st.integers(min_value=0, max_value=65535))
def test_whole_numbers_are_read_as_yaml_has_them(number: int) -> None:
    assert read(PORT, here(str(number))) == yaml.safe_load(str(number)) == number


COUNT = Whole(minimum=1, maximum=256, word="auto")


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("'auto'", "auto"), ("1", 1), ("256", 256)])
def test_a_word_may_stand_for_a_number(text: str, value: int | str) -> None:
    assert read(COUNT, here(text)) == value
    assert read(COUNT, outside(text.strip("'"))) == value


@pytest.mark.parametrize("text", ["atuo", "Auto", "0", "257", "true"])
def test_no_other_word_may(text: str) -> None:
    assert refusal(COUNT, here(text)).startswith("must be auto or a whole number from 1 to 256")
