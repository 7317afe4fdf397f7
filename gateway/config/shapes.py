"""What the model's type hints and metadata ask for, as data: parser, schema and reference all walk these shapes.

So a key that is added to the model is parsed, checked, completed by editors and missed in the reference at once.
"""

import functools
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from gateway.config.amounts import DURATION, SIZE, Measure
from gateway.config.forms import Form
from gateway.types import UNLIMITED_BYTES, Secret

UNLIMITED: Final = "unlimited"
_TEN_YEARS_IN_SECONDS = 3650 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """true or false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number within bounds, or the one `word` that stands in for it."""

    minimum: int
    maximum: int
    word: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number with a unit; bounds in the smallest unit. The model holds `amount / per_unit`.

    With `may_be_unlimited` the word `unlimited` is taken, too, for `UNLIMITED_BYTES`.
    """

    measure: Measure
    minimum: int
    maximum: int
    may_be_unlimited: bool = False

    def to_value(self, amount: int) -> float:
        """Milliseconds → seconds; bytes stay bytes."""
        return amount / 1000 if self.measure is DURATION else amount

    def to_text(self, value: float) -> str:
        if value == UNLIMITED_BYTES:
            return UNLIMITED
        return self.measure.format(round(value * 1000) if self.measure is DURATION else int(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of some words."""

    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of a form."""

    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A secret: only from the environment or a file."""


ScalarShape: TypeAlias = Flag | Whole | Amount | Choice | Text | Hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Maybe:
    """`value`, or null."""

    value: "Shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A list; `collection` is what the model holds."""

    item: "Shape"
    minimum: int
    collection: type[tuple[Any, ...]] | type[frozenset[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A mapping with free keys."""

    key_form: Form
    value: "Shape"
    minimum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """A scalar or a mapping."""

    scalar: ScalarShape
    mapping: "Named | Section"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a section. `default` is the model's value (None also where there is none: see `is_required`).

    `reloads` is None where the section around says it.
    """

    shape: "Shape"
    doc: str
    is_required: bool
    default: Any
    reloads: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A mapping with fixed keys, from which `model` is made."""

    model: type[Any]
    doc: str
    keys: Mapping[str, Key]


Shape: TypeAlias = ScalarShape | Maybe | Many | Named | Either | Section


@functools.cache
def section_of(model: type[Any]) -> Section:
    """The shape of one of the model's dataclasses."""
    hints = get_type_hints(model)
    return Section(
        model=model,
        doc=(model.__doc__ or "").strip(),
        keys={field.name: _key_of(field, hints[field.name]) for field in fields(model)},
    )


def _key_of(field: Field[Any], hint: Any) -> Key:
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    is_required = default is MISSING
    return Key(
        shape=_shape_of(hint, field.metadata),
        doc=field.metadata["doc"],
        is_required=is_required,
        default=None if is_required else default,
        reloads=field.metadata["reloads"],
    )


def _shape_of(hint: Any, metadata: Mapping[str, Any]) -> Shape:
    origin, arguments = get_origin(hint), get_args(hint)
    least = int(metadata["minimum"] or 0)
    if origin in {Union, UnionType}:
        return _union_shape(arguments, metadata)
    if origin is tuple or origin is frozenset:
        return Many(item=_shape_of(arguments[0], metadata), minimum=least, collection=origin)
    if origin is Mapping:
        return Named(key_form=metadata["key_form"], value=_shape_of(arguments[1], metadata), minimum=least)
    if is_dataclass(hint) and isinstance(hint, type):
        return section_of(hint)
    return _scalar_shape(hint, metadata)


def _union_shape(arguments: tuple[Any, ...], metadata: Mapping[str, Any]) -> Shape:
    first, second = arguments
    shape = _shape_of(first, metadata)
    if second is NoneType:
        return Maybe(value=shape)
    if isinstance(shape, Whole) and get_origin(second) is Literal:
        return replace(shape, word=get_args(second)[0])
    mapping = _shape_of(second, metadata)
    if not isinstance(mapping, Named | Section) or isinstance(shape, Maybe | Many | Named | Either | Section):
        raise TypeError(f"The model's {first} | {second} has no shape.")
    return Either(scalar=shape, mapping=mapping)


def _scalar_shape(hint: Any, metadata: Mapping[str, Any]) -> ScalarShape:
    minimum, maximum = metadata["minimum"], metadata["maximum"]
    if hint is str:
        return Text(form=metadata["form"])
    if hint is bool:
        return Flag()
    if hint is Secret:
        return Hidden()
    if hint is float:
        longest = _TEN_YEARS_IN_SECONDS if maximum is None else maximum
        return Amount(measure=DURATION, minimum=round((minimum or 0) * 1000), maximum=round(longest * 1000))
    if hint is int:
        if metadata["size"]:
            return Amount(measure=SIZE, minimum=minimum, maximum=maximum, may_be_unlimited=metadata["may_be_unlimited"])
        return Whole(minimum=minimum, maximum=maximum)
    if get_origin(hint) is Literal:
        return Choice(options={word: word for word in get_args(hint)})
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Choice(options={member.value: member for member in hint})
    raise TypeError(f"The model's {hint} has no shape.")
