"""Sessions and revocations in Redis or Valkey. What is where, and how it is changed: see `redis_scripts.py`.

A session is a text of words: `rotated_at created_at last_used_at expires_at token_id user_id parent_id address agent`.
The ids are percent-encoded, so they hold no space and lone surrogates pass; `*` is a `parent_id` of None; `agent` is
the rest. An operator can read it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gateway.interfaces import NewRevocations, StateStore
from gateway.redis.server import RedisServer, Script
from gateway.state import redis_scripts as scripts
from gateway.state.redis_attempts import RedisAttempts
from gateway.state.redis_outbox import RedisOutbox
from gateway.types import IssuedToken, Revocation, RevokedKind, Session

logger: Final = logging.getLogger("gateway")

_VERSION: Final = 1  # of the keys; a gateway refuses those of a higher one

_TTL_MARGIN: Final = 3600  # a purge, which takes the session's id out of every index, comes first

_BATCH: Final = 250  # that are read: a millisecond of the server, in which nobody else is served

_PURGE_BATCH: Final = 100  # that are deleted, which takes longer

_PURGE_PAUSE: Final = 3  # times what a step took: nobody waits for a purge, but others may for their answers

_NO_PARENT: Final = b"*"

_NUMBER_BITS: Final = 64

_EMPTIED: Final = (
    "has lost all that it was told: it was emptied, or another one took its place. Users have to log in again. "
    "What running gateways know to be revoked they give back. See docs/state.md on persistence."
)


class RedisStateStore(RedisAttempts, RedisOutbox, StateStore):
    """`StateStore` in a Redis server. Await `prepare()` before anything else."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server)
        self._server = server
        self._prefix = server.key("")
        self._session_indexes = [server.key("sessions"), server.key("session-ends")]
        self._revoked = server.key("revoked")
        self._revocation_keys = [self._revoked, server.key("revocations"), server.key("revocation-ends")]
        self._sweep_keys = [*self._session_indexes, self._revoked, server.key("sweep")]
        self._sequence = server.key("sequence")
        self._feed_keys = [*self._revocation_keys[:2], self._sequence, server.key("epoch")]

    async def prepare(self) -> None:
        """See that the server can be used, and that its keys are known here. Raises `StoreUnavailable`."""
        await self._server.prepare(_VERSION)
        await self._server.run(scripts.TELL, self._feed_keys, 0, 0, 0)  # so that every snapshot has an epoch

    async def open_session(self, session: Session) -> bool:
        return bool(await self._server.run(scripts.OPEN, self._keys_of(session), *_put(session)))

    async def find_session(self, session_id: str) -> Session | None:
        keys = [self._revoked, self._server.key_of("session", _bytes(session_id))]
        text = await self._server.run(scripts.FIND, keys)
        return None if text is None else _session(session_id, text)

    async def replace_session(self, old: Session, new: Session) -> bool:
        values = _put(new)
        return bool(await self._server.run(scripts.REPLACE, self._keys_of(old), *values, _word(old.token_id)))

    async def sessions(self, *, user_id: str | None, after: str, limit: int) -> Sequence[Session]:
        index = self._session_indexes[0] if user_id is None else self._user_index(user_id)
        found: list[Session] = []
        last, looks_at = _bytes(after), min(limit, _BATCH)
        while len(found) < limit:
            values = (self._prefix, b"(" + last, looks_at)
            told = await self._server.run(scripts.LIST, [self._revoked, index], *values)
            if not told:
                break
            last, looks_at = told[0], _BATCH
            found += [_session(_text(each), text) for each, text in zip(told[1::2], told[2::2], strict=True)]
        return found[:limit]

    async def revoke(self, revocation: Revocation) -> bool:
        keys = [*self._revocation_keys, self._sequence]
        values = (_name(revocation.kind, revocation.id), revocation.expires_at, revocation.up_to)
        is_new = await self._server.run(scripts.REVOKE, keys, *values, self._server.key("news"))
        if revocation.kind is RevokedKind.SESSION:
            # What a crash in between leaves behind is refused and will be purged.
            ended = (self._prefix, _bytes(revocation.id))
            await self._server.run(scripts.END_SESSION, self._session_indexes, *ended)
        return bool(is_new)

    async def is_revoked(self, token: IssuedToken) -> bool:
        ids = {
            RevokedKind.TOKEN: token.token_id,
            RevokedKind.SESSION: token.session_id,
            RevokedKind.USER: token.user_id,
            RevokedKind.EVERYTHING: "",
        }
        names = {kind: _name(kind, each) for kind, each in ids.items() if each is not None}
        known = await self._server.ask("HMGET", self._revoked, *names.values())
        for kind, text in zip(names, known, strict=True):
            if text is None:
                continue
            up_to = int(text.split()[1])
            if kind in (RevokedKind.TOKEN, RevokedKind.SESSION) or token.issued_at <= up_to:
                return True
        return False

    async def revocations_since(self, position: int) -> NewRevocations:
        interruptions = self._server.interruptions
        of_connection, epoch, known = _parts(position)
        begins_anew = of_connection != interruptions
        if begins_anew:
            # The server may have been restarted or replaced, and have lost what it was told last: its epoch is the
            # same then, and its numbers may have gone past those that were lost.
            known = 0
        revocations: list[Revocation] = []
        while True:
            epoch_now, goes_on, last, reached, *told = await self._server.run(
                scripts.TELL, self._feed_keys, known, epoch, _BATCH
            )
            begins_anew |= not goes_on
            if epoch not in (0, int(epoch_now)):
                logger.error("store_emptied detail=%s", f"{self._server.place} {_EMPTIED}")
            epoch, known = int(epoch_now), int(reached)
            revocations += [_revocation(each) for each in told]
            if len(told) < _BATCH:
                position = _position(interruptions, epoch, int(last))
                return NewRevocations(position=position, revocations=tuple(revocations), begins_anew=begins_anew)

    async def wait_for_revocations(self, seconds: float) -> None:
        await self._server.wait_for_news(seconds)

    async def purge(self, now: int) -> None:
        await self._repeat(scripts.PURGE_REVOCATIONS, self._revocation_keys, now, _PURGE_BATCH)
        await self._repeat(scripts.SWEEP, self._sweep_keys, self._prefix, _PURGE_BATCH)
        await self._repeat(scripts.PURGE_SESSIONS, self._session_indexes, self._prefix, now, _PURGE_BATCH)
        await self.purge_attempts(now)

    async def close(self) -> None:
        await self._server.close()

    async def _repeat(self, script: Script, keys: Sequence[bytes], *values: bytes | int) -> None:
        """Step by step, until one finds less to do than there may be in it."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while await self._server.run(script, keys, *values) == _PURGE_BATCH:
            await asyncio.sleep(_PURGE_PAUSE * (clock() - began))
            began = clock()

    def _user_index(self, user_id: str) -> bytes:
        return self._server.key_of("user-sessions", _word(user_id))

    def _keys_of(self, session: Session) -> list[bytes]:
        key = self._server.key_of("session", _bytes(session.id))
        return [self._revoked, key, *self._session_indexes, self._user_index(session.user_id)]


def _position(interruptions: int, epoch: int, number: int) -> int:
    return (((interruptions << _NUMBER_BITS) | epoch) << _NUMBER_BITS) | number


def _parts(position: int) -> tuple[int, int, int]:
    """Interruptions, epoch and number; what was never given is of no epoch."""
    before, number = divmod(max(position, 0), 1 << _NUMBER_BITS)
    interruptions, epoch = divmod(before, 1 << _NUMBER_BITS)
    return interruptions, epoch, number


def _put(session: Session) -> tuple[bytes | int, ...]:
    """What the scripts are told of a session: id, text, when it ends, its name by then, for how long it is kept."""
    user_id = _word(session.user_id)
    times = (session.rotated_at, session.created_at, session.last_used_at, session.expires_at)
    parent = _NO_PARENT if session.parent_id is None else _word(session.parent_id)
    words = (b"%d %d %d %d" % times, _word(session.token_id), user_id, parent, _word(session.address))
    text = b"%b %b" % (b" ".join(words), _bytes(session.user_agent))
    seconds = max(session.expires_at - session.last_used_at, 0) + _TTL_MARGIN  # whatever the server's clock says
    session_id = _bytes(session.id)
    return session_id, text, session.expires_at, b"%b %b" % (user_id, session_id), seconds * 1000


def _session(session_id: str, text: bytes) -> Session:
    *times, token_id, user_id, parent_id, address, agent = text.split(b" ", 8)
    rotated_at, created_at, last_used_at, expires_at = map(int, times)
    return Session(
        id=session_id,
        user_id=_unword(user_id),
        token_id=_unword(token_id),
        parent_id=None if parent_id == _NO_PARENT else _unword(parent_id),
        rotated_at=rotated_at,
        created_at=created_at,
        last_used_at=last_used_at,
        expires_at=expires_at,
        address=_unword(address),
        user_agent=_text(agent),
    )


def _revocation(told: bytes) -> Revocation:
    expires_at, up_to, name = told.split(b" ", 2)
    kind, _, revoked_id = name.partition(b":")
    return Revocation(
        kind=RevokedKind(kind.decode()), id=_text(revoked_id), expires_at=int(expires_at), up_to=int(up_to)
    )


def _name(kind: RevokedKind, revoked_id: str) -> bytes:
    return b"%b:%b" % (kind.value.encode(), _bytes(revoked_id))


def _word(text: str) -> bytes:
    return quote_from_bytes(_bytes(text), safe="/:@").encode()


def _unword(word: bytes) -> str:
    return _text(unquote_to_bytes(word))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(encoded: bytes) -> str:
    return encoded.decode("utf-8", "surrogatepass")
