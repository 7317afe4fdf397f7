"""Feeds of numbered changes: where a reader stands, and how it hears that there are more.

Writers take their numbers from one row, whose lock they hold until they have committed. So numbers become visible in
their order, and a reader that has seen n misses nothing by asking for > n; those of a SEQUENCE are committed in any
order.

A position is a number in an epoch. Another server (a replica that was promoted may have lost the last commits and given
their numbers again) began at another moment; a schema that was restored has a row in a table of another oid.
"""

from typing import Final

_NUMBER_BITS: Final = 63

_TABLE_BITS: Final = 32

EPOCH: Final = (
    "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started_at, tableoid::bigint AS oid"
)
"""What a statement on the row selects of it."""


def position_of(started_at: int, table: int, number: int) -> int:
    """A position later than another one of its epoch is greater."""
    return (((started_at << _TABLE_BITS) | table) << _NUMBER_BITS) | number


def parts_of(position: int) -> tuple[int, int, int]:
    """The epoch (start of the server, table) and the number in it; an epoch that never was for what was never given."""
    epoch, number = divmod(position, 1 << _NUMBER_BITS)
    started_at, table = divmod(epoch, 1 << _TABLE_BITS)
    return (started_at, table, number) if position >= 0 and started_at < 1 << 63 else (0, 0, 0)


def channel_of(schema: str) -> str:
    """Where NOTIFY tells that a feed of the schema has more."""
    return f"{schema}_news"
