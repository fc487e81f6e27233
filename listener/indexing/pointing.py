"""Pointing: the write aliases as the servers have them, and the calls that make them as wanted.

It takes no lock: the fence calls it while nothing else changes generation or aliases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from listener import search
from listener.indexing.feeds import Feed
from listener.indexing.gate import FencedOut
from listener.search.aliases import Astray
from listener.search.indexes import Indexes
from listener.search.write_aliases import Role, owned, patterns

_TRIES: Final = 5
"""How often aliases are read anew where a call found others than it had read."""


class Pointing:
    """Of all entries of `documents`. Errors of the client pass through."""

    def __init__(self, indexes: Indexes, feeds: Sequence[Feed]) -> None:
        """`feeds`: in the order of `documents`; what they say at a call is what is wanted."""
        self._indexes = indexes
        self._feeds = feeds

    def searched(self, alias: str) -> list[str]:
        """The indexes that people search by this alias."""
        return self._indexes.aliases(alias).get(alias, [])

    def refuse_moved(self) -> None:
        """Raises FencedOut where people search another index than the one that is in use here.

        A call of an earlier generation that had no answer may have come after the indexes were
        found. Once the write aliases that it removes are gone it can come no more: look then.
        """
        for feed in self._feeds:
            in_use = feed.index(Role.IN_USE)
            others = [one for one in self.searched(feed.alias) if in_use not in (None, one)]
            if others:
                raise FencedOut(
                    f"the alias {feed.alias} led to {in_use} when the session began, and leads to "
                    f"{', '.join(others)} now"
                )

    def owner(self) -> int:
        """The highest generation that owns a write alias of ours."""
        found = [0]
        for feed in self._feeds:
            ours = owned(feed.alias)
            for alias in self._indexes.aliases(*patterns(feed.alias)):
                match = ours.match(alias)
                if match:
                    found.append(int(match.group(1)))
        return max(found)

    def astray(self, generation: int, roles: Collection[Role]) -> tuple[int, Astray] | None:
        """What leads writes of this generation to indexes in these roles elsewhere, and of which
        entry of `documents`; None: nothing does."""
        for document, feed in enumerate(self._feeds):
            if roles == [Role.KEPT] and Role.KEPT not in feed.places:
                continue  # there is nothing to ask for
            wanted = feed.write_aliases(generation, roles)
            found = self._indexes.astray(feed.alias, wanted)
            if found is not None:
                return document, found
        return None

    def point(self, generation: int, swap: tuple[str, str] | None) -> None:
        """Point the write aliases of this generation, in one call. `swap`: as of Fence.point.

        Raises FencedOut where a higher generation owns one.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                self._indexes.update_aliases(self._actions(generation, swap))
                break
            except search.NotFound:  # they changed between the look and the call
                if not tries_left:
                    raise

    def _actions(self, generation: int, swap: tuple[str, str] | None) -> list[dict[str, Any]]:
        """What turns the aliases as they are now into those that are wanted.

        A call that is delayed past our patience may arrive after later ones. It must not bring
        back an alias that they removed, through which a bulk of as long ago would be accepted: so
        each removal must find its alias, or the servers refuse the whole call.
        """
        actions: list[dict[str, Any]] = []
        if swap is not None:
            alias, place = swap
            former = self.searched(alias)
            actions += [_removal(name, alias) for name in former if name != place]
            actions.append({"add": {"index": place, "alias": alias}})
        for feed in self._feeds:
            wanted = feed.write_aliases(generation)
            ours = owned(feed.alias)
            for alias, places in self._indexes.aliases(*patterns(feed.alias)).items():
                match = ours.match(alias)
                if not match:
                    continue
                if int(match.group(1)) > generation:
                    raise FencedOut(f"generation {match.group(1)} owns the alias {alias}")
                actions += [
                    _removal(place, alias) for place in places if wanted.get(alias) != place
                ]
                if wanted.get(alias) in places:
                    del wanted[alias]
            actions += [
                {"add": {"index": place, "alias": alias}}
                for alias, place in wanted.items()
                if place is not None
            ]
        return actions


def _removal(index: str, alias: str) -> dict[str, Any]:
    return {"remove": {"index": index, "alias": alias, "must_exist": True}}
