"""Canonical path → what was planned for it: exact paths first, then the longest prefix of whole segments."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Generic, TypeVar

PlanT = TypeVar("PlanT")


class RouteTable(Generic[PlanT]):
    """Matches canonical paths. The cost is one dictionary look-up a segment, however many routes there are, and one for
    a path that came before (1024 of them are remembered, at most 8 KiB each).

    `exact` maps whole paths, `prefixes` path prefixes: `/api` and `/api/` are the same prefix and match `/api`, `/api/`
    and `/api/x`, never `/apix`.
    """

    __slots__ = ("_exact", "_prefixes", "match")

    def __init__(self, *, exact: Mapping[str, PlanT], prefixes: Mapping[str, PlanT]) -> None:
        self._exact = dict(exact)
        self._prefixes = {prefix.rstrip("/"): plan for prefix, plan in prefixes.items()}
        self.match: Callable[[str], PlanT | None] = lru_cache(maxsize=1024)(self._match)
        """The plan of a path, None when there is none."""

    def _match(self, path: str) -> PlanT | None:
        plan = self._exact.get(path)
        if plan is not None:
            return plan
        prefixes = self._prefixes
        prefix = path
        while prefix:
            plan = prefixes.get(prefix)
            if plan is not None:
                return plan
            prefix = prefix[: prefix.rfind("/")]
        return prefixes.get("")

    def all_fall_on(self, plan: PlanT | None, paths: Iterable[str]) -> bool:
        """Whether each of `paths` matches the very same plan, not merely an equal one."""
        return all(self.match(path) is plan for path in paths)

    def trace(self, path: str) -> Iterator[tuple[str, bool, PlanT, bool]]:
        """Each entry in the order in which it counts: its path, whether exact, its plan, and whether it covers `path`.

        For people; the first that covers it is what `match` gives. An exact path is longer than all its prefixes.
        """
        for entry in sorted(self._exact, key=len, reverse=True):
            yield entry, True, self._exact[entry], entry == path
        for entry in sorted(self._prefixes, key=len, reverse=True):
            covers = path == entry or path.startswith(entry + "/")
            yield entry or "/", False, self._prefixes[entry], covers
