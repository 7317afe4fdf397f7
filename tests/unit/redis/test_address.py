"""Which URLs name a Redis server, and that nothing of a password is ever shown."""

import pytest

from gateway.redis.address import RedisAddress


@pytest.mark.parametrize(
    ("url", "expected", "shown"),
    [
        ("redis://db", RedisAddress(host="db"), "Redis at db:6379"),
        ("redis://db:7000/3", RedisAddress(host="db", port=7000, database=3), "Redis at db:7000"),
        ("redis://db:7000/", RedisAddress(host="db", port=7000), "Redis at db:7000"),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000), "Redis at [::1]:7000"),
        ("redis://:p%40s@db", RedisAddress(host="db", password="p@s"), "Redis at db:6379"),
        ("redis://u:p@db", RedisAddress(host="db", username="u", password="p"), "Redis at db:6379"),
        ("rediss://db", RedisAddress(host="db", is_encrypted=True), "Redis at db:6379"),
        (
            "rediss://db?ca=/a&cert=/b&key=/c",
            RedisAddress(host="db", is_encrypted=True, ca_file="/a", certificate_file="/b", key_file="/c"),
            "Redis at db:6379",
        ),
        ("unix:///run/redis.sock", RedisAddress(socket_path="/run/redis.sock"), "Redis at /run/redis.sock"),
        (
            "unix://u:p@/run/r%20s?db=2",
            RedisAddress(socket_path="/run/r s", database=2, username="u", password="p"),
            "Redis at /run/r s",
        ),
    ],
)
def test_a_url_is_read(url: str, expected: RedisAddress, shown: str) -> None:
    assert RedisAddress.parse(url) == expected
    assert str(RedisAddress.parse(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "db:6379",
        "http://s3cret@db",
        "redis://",
        "redis:///0",
        "redis://u:s3cret@",
        "redis://u:s3cret@db:port",
        "redis://u:s3cret@db:70000",
        "redis://u:s3#cret@db",
        "redis://u:s3/cret@db",
        "redis://[u:s3cret@db",
        "redis://u:s3cret@db/zero",
        "redis://u:s3cret@db/-1",
        "redis://u:s3cret@db/٣",
        "redis://u:s3cret@db/12345678901",
        "redis://u:s3cret@db?ca=/a",
        "redis://u:s3cret@db?db=1",
        "redis://u:s3cret@db?socket_timeout=9",
        "redis://u:s3cret@db?s3cret",
        "rediss://u:s3cret@db?ssl_cert_reqs=none",
        "rediss://u:s3cret@db?ca=/a&ca=/b",
        "rediss://u:s3cret@db?key=/a",
        "unix://u:s3cret@run/redis.sock",
        "unix://u:s3cret@",
        "unix:///run/redis.sock?db=x",
    ],
)
def test_s88_what_is_no_such_url_is_refused_in_a_sentence_that_shows_nothing_of_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|names) ") as caught:
        RedisAddress.parse(url)
    assert "s3" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_s88_a_password_is_not_shown() -> None:
    address = RedisAddress.parse("redis://someone:s3cret@db")
    assert "s3cret" not in f"{address!r} {address}"
    assert "someone" not in f"{address!r} {address}"
