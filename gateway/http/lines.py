"""A bounded memo of lines: clients and backends repeat theirs, and equal bytes mean the same each time."""

from typing import Final, Generic, TypeVar

ValueT = TypeVar("ValueT")

_MAX_ENTRIES: Final = 2048
_MAX_LINE_BYTES: Final = 2048  # the two bounds make 8 MiB at the very worst; a usual process stays below 1 MiB


class LineMemo(Generic[ValueT]):
    """Line bytes → what was made of them.

    Lines are strangers' input, so the memo is bounded, and it must not be emptied of what everybody sends by one who
    sends something new each time. Two generations do that without bookkeeping per look-up: a full young generation
    becomes the old one, and what is asked for in the old one moves back.
    """

    __slots__ = ("_old", "young")

    def __init__(self) -> None:
        self.young: dict[bytes, ValueT] = {}
        self._old: dict[bytes, ValueT] = {}

    def recall(self, line: bytes) -> ValueT | None:
        """What is known of a line that is not in `young` (the reader looks there itself, for speed)."""
        value = self._old.get(line)
        if value is not None:
            self.learn(line, value)
        return value

    def learn(self, line: bytes, value: ValueT) -> None:
        if len(line) > _MAX_LINE_BYTES:
            return
        if len(self.young) >= _MAX_ENTRIES:
            # The dictionary object stays, for readers hold on to it; its content moves.
            self._old = self.young.copy()
            self.young.clear()
        self.young[line] = value
