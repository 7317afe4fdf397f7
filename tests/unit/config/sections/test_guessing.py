"""`guessing`: on by default, and milder to addresses than to names."""

from gateway.config.sections.guessing import Guessing
from tests.unit.config.sample import parse_with, refusals


def test_s52_by_default_guesses_are_bounded() -> None:
    guessing = parse_with().guessing
    assert guessing == Guessing()
    assert guessing.enabled
    # NIST SP 800-63B §5.2.2 lets a user fail a hundred times in a row; a stranger needs about a day for it.
    assert 80 < guessing.attempts_per_user + 86400 / guessing.longest_wait < 120
    assert guessing.attempts_per_address > guessing.attempts_per_user
    assert guessing.exempt_addresses == ()


def test_amounts_are_bounded() -> None:
    assert refusals(guessing="{attempts_per_user: 0}")[0].startswith("guessing.attempts_per_user: must be a whole")
    assert refusals(guessing="{first_wait: 10ms}")[0].startswith("guessing.first_wait: must be a duration from 1s")
    assert refusals(guessing="{exempt_addresses: [office]}")[0].startswith("guessing.exempt_addresses[0]: must be")
