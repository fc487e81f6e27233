"""Leftovers: indexes that no user's alias leads to, found and deleted where that harms nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from listener.search import templates
from listener.search.aliases import indexes_of
from listener.search.client import Client
from listener.search.errors import BadRequest, Error, Forbidden, NotFound
from listener.search.existing import Existing, existing_of, get
from listener.search.owners import Owner
from listener.search.write_aliases import Role, made_for, owned, patterns


def drop_loads(
    client: Client,
    owner: Owner,
    alias: str,
    *,
    below: int | None = None,
    spare: Collection[str] = (),
) -> list[str]:
    """Delete the indexes that loads feed and that users have no alias for, but for `spare`.

    `below`: only what belongs to generations below this one. Returns those that are kept because
    the server refuses to delete them. Errors of the client pass through, here and below.
    """
    pattern = owned(alias)
    return [
        name
        for write_alias, names in indexes_of(client, *patterns(alias, [Role.LOADING])).items()
        if (match := pattern.match(write_alias)) and (below is None or int(match.group(1)) < below)
        for name in names
        if name not in spare and not drop_if_unused(client, owner, name, alias)
    ]


def drop_if_unused(client: Client, owner: Owner, name: str, alias: str) -> bool:
    """Delete an index of this owner that only write aliases point to.

    False: the server refuses it (a snapshot is under way, a right is missing), and it stays.
    """
    found = get(client, name)
    if found is None or not owner.owns(found.pipeline, found.database):
        return True
    answer = client.indices.get_alias(index=name).body
    pattern = owned(alias)
    if all(pattern.match(one) for one in answer.get(name, {}).get("aliases", {})):
        try:
            client.indices.delete(index=name)
        except NotFound:
            return True
        except (BadRequest, Forbidden):
            return False
    return True


def drop_strays(client: Client, alias: str, *, below: int) -> None:
    """Delete empty indexes that bear the name of a write alias of a generation below this one.

    OpenSearch makes one for a delete that comes after the index and its aliases are gone: without a
    mapping and without aliases. Where the template forbids that, another program has made it.
    """
    if templates.forbids(client, alias):
        return
    pattern = owned(alias)
    found = client.indices.get(index=patterns(alias), expand_wildcards="all").body
    for name, body in found.items():
        match = pattern.match(name)
        bare = not (body.get("aliases") or body.get("mappings"))
        if match and int(match.group(1)) < below and bare:
            _drop_if_empty(client, name)


def drop_unborn(client: Client, owner: Owner, alias: str) -> None:
    """Delete empty indexes of this owner that no alias leads to.

    They were made, but the answer that said so was lost, and another one was made instead.
    """
    for found in _without_alias(client, alias):
        if owner.owns(found.pipeline, found.database):
            _drop_if_empty(client, found.name)


def old(client: Client, owner: Owner, alias: str) -> list[str]:
    """Indexes of this owner that were behind the alias before and are behind none now."""
    found = _without_alias(client, alias)
    return sorted(one.name for one in found if owner.owns(one.pipeline, one.database))


def old_of_others(client: Client, owner: Owner, alias: str) -> list[Existing]:
    """Those of a pipeline of this name with another database, which may be alive."""
    return [
        one
        for one in _without_alias(client, alias)
        if one.pipeline == owner.pipeline and not owner.owns(one.pipeline, one.database)
    ]


def _without_alias(client: Client, alias: str) -> Iterator[Existing]:
    """Indexes that loads have made for this alias, and for none that begins with its name."""
    pattern = made_for(alias)
    found = client.indices.get(index=f"{alias}-*-*z", ignore_unavailable=True).body
    for name, body in found.items():
        if pattern.fullmatch(name) and not body.get("aliases"):
            yield existing_of(name, body)


def _drop_if_empty(client: Client, name: str) -> None:
    try:
        client.indices.refresh(index=name)
        if not client.count(index=name)["count"]:
            client.indices.delete(index=name)
    except Error:
        return  # it has no copy that could say so: it disturbs nothing until the next time
