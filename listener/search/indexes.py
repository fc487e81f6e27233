"""The indexes and aliases of one pipeline: what the packages above ask of them, in one place.

The work is done by the modules beside this one; `Indexes` knows the client and the owner for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from listener.search import (
    aliases,
    claims,
    counts,
    creation,
    existing,
    hindrances,
    inventory,
    leftovers,
    scratch,
    shards,
)
from listener.search.aliases import Astray
from listener.search.client import Client
from listener.search.existing import Existing
from listener.search.index_config import IndexConfig
from listener.search.index_settings import Fault
from listener.search.inventory import StoredIndex
from listener.search.owners import Database, Owner
from listener.search.shards import Shard


class Indexes:
    """Operations on the indexes and aliases of one pipeline. Errors of the client pass through."""

    def __init__(self, client: Client, pipeline: str, database: Database | None = None) -> None:
        """`database`: whose documents they hold; None while it is not known."""
        self._client = client
        self.owner = Owner(pipeline, database)

    # -- the owner -------------------------------------------------------------------------------

    def is_ours(self, found: Existing) -> bool:
        """Whether it is of this pipeline, and of no other database."""
        return self.owner.owns(found.pipeline, found.database)

    def claims(self, alias: str, *, take: bool = False) -> Iterator[str]:
        """What of other owners stands in the way of this alias. `take`: see Owner.why_foreign."""
        return claims.claims(self._client, self.owner, alias, take=take)

    def refuse_foreign(self, alias: str, *, take: bool = False) -> None:
        """Raises ForeignIndex where another owner uses this alias."""
        claims.refuse_foreign(self._client, self.owner, alias, take=take)

    def protect(self, alias: str, *, take: bool = False) -> None:
        """Keep the alias for this owner, by an index template. Raises ForeignIndex."""
        claims.protect(self._client, self.owner, alias, take=take)

    def adopt(self, found: Existing, definition: Mapping[str, Any]) -> None:
        """Write owner and definition into an index of a former release, and the owner into one of
        a database that was replaced."""
        claims.adopt(self._client, self.owner, found, definition)

    # -- reading ---------------------------------------------------------------------------------

    def get(self, name: str) -> Existing | None:
        """One index by its own name, None where it does not exist."""
        return existing.get(self._client, name)

    def behind(self, alias: str) -> Existing | None:
        """The index behind the alias; None where the name is free.

        Raises IndexError_ where the name is a concrete index, or an alias of several indexes.
        """
        return existing.behind(self._client, alias)

    def former(self, alias: str) -> Existing | None:
        """The former index that is kept and fed, by its write alias; None: there is none."""
        name = aliases.former(self._client, alias)
        return None if name is None else existing.get(self._client, name)

    def refresh(self, name: str) -> None:
        """What was written so far is found by searches from now on."""
        self._client.indices.refresh(index=name)

    def is_concrete(self, name: str) -> bool:
        """Whether this name is an index, not an alias."""
        return self.get(name) is not None

    def hindrances(self, name: str, *, control: bool) -> Iterator[Fault]:
        """What hinders reads or writes, though no load is made for it. `control`: as there."""
        return hindrances.hindrances(self._client, name, control=control)

    def shards(self, names: Collection[str]) -> dict[str, dict[str, Shard]]:
        """The primaries at work of these indexes, by the index's name and the shard's number."""
        return shards.read(self._client, names)

    def count(self, name: str) -> int:
        """How many documents an index has. Raises Unreadable where a shard does not answer."""
        self._client.indices.refresh(index=name)
        return counts.count(self._client, name)

    # -- a full load -----------------------------------------------------------------------------

    def create(
        self,
        name: str,
        config: IndexConfig,
        digest: str,
        definition: Mapping[str, Any] | None = None,
    ) -> Existing:
        """Make an index for a full load. Raises IndexError_ where it is not as it should be.
        `definition`: with the hash `digest`, as of Existing."""
        return creation.create(
            self._client, self.owner, name, config, digest, definition=definition
        )

    def started(self, name: str) -> None:
        """Wait for the primaries of a new index, 5 s at most."""
        creation.started(self._client, name)

    def finish(self, name: str, config: IndexConfig) -> None:
        """After a load: refresh, then bring back interval and replicas."""
        creation.finish(self._client, name, config)

    def healthy(self, name: str, seconds: int) -> bool:
        """Whether all copies that this cluster has nodes for are active within so many seconds."""
        return creation.healthy(self._client, name, seconds)

    # -- aliases ---------------------------------------------------------------------------------

    def aliases(self, *names: str) -> dict[str, list[str]]:
        """Aliases of these names, which may be patterns: alias -> its indexes."""
        return aliases.indexes_of(self._client, *names)

    def astray(self, alias: str, wanted: Mapping[str, str | None]) -> Astray | None:
        """Which write alias is not as it was made; None: all are. `wanted`: alias -> index."""
        return aliases.astray(self._client, alias, wanted)

    def left_astray(self, alias: str, generation: int, current: str | None) -> Astray | None:
        """The same for a generation that has ended. `current`: the index behind the alias."""
        return aliases.left_astray(self._client, alias, generation, current)

    def update_aliases(self, actions: list[dict[str, Any]]) -> None:
        """One atomic change of aliases."""
        if actions:
            self._client.indices.update_aliases(actions=actions)

    # -- what is left over -----------------------------------------------------------------------

    def drop_loads(
        self, alias: str, *, below: int | None = None, spare: Collection[str] = ()
    ) -> list[str]:
        """Delete what loads of generations `below` have fed, but for `spare`; what is kept."""
        return leftovers.drop_loads(self._client, self.owner, alias, below=below, spare=spare)

    def drop_if_unused(self, name: str, alias: str) -> bool:
        """Delete an index that only write aliases point to. False: the server refuses it."""
        return leftovers.drop_if_unused(self._client, self.owner, name, alias)

    def drop_strays(self, alias: str, *, below: int) -> None:
        """Delete empty indexes that bear the name of a write alias of a generation below."""
        leftovers.drop_strays(self._client, alias, below=below)

    def drop_unborn(self, alias: str) -> None:
        """Delete empty indexes of this owner that no alias leads to, and old scratch indexes."""
        leftovers.drop_unborn(self._client, self.owner, alias)
        scratch.drop_old(self._client, self.owner, alias)

    def old(self, alias: str) -> list[str]:
        """Indexes of this owner that were behind the alias before and are behind none now."""
        return leftovers.old(self._client, self.owner, alias)

    def old_of_others(self, alias: str) -> list[Existing]:
        """Those of a pipeline of this name with another database, which may be alive."""
        return leftovers.old_of_others(self._client, self.owner, alias)

    def inventory(
        self, configured: Iterable[str], generation: int, now: datetime
    ) -> list[StoredIndex]:
        """All indexes of this owner: as of `inventory.inventory`."""
        return inventory.inventory(
            self._client, self.owner, configured, generation=generation, now=now
        )

    def delete(self, name: str) -> None:
        """Delete an index."""
        self._client.indices.delete(index=name)
