"""Which refresh token of a session comes next, and when a session is over. Pure: the store makes it atomic.

A session has one good refresh token. With rotation each refresh spends it and gives a successor. Whoever shows the
spent one again within a grace time gets the same successor once more: two tabs, a lost answer, a retry. After that
nobody can tell the owner from the thief (RFC 9700 §4.14.2), nor when a token comes back that was spent before the last
one: the session is to be ended.
"""

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final

from gateway.types import Session

MAX_USER_AGENT_CHARS: Final = 255

_CLOCKS_APART: Final = 60.0  # seconds


@unique
class Standing(Enum):
    """What a refresh token is to its session."""

    CURRENT = auto()  # good
    PARENT = auto()  # spent a moment ago; its successor is the answer
    SPENT = auto()  # somebody has a copy: end the session
    OVER = auto()  # the session has reached one of its limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """What an operator can choose about sessions. Times are seconds; None: no such limit.

    `idle_timeout` runs from the last refresh, `lifetime` from the log-in, whatever is refreshed in between.
    """

    rotates: bool
    rotation_grace: float
    idle_timeout: float | None
    lifetime: float | None

    def ends_at(self, created_at: float) -> float:
        """When a session that began then is over at the latest, Unix seconds; no token of it lasts longer."""
        return float("inf") if self.lifetime is None else created_at + self.lifetime

    def is_open(self, session: Session, now: float) -> bool:
        """Whether it has a token that is good, unless it is revoked."""
        return now < session.expires_at and not self._has_reached_a_limit(session, now)

    def _has_reached_a_limit(self, session: Session, now: float) -> bool:
        is_idle = self.idle_timeout is not None and now >= session.last_used_at + self.idle_timeout
        return is_idle or now >= self.ends_at(session.created_at)

    def standing(self, session: Session, token_id: str, now: float) -> Standing:
        """What the token with this id is to the session now."""
        if self._has_reached_a_limit(session, now):
            return Standing.OVER
        if token_id == session.token_id:
            return Standing.CURRENT
        if token_id == session.parent_id and now < session.rotated_at + self.rotation_grace:
            return Standing.PARENT
        return Standing.SPENT


def rotated(session: Session, token_id: str, now: int) -> Session:
    """The session with a successor, issued now."""
    return dataclasses.replace(session, token_id=token_id, parent_id=session.token_id, rotated_at=now)


def forgotten_at(*token_ends: float) -> int:
    """When the revocation of tokens that end at these moments (Unix seconds, leeway included) may be forgotten.

    A while later than they end: another replica, whose clock may be ahead, may issue one at the very same moment.
    """
    return math.ceil(max(token_ends) + _CLOCKS_APART)


def session_id_for(token_id: str) -> str:
    """The session of a refresh token that names none, as those of SimpleJWT itself do.

    Made of the token's id, so that all who see the token come to the same one.
    """
    return hashlib.sha256(b"session of " + token_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def printable_user_agent(value: str) -> str:
    """A client's User-Agent for whoever looks at sessions: bounded, and without what a terminal would obey."""
    return "".join(char if " " <= char <= "~" else "?" for char in value[:MAX_USER_AGENT_CHARS])
