"""Every way in which a network may cut bytes that a parser must not notice."""

from collections.abc import Iterator


def cuts(raw: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and at every two-way split."""
    yield [raw]
    yield [raw[at : at + 1] for at in range(len(raw))]
    for at in range(1, len(raw)):
        yield [raw[:at], raw[at:]]
