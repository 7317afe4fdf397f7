"""URLs: what is refused without a connection, and that nothing secret is shown."""

import pytest

from gateway.postgres.address import check_postgres_url, place_of


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gateway:secret@db.example.org/gateway",
        "postgres://gateway@db.example.org:5433/gateway?sslmode=verify-full",
        "postgresql://gateway:a%40b%2Fc@[2001:db8::1]:5432/gateway",
        "postgresql://gateway@a:5432,b:5432/gateway?target_session_attrs=read-write",
        "postgresql:///gateway?host=/run/postgresql",
    ],
)
def test_a_url_that_leads_somewhere_is_taken(url: str) -> None:
    check_postgres_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gateway:sec/ret@db/gateway",
        "postgresql://gateway:sec#ret@db/gateway",
        "postgresql://gateway:sec?ret@db/gateway",
        "postgresql://gateway:sec@ret@db/gateway",
        "postgresql:///gateway",
        "postgresql://gateway:secret@/gateway",
        "postgresql://gateway:secret@db",
        "postgresql://gateway:secret@db/",
        "postgresql://gateway:secret@[::1/gateway",
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        check_postgres_url(url)
    assert not {"sec", "ret@", "secret"} & set(str(refused.value).split())
    assert "secret" not in str(refused.value)


def test_a_place_is_host_and_database() -> None:
    assert place_of("postgresql://u:secret@db:5433/gateway?password=secret") == "PostgreSQL at db:5433/gateway"
    assert place_of("postgresql:///gateway?host=/run/pg") == "PostgreSQL at /run/pg/gateway"
