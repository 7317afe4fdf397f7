"""What changes sessions and revocations in Redis, in Lua: each script is carried out whole, with nobody in between.

The keys, after the namespace:

- `session:<id>`: a text, see `redis.py`; Redis forgets it by itself when the session is over.
- `sessions`: the ids of all of them, all with the same score, so that Redis keeps them in the order of their bytes.
- `user-sessions:<user>`: the same of one user. It lasts as long as his longest session.
- `session-ends`: `<user> <id>` by `expires_at`: what a purge needs to take an id out of the others.
- `revoked`: `<kind>:<id>` → `<expires_at> <up_to>`. The truth about what is refused.
- `revocations`: the same names by the number under which the feed tells them.
- `revocation-ends`: the same names by `expires_at`.
- `sequence`: the last number that was given.
- `epoch`: a number that is made when there is none, so that one that differs tells that all was lost in between.
- `sweep`: `<up_to> <bound>`: how far those sessions have been deleted that a revocation of everything ended.

A revocation of a user or of everything costs the same however many sessions it ends: their texts stay, but whoever
looks at one compares it with these two revocations. What is left goes by itself, as it expires or in a sweep.

What only sessions need may be evicted or expire; revocations have no time to live, so no policy but `allkeys-…` touches
them.
"""

from typing import Final

from gateway.redis.server import Script

# Numbers are the server's clock in microseconds, and never the same or less than one before: after FLUSHALL, or when an
# old snapshot is loaded, all new ones are greater than any that a reader has seen, so it misses none of them.
# PUBLISH may be forbidden to this user: a poll brings what nobody told.
REVOKE: Final = Script("""
    local known_expires_at, known_up_to = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '(%S+) (%S+)')
    local expires_at, up_to = ARGV[2], ARGV[3]
    if known_expires_at then
        local lasts_longer = tonumber(expires_at) > tonumber(known_expires_at)
        local reaches_later = tonumber(up_to) > tonumber(known_up_to)
        if not lasts_longer and not reaches_later then return 0 end
        if not lasts_longer then expires_at = known_expires_at end
        if not reaches_later then up_to = known_up_to end
    end
    local now = redis.call('TIME')
    local last = tonumber(redis.call('GET', KEYS[4]) or 0)
    local sequence = string.format('%.0f', math.max(last + 1, now[1] * 1000000 + now[2]))
    redis.call('HSET', KEYS[1], ARGV[1], expires_at .. ' ' .. up_to)
    redis.call('ZADD', KEYS[2], sequence, ARGV[1])
    redis.call('ZADD', KEYS[3], expires_at, ARGV[1])
    redis.call('SET', KEYS[4], sequence)
    redis.pcall('PUBLISH', ARGV[4], sequence)
    return known_expires_at and 0 or 1
""")

# ARGV: number and epoch of the position, how many are asked for. Gives the epoch, whether the position is one of this
# store, the last number that was ever given, that of the last revocation that is told, then these, each in one text:
# `<expires_at> <up_to> <name>`. A reader of 50,000 spends its time on the number of texts.
# The epoch goes with all the rest when the store is emptied; a number above the last one tells that it was set back.
TELL: Final = Script("""
    local epoch = redis.call('GET', KEYS[4])
    if not epoch then
        local now = redis.call('TIME')
        epoch = string.format('%.0f', now[1] * 1000000 + now[2])
        redis.call('SET', KEYS[4], epoch)
    end
    local last = redis.call('GET', KEYS[3]) or '0'
    local goes_on = epoch == ARGV[2] and tonumber(ARGV[1]) <= tonumber(last)
    local known = goes_on and ARGV[1] or '0'
    local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. known, '+inf', 'LIMIT', 0, ARGV[3])
    if #names == 0 then return {epoch, goes_on and 1 or 0, last, last} end
    local told = redis.call('HMGET', KEYS[1], unpack(names))
    for index, name in ipairs(names) do told[index] = told[index] .. ' ' .. name end
    return {epoch, goes_on and 1 or 0, last, redis.call('ZSCORE', KEYS[2], names[#names]), unpack(told)}
""")

PURGE_REVOCATIONS: Final = Script("""
    local names = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
    if #names > 0 then
        redis.call('ZREM', KEYS[2], unpack(names))
        redis.call('ZREM', KEYS[3], unpack(names))
        redis.call('HDEL', KEYS[1], unpack(names))
    end
    return #names
""")

# Whether a session that is still there was ended with all of its user's or with everybody's. KEYS[1]: `revoked`.
_IS_ENDED: Final = """
    local function is_ended(text)
        local rotated_at, user = string.match(text, '^(%S+) %S+ %S+ %S+ %S* (%S*) ')
        user = string.gsub(user, '%%(%x%x)', function(code) return string.char(tonumber(code, 16)) end)
        for _, known in ipairs(redis.call('HMGET', KEYS[1], 'everything:', 'user:' .. user)) do
            if known and tonumber(rotated_at) <= tonumber(string.match(known, ' (%S+)')) then return true end
        end
        return false
    end
"""

_PUT: Final = """
    local function put(id, text, expires_at, name, milliseconds)
        redis.call('SET', KEYS[2], text, 'PX', milliseconds)
        redis.call('ZADD', KEYS[3], 0, id)
        redis.call('ZADD', KEYS[4], expires_at, name)
        redis.call('ZADD', KEYS[5], 0, id)
        if redis.call('PTTL', KEYS[5]) < tonumber(milliseconds) then redis.call('PEXPIRE', KEYS[5], milliseconds) end
    end
"""

OPEN: Final = Script(f"""
    {_IS_ENDED} {_PUT}
    local text = redis.call('GET', KEYS[2])
    if text and not is_ended(text) then return 0 end
    put(unpack(ARGV))
    return 1
""")

FIND: Final = Script(f"""
    {_IS_ENDED}
    local text = redis.call('GET', KEYS[2])
    return text and not is_ended(text) and text
""")

# The fifth word is the token that is good.
REPLACE: Final = Script(f"""
    {_IS_ENDED} {_PUT}
    local text = redis.call('GET', KEYS[2])
    if not text or string.match(text, '^%S+ %S+ %S+ %S+ (%S*) ') ~= ARGV[6] or is_ended(text) then return 0 end
    put(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
    return 1
""")

# Looks at as many as it is told from a bound on (`-`, or `(` and an id), and gives the last id of these, then id and
# text of each that goes on; nothing at the end. One without a text is over, and its id is about to be purged.
# `prefix` and the namespace are those of KEYS[1]: a script may build keys of the slot that it was sent to.
LIST: Final = Script(f"""
    {_IS_ENDED}
    local ids = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
    local found = {{ids[#ids]}}
    for _, id in ipairs(ids) do
        local text = redis.call('GET', ARGV[1] .. 'session:' .. id)
        if text and not is_ended(text) then
            found[#found + 1] = id
            found[#found + 1] = text
        end
    end
    return found
""")

_END: Final = """
    local function finish(id, user)
        redis.call('DEL', ARGV[1] .. 'session:' .. id)
        redis.call('ZREM', KEYS[1], id)
        redis.call('ZREM', KEYS[2], user .. ' ' .. id)
        redis.call('ZREM', ARGV[1] .. 'user-sessions:' .. user, id)
    end
"""

END_SESSION: Final = Script(f"""
    {_END}
    local text = redis.call('GET', ARGV[1] .. 'session:' .. ARGV[2])
    if text then finish(ARGV[2], string.match(text, '^%S+ %S+ %S+ %S+ %S* (%S*) ')) end
""")

# One step of the way through all sessions after a revocation of everything; gives 0 where there is nothing to do. All
# gateways share the way. KEYS: sessions, session-ends, revoked, sweep.
SWEEP: Final = Script(f"""
    {_END}
    local up_to = string.match(redis.call('HGET', KEYS[3], 'everything:') or '', ' (%S+)')
    local swept, bound = string.match(redis.call('GET', KEYS[4]) or '', '^(%S+) (.*)$')
    if not up_to then
        redis.call('DEL', KEYS[4])
        return 0
    end
    if swept ~= up_to then bound = '-' end
    if bound == '' then return 0 end
    local ids = redis.call('ZRANGEBYLEX', KEYS[1], bound, '+', 'LIMIT', 0, ARGV[2])
    for _, id in ipairs(ids) do
        local text = redis.call('GET', ARGV[1] .. 'session:' .. id)
        if not text then
            redis.call('ZREM', KEYS[1], id)
        else
            local rotated_at, user = string.match(text, '^(%S+) %S+ %S+ %S+ %S* (%S*) ')
            if tonumber(rotated_at) <= tonumber(up_to) then finish(id, user) end
        end
    end
    redis.call('SET', KEYS[4], up_to .. ' ' .. (#ids > 0 and '(' .. ids[#ids] or ''))
    return #ids
""")

# An id may have been opened anew, for another user, since Redis forgot it.
PURGE_SESSIONS: Final = Script(f"""
    {_END}
    local names = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
    for _, name in ipairs(names) do
        local user, id = string.match(name, '^(%S*) (.*)$')
        local text = redis.call('GET', ARGV[1] .. 'session:' .. id)
        if not text or tonumber(string.match(text, '^%S+ %S+ %S+ (%S+) ')) <= tonumber(ARGV[2]) then
            finish(id, user)
        else
            redis.call('ZREM', KEYS[2], name)
        end
    end
    return #names
""")
