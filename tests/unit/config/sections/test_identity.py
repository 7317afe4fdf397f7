"""`identity`: what a backend is told, and the presets that there are."""

from gateway.auth.identity import PRESETS
from gateway.config.sections.identity import IdentityPreset, UnsafeValue
from tests.unit.config.sample import parse_with, refusals


def test_by_default_there_is_the_user_id_alone() -> None:
    identity = parse_with().identity
    assert (identity.preset, identity.fields) == (IdentityPreset.X_USER_ID, {})
    assert identity.unsafe_values is UnsafeValue.PERCENT_ENCODE


def test_every_preset_is_one_that_there_is() -> None:
    assert {preset.value for preset in IdentityPreset} == PRESETS.keys()


def test_a_field_has_a_name_that_is_one() -> None:
    (refused,) = refusals(identity="{fields: {'X A': b}}")
    assert refused.startswith('identity.fields["X A"]: the name `X A` must be a token of RFC 9110')
