"""What every directory of managed users must do, whatever keeps it.

A test module of an engine inherits from `DirectoryBehaviour` and defines the fixture `open_directory`: a factory that
gives a new handle, as another process would have it, on the one storage of the test.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import StoreUnavailable, UsageError
from gateway.interfaces import ManagedUserDirectory, UserDump
from gateway.types import Account, User

OpenDirectory = Callable[..., Awaitable[ManagedUserDirectory]]
"""`await open_directory(login_attribute="username")`: ready for use; the fixture closes it."""

LONE_SURROGATE = "ali\ud800ce"


async def add(directory: ManagedUserDirectory, username: str, email: str = "", roles: tuple[str, ...] = ()) -> User:
    return await directory.add(username=username, email=email, roles=roles, password_hash=f"hash of {username}")


def account(user_id: str, username: str, **values: Any) -> Account:
    plain: dict[str, Any] = {"email": "", "roles": (), "is_active": True}
    return Account(user=User(id=user_id, username=username, **plain | values), password_hash=f"hash of {username}")


class DirectoryBehaviour:
    # Finding

    async def test_a_user_is_found_by_name_and_by_id(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        added = await add(directory, "alice", "alice@example.org", ("admin", "Site Editor"))
        assert added == User(
            id=added.id, username="alice", email="alice@example.org", roles=("admin", "Site Editor"), is_active=True
        )
        account = await directory.find_by_login("alice")
        assert account is not None
        assert (account.user, account.password_hash) == (added, "hash of alice")
        assert await directory.find_by_id(added.id) == added

    async def test_what_one_handle_writes_another_reads(self, open_directory: OpenDirectory) -> None:
        one, other = await open_directory(), await open_directory()
        added = await add(one, "alice")
        assert await other.find_by_id(added.id) == added
        await other.set_active("alice", is_active=False)
        user = await one.find_by_id(added.id)
        assert user is not None
        assert not user.is_active

    @pytest.mark.parametrize(
        "login", ["", "bob", "Alice", "alice ", " alice", "alice\0", "ａlice", LONE_SURROGATE, "%"]
    )
    async def test_s50_a_login_is_compared_exactly(self, open_directory: OpenDirectory, login: str) -> None:
        directory = await open_directory()
        await add(directory, "alice")
        assert await directory.find_by_login(login) is None

    async def test_user_names_are_case_sensitive(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        small, capital = await add(directory, "alice"), await add(directory, "Alice")
        for user in (small, capital):
            account = await directory.find_by_login(user.username)
            assert account is not None
            assert account.user == user

    @pytest.mark.parametrize(
        "variant", ["0{}", "+{}", " {}", "{} ", "{}.0", "-{}", "{}_0", "{}\n", "{}\0", "{}{}{}{}{}{}{}{}{}{}" * 3]
    )
    async def test_an_id_has_one_spelling(self, open_directory: OpenDirectory, variant: str) -> None:
        directory = await open_directory()
        user = await add(directory, "alice")
        assert await directory.find_by_id(variant.replace("{}", user.id)) is None

    @pytest.mark.parametrize("user_id", ["", "0", "-1", "abc", "١", "1e0", "0x1", "9" * 18, "9" * 4000, LONE_SURROGATE])
    async def test_an_id_of_nobody_is_nobodys(self, open_directory: OpenDirectory, user_id: str) -> None:
        directory = await open_directory()
        await add(directory, "alice")
        assert await directory.find_by_id(user_id) is None

    async def test_login_by_email_is_exact_and_not_by_name(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory(login_attribute="email")
        alice = await add(directory, "alice", "Alice@Example.ORG")
        await add(directory, "bob")
        assert alice.email == "Alice@example.org"
        account = await directory.find_by_login("Alice@example.org")
        assert account is not None
        assert account.user == alice
        for login in ("alice@example.org", "Alice@Example.ORG", "alice", "bob", "", LONE_SURROGATE):
            assert await directory.find_by_login(login) is None

    async def test_inactive_users_are_found(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        added = await add(directory, "alice")
        await directory.set_active("alice", is_active=False)
        account = await directory.find_by_login("alice")
        assert account is not None
        assert not account.user.is_active
        assert account.user == await directory.find_by_id(added.id)
        await directory.set_active("alice", is_active=True)
        assert await directory.find_by_id(added.id) == added

    async def test_who_changes_a_user_by_name_is_told_whom(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        await add(directory, "bob")
        alice = await add(directory, "alice")
        assert await directory.set_password_hash("alice", "new") == alice.id
        assert await directory.set_active("alice", is_active=False) == alice.id
        assert await directory.set_active("alice", is_active=False) == alice.id
        assert (await directory.set_roles("alice", ["x"])).id == alice.id
        assert await directory.remove("alice") == alice.id

    # Adding

    async def test_all_users_are_ordered_by_name(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        assert await directory.all_users() == []
        for name in ("mallory", "alice", "Zoë", "bob"):
            await add(directory, name)
        assert [user.username for user in await directory.all_users()] == ["Zoë", "alice", "bob", "mallory"]

    @pytest.mark.parametrize(
        "username",
        ["a", "x" * 150, "alice@example.org", "Ärger", "李小龍", "o'brien\"; --", "Mary Ann", "-", "😀", "%_"],
    )
    async def test_names_that_are_taken(self, open_directory: OpenDirectory, username: str) -> None:
        directory = await open_directory()
        added = await add(directory, username)
        account = await directory.find_by_login(username)
        assert account is not None
        assert account.user == added

    @pytest.mark.parametrize(
        "username",
        [
            *("", "x" * 151, " alice", "alice ", "\talice", "al\nice", "al\0ice", "al\x1b[2Jice", LONE_SURROGATE),
            *("ａlice", "ﬁona", "e\u0301ve", "Ⅳ", "al\u00a0ice"),  # not their own NFKC form
            *(
                "al\u200bice",
                "al\u202eice",
                "\ufeffalice",
                "al\u2028ice",
                "al\ue000ice",
            ),  # shown as nothing or elsewhere
        ],
    )
    async def test_s50_names_with_more_than_one_reading_are_refused(
        self, open_directory: OpenDirectory, username: str
    ) -> None:
        directory = await open_directory()
        with pytest.raises(UsageError, match=r"(?i)^(a|the) user name .+\.$"):
            await add(directory, username)
        assert await directory.all_users() == []

    async def test_a_name_is_given_once(self, open_directory: OpenDirectory) -> None:
        one, other = await open_directory(), await open_directory()
        await add(one, "alice")
        with pytest.raises(UsageError, match=r"^The user name 'alice' is taken; choose another one\.$"):
            await add(other, "alice")
        assert len(await one.all_users()) == 1

    async def test_of_many_who_add_one_name_at_once_one_succeeds(self, open_directory: OpenDirectory) -> None:
        handles = [await open_directory() for _ in range(3)]
        adding = [add(handle, "alice") for handle in handles for _ in range(3)]
        results = await asyncio.gather(*adding, return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["UsageError"] * 8 + ["User"]

    @pytest.mark.parametrize("second", ["alice@example.org", "alice@EXAMPLE.org", "ALICE@example.org"])
    async def test_an_email_address_is_given_once_whatever_its_case(
        self, open_directory: OpenDirectory, second: str
    ) -> None:
        directory = await open_directory()
        await add(directory, "alice", "alice@example.org")
        with pytest.raises(
            UsageError, match=r"^The e-mail address '.+' belongs to another user; choose another one\.$"
        ):
            await add(directory, "alice2", second)
        assert await directory.find_by_login("alice2") is None

    async def test_many_users_may_have_no_email_address(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        for name in ("alice", "bob"):
            assert (await add(directory, name)).email == ""

    @pytest.mark.parametrize(
        "email",
        [
            *("alice", "@example.org", "alice@", "al ice@example.org", " a@example.org", "a@example.org ", "a@b\n.org"),
            *("a@b\0.org", f"{'x' * 250}@b.org", "ａ@example.org", "a@exam\u200bple.org", f"{LONE_SURROGATE}@b.org"),
        ],
    )
    async def test_what_is_no_email_address_is_refused(self, open_directory: OpenDirectory, email: str) -> None:
        directory = await open_directory()
        with pytest.raises(UsageError, match=r"e-mail address.*\.$"):
            await add(directory, "alice", email)
        assert await directory.all_users() == []

    @pytest.mark.parametrize("role", ["", "x" * 151, "a,b", " a", "a\n", "a\0", "ａ", "a\u200b", LONE_SURROGATE])
    async def test_s38_roles_that_a_backend_could_misread_are_refused(
        self, open_directory: OpenDirectory, role: str
    ) -> None:
        directory = await open_directory()
        added = await add(directory, "bob", "", ("staff",))
        with pytest.raises(UsageError, match=r"(?i)^(a|the) role .+\.$"):
            await add(directory, "alice", "", ("ok", role))
        with pytest.raises(UsageError, match=r"(?i)^(a|the) role .+\.$"):
            await directory.set_roles("bob", [role])
        assert await directory.all_users() == [added]

    # Changing

    async def test_roles_are_replaced_in_the_order_given_and_once_each(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        added = await add(directory, "alice", "", ("old",))
        changed = await directory.set_roles("alice", ["b", "a", "b", "Größe"])
        assert changed.roles == ("b", "a", "Größe")
        assert await directory.find_by_id(added.id) == changed
        assert (await directory.set_roles("alice", [])).roles == ()

    async def test_the_password_hash_is_replaced(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        await add(directory, "alice")
        await add(directory, "bob")
        await directory.set_password_hash("alice", "new")
        assert await self.hashes(directory) == {"alice": "new", "bob": "hash of bob"}

    async def test_a_rehash_gives_way_to_a_password_that_was_changed_meanwhile(
        self, open_directory: OpenDirectory
    ) -> None:
        directory = await open_directory()
        alice = await add(directory, "alice")
        await directory.replace_password_hash(alice.id, "hash of alice", "stronger")
        assert await self.hashes(directory) == {"alice": "stronger"}
        await directory.set_password_hash("alice", "changed")
        await directory.replace_password_hash(alice.id, "stronger", "stronger still")
        for nobody in ("999", "abc", f"0{alice.id}"):
            await directory.replace_password_hash(nobody, "changed", "stronger still")
        assert await self.hashes(directory) == {"alice": "changed"}

    @staticmethod
    async def hashes(directory: ManagedUserDirectory) -> dict[str, str]:
        accounts = [await directory.find_by_login(user.username) for user in await directory.all_users()]
        return {account.user.username: account.password_hash for account in accounts if account is not None}

    @pytest.mark.parametrize("name", ["bob", "Alice", "", LONE_SURROGATE])
    async def test_commands_for_nobody_are_refused(self, open_directory: OpenDirectory, name: str) -> None:
        directory = await open_directory()
        await add(directory, "alice")
        before = await directory.all_users(), await self.hashes(directory)
        for command in (
            directory.set_password_hash(name, "x"),
            directory.set_active(name, is_active=False),
            directory.set_roles(name, ["x"]),
            directory.remove(name),
        ):
            with pytest.raises(UsageError, match=r"^There is no user '.*'; user names are case-sensitive\.$"):
                await command
        assert (await directory.all_users(), await self.hashes(directory)) == before

    async def test_a_removed_user_is_gone_and_the_id_is_never_given_again(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        removed = await add(directory, "alice", "alice@example.org")
        await directory.remove("alice")
        assert await directory.find_by_login("alice") is None
        assert await directory.find_by_id(removed.id) is None
        successor = await add(await open_directory(), "alice", "alice@example.org")
        assert successor.id != removed.id
        assert await directory.find_by_id(removed.id) is None

    # All at once

    async def test_a_dump_has_all_that_is_to_be_known_elsewhere(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        assert await directory.dump() == UserDump(accounts=(), last_id=0)
        bob = await add(directory, "bob", "bob@example.org", ("staff", "Site Editor"))
        await add(directory, "alice")
        await directory.set_password_hash("alice", "new")
        await directory.set_active("alice", is_active=False)
        removed = await add(directory, "carol")
        await directory.remove("carol")
        dump = await directory.dump()
        [alice] = [user for user in await directory.all_users() if user.username == "alice"]
        assert dump.accounts == (
            Account(user=alice, password_hash="new"),
            Account(user=bob, password_hash="hash of bob"),
        )
        assert str(dump.last_id) == removed.id

    async def test_what_is_added_is_what_was_dumped(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        dave = await add(directory, "dave")
        position = (await directory.changes_since(0)).position
        accounts = (
            account("7", "alice", email="a@example.org", roles=("x", "Größe"), credentials_changed_at=5),
            account("5", "bob", is_active=False, claims_changed_at=2**33),
        )
        await directory.add_all(UserDump(accounts=accounts, last_id=9))
        dump = await directory.dump()
        assert set(dump.accounts) == {*accounts, Account(user=dave, password_hash="hash of dave")}
        assert dump.last_id == 9
        assert (await directory.changes_since(position)).user_ids == {"7", "5"}
        assert (await add(await open_directory(), "erin")).id == "10"

    async def test_ids_that_were_given_are_known_whatever_the_dump_says(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        for name in ("alice", "bob"):
            await add(directory, name)
        await directory.remove("bob")
        await directory.add_all(UserDump(accounts=(), last_id=1))
        assert (await add(directory, "carol")).id == "3"
        await directory.add_all(UserDump(accounts=(account("8", "dave"),), last_id=0))
        assert (await add(directory, "erin")).id == "9"

    @pytest.mark.parametrize(
        "taken",
        [("1", "carol", ""), ("9", "alice", ""), ("9", "carol", "ALICE@example.org")],
        ids=["id", "name", "address"],
    )
    async def test_all_are_added_or_nobody(self, open_directory: OpenDirectory, taken: tuple[str, str, str]) -> None:
        directory = await open_directory()
        await add(directory, "alice", "alice@example.org")
        before = await directory.dump()
        user_id, username, email = taken
        accounts = (account("5", "bob"), account(user_id, username, email=email))
        with pytest.raises(StoreUnavailable):
            await directory.add_all(UserDump(accounts=accounts, last_id=20))
        assert await directory.dump() == before

    async def test_many_are_added_in_one_go(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        many = tuple(account(str(number), f"user {number:05}", roles=("staff",)) for number in range(1, 12_001))
        await directory.add_all(UserDump(accounts=many, last_id=0))
        assert await directory.dump() == UserDump(accounts=many, last_id=12_000)

    # The feed of changes

    async def test_the_feed_of_a_new_directory_is_at_its_beginning(self, open_directory: OpenDirectory) -> None:
        changes = await (await open_directory()).changes_since(0)
        assert changes.user_ids == frozenset()

    async def test_the_feed_names_who_was_changed_by_another_process(self, open_directory: OpenDirectory) -> None:
        gateway, shell = await open_directory(), await open_directory()
        alice, bob, carol = [await add(shell, name) for name in ("alice", "bob", "carol")]
        position = (await gateway.changes_since(0)).position

        await shell.set_active("alice", is_active=False)
        await shell.set_roles("bob", ["x"])
        await shell.set_roles("bob", ["y"])
        changes = await gateway.changes_since(position)
        assert (changes.user_ids, changes.everything) == ({alice.id, bob.id}, False)
        assert changes.position > position

        await shell.remove("carol")
        dave = await add(shell, "dave")
        later = await gateway.changes_since(changes.position)
        assert (later.user_ids, later.everything) == ({carol.id, dave.id}, False)
        assert (await gateway.changes_since(position)).user_ids == {alice.id, bob.id, carol.id, dave.id}

    async def test_a_new_password_cuts_off_what_was_issued_before_and_the_feed_tells(
        self, open_directory: OpenDirectory
    ) -> None:
        directory = await open_directory()
        alice, bob = await add(directory, "alice"), await add(directory, "bob")
        position = (await directory.changes_since(0)).position
        before = int(time.time())
        await directory.set_password_hash("alice", "new")
        changed = await directory.find_by_id(alice.id)
        assert changed is not None
        assert before <= changed.credentials_changed_at <= time.time()
        assert changed.claims_changed_at == 0
        assert (await directory.changes_since(position)).user_ids == {alice.id}
        assert await directory.find_by_id(bob.id) == bob

    async def test_a_stronger_hash_of_the_same_password_cuts_nothing_off(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        alice = await add(directory, "alice")
        await directory.replace_password_hash(alice.id, "hash of alice", "stronger")
        assert await directory.find_by_id(alice.id) == alice

    async def test_new_roles_cut_off_what_tokens_say_but_not_the_password(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        alice = await add(directory, "alice", roles=("staff",))
        before = int(time.time())
        await directory.set_roles("alice", ("staff",))
        assert await directory.find_by_id(alice.id) == alice
        changed = await directory.set_roles("alice", ("staff", "editor"))
        assert before <= changed.claims_changed_at <= time.time()
        assert changed.credentials_changed_at == 0
        await directory.set_active("alice", is_active=False)
        disabled = await directory.find_by_id(alice.id)
        assert disabled is not None
        assert disabled.claims_changed_at == changed.claims_changed_at

    async def test_the_feed_is_quiet_when_nothing_changed(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        alice = await add(directory, "alice")
        first = await directory.changes_since(0)
        with pytest.raises(UsageError):
            await add(directory, "alice")
        await directory.replace_password_hash(alice.id, "hash of alice", "stronger")  # of the same password
        again = await directory.changes_since(first.position)
        assert (again.position, again.user_ids, again.everything) == (first.position, frozenset(), False)

    async def test_from_the_beginning_everything_is_new_and_nobody_is_listed(
        self, open_directory: OpenDirectory
    ) -> None:
        directory = await open_directory()
        await add(directory, "alice")
        changes = await directory.changes_since(0)
        assert (changes.user_ids, changes.everything) == (frozenset(), True)
        assert not (await directory.changes_since(changes.position)).everything

    @pytest.mark.parametrize("position", [-1, 10**6, 2**62])
    async def test_a_position_that_was_never_given_means_everything(
        self, open_directory: OpenDirectory, position: int
    ) -> None:
        directory = await open_directory()
        await add(directory, "alice")
        changes = await directory.changes_since(position)
        assert changes.everything
        assert not (await directory.changes_since(changes.position)).everything
