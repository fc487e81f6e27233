"""Claims: taking an alias for one owner, and what of other owners stands in the way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from listener.search import templates
from listener.search.aliases import aliases_of
from listener.search.client import Client
from listener.search.errors import BadRequest, Refused
from listener.search.existing import Existing, get
from listener.search.owners import ForeignIndex, Owner
from listener.search.write_aliases import owned, patterns


def claims(client: Client, owner: Owner, alias: str, *, take: bool = False) -> Iterator[str]:
    """What of other owners stands in the way of this alias.

    That is the index behind it, an index that a write alias leads to, or the template that keeps
    the name. `take`: see `Owner.why_foreign`. Errors of the client pass through, here and below.
    """
    pattern = owned(alias)
    for name, aliases in aliases_of(client, alias, *patterns(alias)).items():
        if any(one == alias or pattern.match(one) for one in aliases):
            found = get(client, name)
            own = found.meta.get("listener") if found is not None else None
            why = owner.why_foreign(f"/{name}", own, alias, take=take)
            if why is not None:
                yield why
    path = f"/_index_template/{templates.name_of(alias)}"
    why = owner.why_foreign(path, templates.owner_of(client, alias), alias, take=take)
    if why is not None:
        yield why


def refuse_foreign(client: Client, owner: Owner, alias: str, *, take: bool = False) -> None:
    """Raises ForeignIndex where another owner uses this alias."""
    for what in claims(client, owner, alias, take=take):
        raise ForeignIndex(what)


def protect(client: Client, owner: Owner, alias: str, *, take: bool = False) -> None:
    """Install the template that keeps a write to a vanished alias from making an index.

    It keeps the name for this owner, too: of two that begin at once, one is refused. Raises
    ForeignIndex.
    """
    # looked for before its owner is: one that another makes in between is not written over
    create = templates.owner_of(client, alias) is None
    refuse_foreign(client, owner, alias, take=take)
    try:
        templates.put(client, alias, owner.meta(), create=create)
    except BadRequest as error:
        if "already exists" not in str(error):
            raise
        refuse_foreign(client, owner, alias, take=take)
        templates.put(client, alias, owner.meta(), create=False)


def adopt(client: Client, owner: Owner, found: Existing, definition: Mapping[str, Any]) -> None:
    """Write into an index of a former release what it lacks: the owner, and its definition; and the
    owner, where the database was replaced.

    Where the server refuses that now, a later session does it.
    """
    database = owner.database
    if database is None:
        return
    owned_by_it = found.database is not None and found.database.key == database.key
    if owned_by_it and found.definition is not None:
        return
    kept = found.definition if found.definition is not None else definition
    own = {**found.meta.get("listener", {}), **owner.meta(), "definition": kept}
    meta = {**found.meta, "listener": own}
    with contextlib.suppress(Refused):
        client.indices.put_mapping(index=found.name, meta=meta)
