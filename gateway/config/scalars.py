"""A single value of the file → the model's value, or a sentence about why not."""

import re
from typing import Any, Final

from gateway.config import forms
from gateway.config.amounts import DURATION
from gateway.config.shapes import UNLIMITED, Amount, Choice, Flag, Hidden, ScalarShape, Text, Whole
from gateway.config.tree import Scalar, show
from gateway.types import UNLIMITED_BYTES, Secret

OUTSIDE: Final = "outside"
"""`Scalar.kind` of text from the environment or from a file: never shown, and read as if it stood here unquoted."""

# YAML 1.1 makes numbers of these: 010 is 8, 1_000 is 1000, 1:30 is 90. Only what everybody reads alike is taken.
_PLAIN_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,17})"
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_READ_AS: Final = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date"}


class UnfitError(ValueError):
    """The value is not what its key asks for; the text goes on from the name of the key."""


def expected(shape: ScalarShape) -> str:
    """What a value of this shape is, as in "must be …"."""
    match shape:
        case Flag():
            return "true or false"
        case Whole():
            number = f"a whole number from {shape.minimum} to {shape.maximum}"
            return number if shape.word is None else f"{shape.word} or {number}"
        case Amount():
            measure = shape.measure
            bounds = f"{measure.format(shape.minimum)} to {measure.format(shape.maximum)}"
            return f"a {measure.noun} from {bounds}{f', or {UNLIMITED}' if shape.may_be_unlimited else ''}"
        case Choice():
            return f"one of {', '.join(shape.options)}"
        case Text():
            return shape.form.value
        case Hidden():
            return "{env: NAME} or {file: PATH}"


def read(shape: ScalarShape, scalar: Scalar) -> Any:
    """Raises `UnfitError`."""
    if isinstance(shape, Hidden):
        return _read_secret(scalar)
    if scalar.kind == "null":
        raise UnfitError(f"is empty; it must be {expected(shape)}")
    match shape:
        case Flag():
            return _read_flag(scalar)
        case Whole():
            return _read_whole(shape, scalar)
        case Amount():
            return _read_amount(shape, scalar)
        case Choice():
            # Whatever YAML makes of it: `compat: 3.3` and `compat: 5` mean the words.
            if scalar.text not in shape.options:
                raise UnfitError(f"must be {expected(shape)}{_not(scalar)}")
            return shape.options[scalar.text]
        case Text():
            return _read_text(shape, scalar)


def _not(scalar: Scalar) -> str:
    """A secret may have been put into the wrong variable, so only what stands in the file is repeated."""
    return "" if scalar.kind == OUTSIDE else f", not `{show(scalar.text)}`"


def _is_quoted(scalar: Scalar, pattern: str) -> bool:
    return scalar.kind == "str" and re.fullmatch(pattern, scalar.text) is not None


def _read_secret(scalar: Scalar) -> Secret:
    if scalar.kind == "null":
        raise UnfitError("is empty; it must be {env: NAME} or {file: PATH}")
    if scalar.kind != OUTSIDE:
        raise UnfitError(
            "must not stand in this file, where backups and repositories would keep it: "
            "write {env: NAME} or {file: PATH}, and take another secret if this one has been shared"
        )
    return Secret(scalar.text)


def _read_flag(scalar: Scalar) -> bool:
    if scalar.kind in {"bool", OUTSIDE} and scalar.text in _BOOLEANS:
        return _BOOLEANS[scalar.text]
    if scalar.kind == "str" and scalar.text in _BOOLEANS:
        raise UnfitError(f"must be true or false without quotes: write {scalar.text.lower()}")
    raise UnfitError(f"must be true or false{_not(scalar)}")


def _read_whole(shape: Whole, scalar: Scalar) -> int | str:
    if scalar.text == shape.word:
        return shape.word
    if _is_quoted(scalar, _PLAIN_NUMBER):
        raise UnfitError(f"must be a number without quotes: write {scalar.text}")
    if scalar.kind not in {"int", OUTSIDE} or re.fullmatch(_PLAIN_NUMBER, scalar.text) is None:
        raise UnfitError(
            f"must be {expected(shape)}, in plain decimal digits without a leading zero, point or `_`{_not(scalar)}"
        )
    number = int(scalar.text)
    if not shape.minimum <= number <= shape.maximum:
        raise UnfitError(f"must be {expected(shape)}{_not(scalar)}")
    return number


def _read_amount(shape: Amount, scalar: Scalar) -> float:
    if shape.may_be_unlimited and scalar.text == UNLIMITED:
        return UNLIMITED_BYTES
    measure = shape.measure
    amount = measure.parse(scalar.text)
    if amount is None:
        if scalar.kind != OUTSIDE and re.fullmatch(r"[0-9]{1,12}", scalar.text):
            unit = "s" if measure is DURATION else "B"
            raise UnfitError(f"has no unit: write {scalar.text}{unit}, or another {measure.noun} as {measure.examples}")
        raise UnfitError(f"must be a {measure.noun}, a whole number with its unit as {measure.examples}{_not(scalar)}")
    if not shape.minimum <= amount <= shape.maximum:
        raise UnfitError(f"must be {expected(shape)}{_not(scalar)}")
    return shape.to_value(amount)


def _read_text(shape: Text, scalar: Scalar) -> str:
    if scalar.kind not in {"str", OUTSIDE}:
        taken_for = _READ_AS.get(scalar.kind, "a sign of its own")
        raise UnfitError(f'is {taken_for} to YAML, not text: put it in quotes, as "{show(scalar.text)}"')
    refusal = forms.refusal(shape.form, scalar.text)
    if refusal is not None:
        raise UnfitError(refusal)
    return scalar.text
