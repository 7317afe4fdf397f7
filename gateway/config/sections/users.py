"""The part of the model that describes users, and the price of their passwords."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.metadata import doc
from gateway.types import Secret


@unique
class UserAttribute(StrEnum):
    """What of a user can be put into a claim or into the log-in answer: names of fields of `types.User`."""

    ID = "id"
    USERNAME = "username"
    EMAIL = "email"
    ROLES = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2:
    """Cost of one password hash. Defaults: OWASP's argon2id minimum, 19 MiB, about 20 ms of a core."""

    time_cost: int = field(default=2, metadata=doc("Passes.", minimum=1, maximum=100))
    memory_cost: int = field(
        default=19 * 1024 * 1024, metadata=doc("Memory.", size=True, minimum=8 * 1024, maximum=4 * 1024**3)
    )
    parallelism: int = field(default=1, metadata=doc("Lanes; each needs 8KiB of memory.", minimum=1, maximum=64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Where users live, in one of `sqlite` and `url`, and how their passwords are hashed."""

    sqlite: str | None = field(
        default=None,
        metadata=doc("Path of an SQLite file, made when absent. This or `url` must be given."),
    )
    url: Secret | None = field(
        default=None, metadata=doc("postgresql://: a database for any number of gateways. This or `sqlite`.")
    )
    argon2: Argon2 = field(default_factory=Argon2, metadata=doc("Cost of a password hash."))
    pbkdf2_iterations: int | None = field(
        default=None,
        metadata=doc(
            "The most iterations of imported hashes of Django's, which are read then; log-ins that fail cost as many.",
            minimum=1,
            maximum=10_000_000,
        ),
    )
    hash_workers: int = field(
        default=2, metadata=doc("Password hashes computed at the same time.", minimum=1, maximum=256)
    )
    hash_queue: int = field(
        default=64, metadata=doc("Log-ins that may wait for one; more are answered 503.", minimum=0, maximum=100_000)
    )
