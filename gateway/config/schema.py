"""The configuration's JSON Schema (draft 2020-12), with which editors complete and check the YAML.

It says what one value may be. What must hold between values (`checks`) and what stands behind `{env: …}` only
`gateway check` can tell.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.config.forms import MAX_TEXT_CHARS, RULES, Form
from gateway.config.model import Config
from gateway.config.scalars import expected
from gateway.config.shapes import (
    UNLIMITED,
    Amount,
    Choice,
    Either,
    Flag,
    Hidden,
    Many,
    Maybe,
    Named,
    ScalarShape,
    Section,
    Shape,
    Text,
    Whole,
    section_of,
)

_REFERENCE: Final = {"$ref": "#/$defs/reference"}


def json_schema() -> dict[str, Any]:
    """A fresh schema of the whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of simplejwt-gateway",
        **_schema_of(section_of(Config)),
        "$defs": {"reference": _reference()},
    }


def default_text(shape: Shape, value: Any) -> Any:
    """A default of the model as it is written in YAML."""
    match shape:
        case Amount():
            return shape.to_text(value)
        case Choice():
            return str(value)
        case Many():
            return [default_text(shape.item, item) for item in value]
        case Named():
            return {name: default_text(shape.value, item) for name, item in value.items()}
        case Maybe():
            return None if value is None else default_text(shape.value, value)
        case Either():
            return default_text(shape.scalar, value)
        case Section():
            return {
                name: default_text(key.shape, getattr(value, name))
                for name, key in shape.keys.items()
                if not key.is_required
            }
        case _:
            return value


def _schema_of(shape: Shape) -> dict[str, Any]:
    match shape:
        case Section():
            return _section_schema(shape)
        case Named():
            return _named_schema(shape)
        case Many():
            return {"type": "array", "items": _schema_of(shape.item), "minItems": shape.minimum}
        case Maybe():
            inner = _schema_of(shape.value)
            return {"anyOf": [*inner.get("anyOf", [inner]), {"type": "null"}]}
        case Either():
            return {"anyOf": [_scalar_schema(shape.scalar), _schema_of(shape.mapping)]}
        case Hidden():
            return dict(_REFERENCE)
        case _:
            return {"anyOf": [_scalar_schema(shape), _REFERENCE]}


def _section_schema(shape: Section) -> dict[str, Any]:
    required = [name for name, key in shape.keys.items() if key.is_required]
    properties = {}
    for name, key in shape.keys.items():
        described = {"description": key.doc, **_schema_of(key.shape)}
        if not key.is_required and not isinstance(key.shape, Section):
            described["default"] = default_text(key.shape, key.default)
        properties[name] = described
    return {
        # A section with nothing below it but comments is null to YAML, and means its defaults.
        "type": "object" if required else ["object", "null"],
        "description": shape.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _named_schema(shape: Named) -> dict[str, Any]:
    return {
        "type": "object" if shape.minimum else ["object", "null"],
        "propertyNames": _text_schema(shape.key_form),
        "additionalProperties": _schema_of(shape.value),
        "minProperties": shape.minimum,
    }


def _scalar_schema(shape: ScalarShape) -> dict[str, Any]:
    """What a value may be where it stands in the file itself; `Hidden` never does."""
    match shape:
        case Flag():
            return {"type": "boolean"}
        case Whole():
            number = {"type": "integer", "minimum": shape.minimum, "maximum": shape.maximum}
            return number if shape.word is None else {"anyOf": [number, {"const": shape.word}]}
        case Amount():
            unlimited = f"|{UNLIMITED}" if shape.may_be_unlimited else ""
            pattern = f"^(?:{shape.measure.pattern}{unlimited})$"
            return {"type": "string", "description": expected(shape), "pattern": pattern}
        case Choice():
            return {"enum": [*shape.options, *_numbers_among(shape.options)]}
        case Text():
            return _text_schema(shape.form)
        case Hidden():
            return dict(_REFERENCE)


def _numbers_among(options: Mapping[str, str]) -> list[float]:
    """Words that YAML takes for numbers when they stand without quotes, as they may."""
    return [float(word) if "." in word else int(word) for word in options if word.replace(".", "").isdigit()]


def _text_schema(form: Form) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "string",
        "description": form.value,
        "allOf": [{"pattern": f"^(?:{rule.pattern})$"} for rule in RULES[form]],
    }
    return schema if form is Form.BLOCK else {**schema, "maxLength": MAX_TEXT_CHARS}


def _reference() -> dict[str, Any]:
    return {
        "description": "A value from outside: an environment variable, or a file (relative to this one's directory).",
        "type": "object",
        "properties": {
            "env": {**_text_schema(Form.VARIABLE), "description": "Name of an environment variable."},
            "file": {**_text_schema(Form.TEXT), "description": "Path of a file; one line end at its end is dropped."},
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
