"""Attempts to present a password, in Redis or Valkey.

The keys: `attempts` (id → `<failures> <blocked_until> <forget_at>`) and `attempt-ends` (ids by `forget_at`);
`addresses:<name>` (addresses by `expires_at`) and `address-ends` (names by when the first of their addresses expires).
"""

from collections.abc import Sequence
from typing import Final

from gateway.interfaces import KNOWN_ADDRESSES, MAX_ATTEMPT_COUNTS, AttemptStore
from gateway.redis.server import RedisServer, Script
from gateway.types import AttemptLimit, Blocked

# ARGV: now, forget_at, then of each limit its id, how many failures are free, how many waits, these waits.
# %.17g: a double keeps its value, where Lua's own way to write one keeps 14 digits.
_TAKE: Final = Script("""
    local now = tonumber(ARGV[1])
    local blocked, latest, counted = nil, now, {}
    local index = 3
    while ARGV[index] do
        local id, free, waits = ARGV[index], tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
        local known = redis.call('HGET', KEYS[1], id) or '0 0 -inf'
        local failures, blocked_until, forget_at = string.match(known, '(%S+) (%S+) (%S+)')
        if forget_at == '-inf' or tonumber(forget_at) <= now then failures, blocked_until = 0, 0 end
        if tonumber(blocked_until) > latest then blocked, latest = {id, blocked_until}, tonumber(blocked_until) end
        local late = failures + 1 - free
        local wait = late > 0 and tonumber(ARGV[index + 2 + math.min(late, waits)]) or 0
        counted[#counted + 1] = {id, string.format('%d %.17g ', failures + 1, now + wait)}
        index = index + 3 + waits
    end
    if blocked then return blocked end
    for _, each in ipairs(counted) do
        redis.call('HSET', KEYS[1], each[1], each[2] .. ARGV[2])
        redis.call('ZADD', KEYS[2], ARGV[2], each[1])
    end
    return nil
""")

# ARGV: how many are forgotten, these, and those that get a failure back.
_SETTLE: Final = Script("""
    for index = 2, #ARGV do
        local id = ARGV[index]
        local failures, forget_at = string.match(redis.call('HGET', KEYS[1], id) or '', '(%S+) %S+ (%S+)')
        if failures and (index <= ARGV[1] + 1 or tonumber(failures) <= 1) then
            redis.call('HDEL', KEYS[1], id)
            redis.call('ZREM', KEYS[2], id)
        elseif failures then
            redis.call('HSET', KEYS[1], id, string.format('%d 0 %s', failures - 1, forget_at))
        end
    end
""")

# `first` is when the next purge has something to do here.
_KEEP: Final = """
    local function note_first(key, name)
        local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
        if first then redis.call('ZADD', KEYS[1], first, name) else redis.call('ZREM', KEYS[1], name) end
    end
"""

_REMEMBER: Final = Script(f"""
    {_KEEP}
    local known = redis.call('ZSCORE', KEYS[2], ARGV[2])
    if not known or tonumber(known) < tonumber(ARGV[3]) then redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2]) end
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - ARGV[4])
    note_first(KEYS[2], ARGV[1])
""")

_PURGE_COUNTS: Final = Script("""
    local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
    if #ids == 0 then
        local overflow = math.min(redis.call('ZCARD', KEYS[2]) - ARGV[3], tonumber(ARGV[2]))
        if overflow > 0 then ids = redis.call('ZRANGE', KEYS[2], 0, overflow - 1) end
    end
    if #ids > 0 then
        redis.call('HDEL', KEYS[1], unpack(ids))
        redis.call('ZREM', KEYS[2], unpack(ids))
    end
    return #ids
""")

# ARGV: what the keys of the names' addresses begin with, now, how many names.
_PURGE_ADDRESSES: Final = Script(f"""
    {_KEEP}
    local names = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
    for _, name in ipairs(names) do
        redis.call('ZREMRANGEBYSCORE', ARGV[1] .. name, '-inf', ARGV[2])
        note_first(ARGV[1] .. name, name)
    end
    return #names
""")

_BATCH: Final = 250  # as of revocations


class RedisAttempts(AttemptStore):
    """The part of the Redis store that counts attempts."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._count_keys = [server.key("attempts"), server.key("attempt-ends")]
        self._address_ends = server.key("address-ends")

    async def take_attempt(self, limits: Sequence[AttemptLimit], *, now: float, forget_at: float) -> Blocked | None:
        values: list[bytes | float] = [now, forget_at]
        for limit in limits:
            values += [limit.id, limit.free, len(limit.waits), *limit.waits]
        blocked = await self._server.run(_TAKE, self._count_keys, *values)
        return None if blocked is None else Blocked(id=blocked[0], until=float(blocked[1]))

    async def settle_attempt(self, *, forget: Sequence[bytes], give_back: Sequence[bytes]) -> None:
        await self._server.run(_SETTLE, self._count_keys, len(forget), *forget, *give_back)

    async def remember_address(self, name: bytes, address: bytes, *, expires_at: int) -> None:
        keys = [self._address_ends, self._server.key_of("addresses", name)]
        await self._server.run(_REMEMBER, keys, name, address, expires_at, KNOWN_ADDRESSES)

    async def knows_address(self, name: bytes, address: bytes, *, now: float) -> bool:
        expires_at = await self._server.ask("ZSCORE", self._server.key_of("addresses", name), address)
        return expires_at is not None and float(expires_at) > now

    async def purge_attempts(self, now: int) -> None:
        """The part of `StateStore.purge` that is about attempts and addresses."""
        while await self._server.run(_PURGE_COUNTS, self._count_keys, now, _BATCH, MAX_ATTEMPT_COUNTS):
            pass
        prefix = self._server.key_of("addresses", b"")
        while await self._server.run(_PURGE_ADDRESSES, [self._address_ends], prefix, now, _BATCH) == _BATCH:
            pass
