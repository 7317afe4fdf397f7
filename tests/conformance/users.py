"""The users of both servers, made in this order on each, so that their ids are equal: 1, 2, 3, …"""

from typing import Final

USERS: Final[tuple[dict[str, str], ...]] = tuple(
    {"username": name, "email": f"{name}@example.org", "password": password, "state": state}
    for name, password, state in (
        ("alice", "alice-pass-1", "active"),  # 1
        ("bob", "bob-pass-2 with blanks", "active"),  # 2
        ("ivan", "ivan-pass-3", "inactive"),  # 3
        ("gone", "gone-pass-4", "deleted"),  # 4
        ("jürgen", "pässwörd-5 ☃", "active"),  # 5
        ("12345", "67890123", "active"),  # 6
        ("carol", "carol-pass-8", "active"),  # 7, disabled within a test
        ("dave", "dave-pass-9", "active"),  # 8, removed within a test
        ("quentin", 'quote"back\\slash-10', "active"),  # 9
    )
)
