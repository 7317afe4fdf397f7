"""What a command changes leaves word for the audit trail, which a running gateway writes (`server.audit_relay`).

Users may be in another place than what waits for the trail, so change and word are no one transaction. The word comes
first, as one whose outcome is unknown and that nobody writes for a minute; then the change; then the word that it was
made, in the place of the first. A command that is killed in between cannot hide what it has done: the first word is
written, with `reason` "outcome_unknown". Where no word can be left the change is made all the same (a user has to be
disabled also while Redis is away), and whoever asked for it is told.
"""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from gateway.errors import NotRecorded, StoreUnavailable, UsageError

if TYPE_CHECKING:
    from gateway.config.model import Config

_PATIENCE: Final = 60.0  # seconds: nearly all changes take a moment, to end a million sessions takes a minute


@contextlib.asynccontextmanager
async def recorded(config: "Config", event: str, **details: str) -> AsyncIterator[dict[str, str]]:
    """The body makes the change and may add to the details that it is given.

    `UsageError` from it says that it made none, as does a file that is there already or must not be made.
    Raises `NotRecorded` when the change was made and there is no word of it.
    """
    from gateway.composition.state import reach_outbox
    from gateway.observability.audit_events import OUTCOME_UNKNOWN, AuditEvent

    event_id = uuid.uuid4().hex
    told = {**_actor(), **details}

    async with reach_outbox(config) as outbox:

        async def leave_word(reason: dict[str, str], *, wait: float) -> StoreUnavailable | None:
            text = AuditEvent.at(time.time(), event, {**told, **reason}).to_text()
            try:
                await (await outbox()).put_event(event_id, text, wait=wait)
            except StoreUnavailable as error:
                return error
            return None

        before = await leave_word({"reason": OUTCOME_UNKNOWN}, wait=_PATIENCE)
        try:
            yield told
        except (UsageError, FileExistsError, PermissionError):
            with contextlib.suppress(StoreUnavailable):
                await (await outbox()).withdraw_event(event_id)
            raise
        failure = await leave_word({}, wait=0.0)
    if failure is not None:
        what = "will not have it" if before else f"will have it with the reason {OUTCOME_UNKNOWN}"
        raise NotRecorded(f"This was done, but the audit trail {what}: {failure}")


def _actor() -> dict[str, str]:
    """Who runs this command where, as the system knows it, and who became that user as `sudo` says."""
    import pwd

    user_id = os.getuid()
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:  # in a container
        name = str(user_id)
    actor = {"actor": "cli", "os_user": name, "host": socket.gethostname()}
    sudo_user = os.environ.get("SUDO_USER")
    return actor if sudo_user is None else {**actor, "sudo_user": sudo_user}
