from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from gateway.config.amounts import DURATION, SIZE
from gateway.config.forms import Form
from gateway.config.metadata import doc
from gateway.config.model import Config
from gateway.config.sections.cors import Cors, RouteCors
from gateway.config.sections.users import UserAttribute
from gateway.config.shapes import (
    Amount,
    Choice,
    Either,
    Flag,
    Hidden,
    Many,
    Maybe,
    Named,
    Section,
    Text,
    Whole,
    section_of,
)
from gateway.types import UNLIMITED_BYTES


def _shape(path: str) -> object:
    section = section_of(Config)
    *parents, name = path.split(".")
    for parent in parents:
        inner = section.keys[parent].shape
        if isinstance(inner, Many):
            inner = inner.item
        if isinstance(inner, Named | Maybe):
            inner = inner.value
        assert isinstance(inner, Section)
        section = inner
    return section.keys[name].shape


def test_hints_and_metadata_become_shapes() -> None:
    assert _shape("log.access") == Flag()
    assert _shape("listen.port") == Whole(minimum=0, maximum=65535)
    assert _shape("workers") == Whole(minimum=1, maximum=256, word="auto")
    assert _shape("tokens.leeway") == Amount(measure=DURATION, minimum=0, maximum=60_000)
    assert _shape("upstreams.connect_timeout") == Amount(measure=DURATION, minimum=1, maximum=86_400_000)
    assert _shape("limits.max_target_bytes") == Amount(measure=SIZE, minimum=512, maximum=65536)
    assert _shape("limits.max_body_bytes") == Amount(measure=SIZE, minimum=0, maximum=1024**4, may_be_unlimited=True)
    assert _shape("tokens.signing_key") == Hidden()
    assert _shape("tokens.issuer") == Maybe(value=Text(form=Form.TEXT))
    assert _shape("login.username_field") == Choice(options={"username": "username", "email": "email"})
    assert _shape("routes.roles") == Maybe(value=Many(item=Text(form=Form.TEXT), minimum=1, collection=frozenset))
    assert _shape("bearer.schemes") == Many(item=Text(form=Form.TOKEN), minimum=1, collection=tuple)
    assert _shape("routes.cors") == Either(
        scalar=Choice(options={"inherit": RouteCors.INHERIT, "upstream": RouteCors.UPSTREAM}), mapping=section_of(Cors)
    )
    attributes = Choice(options={attribute.value: attribute for attribute in UserAttribute})
    named = Named(key_form=Form.TEXT, value=attributes, minimum=0)
    assert _shape("tokens.claims.extra") == named
    assert _shape("login.response_fields") == Named(
        key_form=Form.TEXT, value=Either(scalar=attributes, mapping=named), minimum=0
    )


def test_keys_know_their_defaults() -> None:
    tokens = section_of(Config).keys["tokens"]
    assert tokens.is_required
    assert isinstance(tokens.shape, Section)
    assert tokens.shape.keys["signing_key"].is_required
    assert tokens.shape.keys["access_lifetime"].default == 300.0
    assert tokens.shape.keys["claims"].default.jti == "jti"
    assert not tokens.shape.keys["issuer"].is_required


def test_amounts_go_to_the_models_unit_and_back() -> None:
    duration = Amount(measure=DURATION, minimum=0, maximum=1)
    assert duration.to_value(1500) == 1.5
    assert duration.to_text(1.5) == "1500ms"
    size = Amount(measure=SIZE, minimum=0, maximum=1)
    assert size.to_value(2048) == 2048
    assert isinstance(size.to_value(2048), int)
    assert size.to_text(2048) == "2KiB"
    assert size.to_text(UNLIMITED_BYTES) == "unlimited"


@pytest.mark.parametrize(
    "hint", [bytes, str | int, str | Mapping[str, str] | None, Mapping[str, str] | Mapping[str, str]]
)
def test_a_hint_without_a_shape_is_a_mistake_of_the_model(hint: object) -> None:
    model = dataclass(
        type("Model", (), {"__annotations__": {"key": hint}, "key": field(default=None, metadata=doc("Key."))})
    )
    if hint == Mapping[str, str]:
        assert isinstance(section_of(model).keys["key"].shape, Named)
        return
    with pytest.raises((TypeError, ValueError)):
        section_of(model)
