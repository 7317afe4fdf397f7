"""Events that wait for the audit trail, in Redis or Valkey.

The keys: `audit-events` (id → `<lost> <text>`) and `audit-times` (ids by when they may be taken, in microseconds by the
server's clock). That time is also the ticket of the last taking: who puts or takes an event anew changes it.
"""

from collections.abc import Sequence
from typing import Final

from gateway.interfaces import MAX_WAITING_EVENTS, AuditOutbox, WaitingEvent
from gateway.redis.server import RedisServer, Script

_CLOCK: Final = """
    local clock = redis.call('TIME')
    local now = clock[1] * 1000000 + clock[2]
    local function due_in(wait) return string.format('%.0f', now + wait) end
    local function lost_before(id) return tonumber(string.match(redis.call('HGET', KEYS[1], id) or '0 ', '^%d+')) end
"""

# ARGV: id, text, wait, how many may stay, the channel. PUBLISH may be forbidden to this user, as for revocations.
_PUT: Final = Script(f"""
    {_CLOCK}
    redis.call('HSET', KEYS[1], ARGV[1], lost_before(ARGV[1]) .. ' ' .. ARGV[2])
    redis.call('ZADD', KEYS[2], due_in(ARGV[3]), ARGV[1])
    local spare = redis.call('ZCARD', KEYS[2]) - ARGV[4]
    if spare > 0 then
        local lost = 0
        for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, spare - 1)) do
            lost = lost + 1 + lost_before(id)
            redis.call('HDEL', KEYS[1], id)
            redis.call('ZREM', KEYS[2], id)
        end
        local id = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
        local text = string.match(redis.call('HGET', KEYS[1], id) or '', ' .*$')
        if text then redis.call('HSET', KEYS[1], id, lost_before(id) + lost .. text) end
    end
    redis.pcall('PUBLISH', ARGV[5], '')
""")

_WITHDRAW: Final = Script("""
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
""")

# ARGV: how many, for how long. Gives id, `<lost> <text>` and ticket of each.
_TAKE: Final = Script(f"""
    {_CLOCK}
    local taken, ticket = {{}}, due_in(ARGV[2])
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', due_in(0), 'LIMIT', 0, ARGV[1])) do
        local event = redis.call('HGET', KEYS[1], id)
        if event then
            redis.call('ZADD', KEYS[2], ticket, id)
            taken[#taken + 1] = {{id, event, ticket}}
        else -- evicted
            redis.call('ZREM', KEYS[2], id)
        end
    end
    return taken
""")

# ARGV: id and ticket of each.
_SETTLE: Final = Script("""
    for index = 1, #ARGV, 2 do
        local time = redis.call('ZSCORE', KEYS[2], ARGV[index])
        if time and tonumber(time) == tonumber(ARGV[index + 1]) then
            redis.call('HDEL', KEYS[1], ARGV[index])
            redis.call('ZREM', KEYS[2], ARGV[index])
        end
    end
""")


class RedisOutbox(AuditOutbox):
    """The part of the Redis store that keeps events for the audit trail."""

    _server: RedisServer

    async def put_event(self, event_id: str, text: str, *, wait: float) -> None:
        values = (event_id, text, _microseconds(wait), MAX_WAITING_EVENTS, self._server.key("news"))
        await self._server.run(_PUT, self._outbox_keys, *values)

    async def withdraw_event(self, event_id: str) -> None:
        await self._server.run(_WITHDRAW, self._outbox_keys, event_id)

    async def take_events(self, *, limit: int, lease: float) -> Sequence[WaitingEvent]:
        taken = await self._server.run(_TAKE, self._outbox_keys, limit, _microseconds(lease))
        return [_event(*each) for each in taken]

    async def settle_events(self, taken: Sequence[WaitingEvent]) -> None:
        tickets = [value for event in taken for value in (event.id, event.ticket)]
        await self._server.run(_SETTLE, self._outbox_keys, *tickets)

    @property
    def _outbox_keys(self) -> list[bytes]:
        return [self._server.key("audit-events"), self._server.key("audit-times")]


def _event(event_id: bytes, told: bytes, ticket: bytes) -> WaitingEvent:
    lost, _, text = told.decode().partition(" ")
    return WaitingEvent(id=event_id.decode(), text=text, lost=int(lost), ticket=int(ticket))


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
