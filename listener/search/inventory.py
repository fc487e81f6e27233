"""The inventory: all indexes of one owner, also of aliases that are not configured any more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from listener.search import counts
from listener.search.client import Client
from listener.search.errors import Error, Forbidden, NotFound
from listener.search.owners import Owner, database_of
from listener.search.write_aliases import Role as Letter
from listener.search.write_aliases import made_at, owned

Role = Literal["in use", "loading", "former", "left over"]
_MADE: Final = re.compile(r"(?P<alias>.+)-(?P<hash>[0-9a-f]{8})-[0-9]{8}t[0-9]{12}z")
_ALL: Final = "*-*-*z"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_BEGINS: Final = timedelta(minutes=1)
"""A load that begins makes its index first, and gives it an alias then."""


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """One index of this owner.

    `alias`: the one that it was made for. `hash`: of the definition that it was made by; None:
    nobody wrote it. `searched_by`: aliases of users that lead to it. `documents`, `bytes`: None
    where the server does not say. `made`: when.
    """

    name: str
    alias: str
    role: Role
    hash: str | None
    searched_by: tuple[str, ...]
    documents: int | None
    bytes: int | None
    made: datetime | None

    @property
    def why_kept(self) -> str | None:
        """Why it may not be dropped; None: nobody uses it."""
        if self.role == "in use":
            return f"people search it by the alias {self.alias}"
        if self.role == "loading":
            return "it is being loaded, or waits for a person's word"
        if self.role == "former":
            return (
                f"`listener rollback {self.alias}` goes back to it; when its time is over, "
                "`listener load --drop-old` deletes it"
            )
        if self.searched_by:
            names = ", ".join(self.searched_by)
            return f"the alias {names} leads to it. If nobody needs that one, remove it first"
        return None


def inventory(
    client: Client, owner: Owner, configured: Iterable[str], *, generation: int, now: datetime
) -> list[StoredIndex]:
    """All indexes of this owner, by alias, the youngest first.

    `generation`: the one in force. `now`: by the database server's clock. Errors of the client
    pass through.
    """
    aliases = list(configured)
    found = _found(client, aliases)
    sizes = _sizes(client, found)
    stored = []
    for name, body in found.items():
        own = _own(body)
        if not owner.owns(own.get("pipeline"), database_of(own.get("database"))):
            continue
        leading: Mapping[str, Any] = body.get("aliases", {})
        match = _MADE.fullmatch(name)
        # one that was restored under another name is known by its alias alone
        alias = next((one for one in aliases if one in leading), match["alias"] if match else name)
        write = owned(alias)
        stored.append(
            StoredIndex(
                name,
                alias,
                _role(
                    name,
                    alias,
                    leading,
                    aliases,
                    generation=generation,
                    now=now,
                    used=_used(found, alias),
                ),
                own["hash"] if isinstance(own.get("hash"), str) else None,
                tuple(sorted(one for one in leading if not write.match(one))),
                _count(client, name),
                sizes.get(name),
                _made(body),
            )
        )
    stored.sort(key=lambda one: one.name, reverse=True)
    stored.sort(key=lambda one: (one.alias not in aliases, one.alias, one.role != "in use"))
    return stored


def _found(client: Client, aliases: list[str]) -> dict[str, Any]:
    """By name, what the server says of each index that may be this owner's."""
    try:
        found = _get(client, _ALL)
    except Forbidden:  # an index of others is blocked, or may not be looked at
        found = {}
        for alias in aliases:
            found |= _get(client, f"{alias}-*-*z")
    for alias in aliases:  # one that was restored under another name
        found |= _get(client, alias)
    return found


def _get(client: Client, name: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = client.indices.get(index=name, expand_wildcards="all").body
    except NotFound:
        return {}
    return answer


def _own(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the owner has written into this index; anybody may write there."""
    meta = body.get("mappings", {}).get("_meta")
    own = meta.get("listener") if isinstance(meta, Mapping) else None
    return own if isinstance(own, Mapping) else {}


def _used(found: Mapping[str, Any], alias: str) -> datetime:
    """When the index was made that people search by this alias; long ago where there is none."""
    moments = [made_at(alias, name) for name, body in found.items() if alias in body["aliases"]]
    return max((one for one in moments if one is not None), default=_LONG_AGO)


def _role(
    name: str,
    alias: str,
    leading: Mapping[str, Any],
    configured: list[str],
    *,
    generation: int,
    now: datetime,
    used: datetime,
) -> Role:
    """`used`: when the index in use of this alias was made."""
    if alias in leading and alias in configured:
        return "in use"
    write = owned(alias)
    for one in leading:
        match = write.match(one)
        letter = one[len(alias) + 1] if match else ""
        if match and letter == Letter.LOADING and int(match[1]) >= generation:
            return "loading"
        # of any generation: a session that begins goes on with the one that the last one fed
        if letter == Letter.KEPT and alias in configured:
            return "former"
    made = made_at(alias, name)
    if not leading and made is not None and now - made < _BEGINS and made > used:
        return "loading"
    return "left over"


def _count(client: Client, name: str) -> int | None:
    try:
        return counts.count(client, name)
    except Error:
        return None  # it is closed, blocked, or short of shards


def _sizes(client: Client, names: Iterable[str]) -> dict[str, int]:
    """By index, the bytes of all its copies."""
    if not names:
        return {}
    try:
        answer = client.indices.stats(index=list(names), metric="store").body
    except Error:
        return {}
    return {
        name: one["total"]["store"]["size_in_bytes"]
        for name, one in answer.get("indices", {}).items()
    }


def _made(body: Mapping[str, Any]) -> datetime | None:
    stamp = body.get("settings", {}).get("index", {}).get("creation_date")
    return None if stamp is None else datetime.fromtimestamp(int(stamp) / 1000, UTC)
