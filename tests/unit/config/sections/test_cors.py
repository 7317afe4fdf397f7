"""`cors`: no origin is let in that was not named, and none with credentials by itself."""

from tests.unit.config.sample import parse_with, refusals


def test_there_is_none_by_default_and_credentials_stay_out() -> None:
    assert parse_with().cors is None
    cors = parse_with(cors="{allow_origins: ['*']}").cors
    assert cors is not None
    assert not cors.allow_credentials


def test_origins_must_be_named() -> None:
    assert refusals(cors="{}")[0].startswith("cors.allow_origins: is missing")
    assert refusals(cors="{allow_origins: []}") == ["cors.allow_origins: must have at least 1 entry"]
    (refused,) = refusals(cors="{allow_origins: [app.example.org]}")
    assert refused.startswith("cors.allow_origins[0]: must be an origin")


def test_a_preflight_is_kept_for_a_day_at_most() -> None:
    assert refusals(cors="{allow_origins: ['*'], max_age: 2d}")[0].startswith("cors.max_age: must be a duration")


def test_a_page_may_send_a_token_and_read_the_request_id_by_default() -> None:
    cors = parse_with(cors="{allow_origins: ['*']}").cors
    assert cors is not None
    assert "authorization" in cors.allow_headers
    assert cors.expose_headers == ("x-request-id",)
