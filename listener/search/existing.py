"""An index as the server has it: what listener knows it again by, and what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from listener.search.client import Client
from listener.search.errors import NotFound
from listener.search.index_config import IndexError_
from listener.search.index_settings import Fault, decides, faults, flatten
from listener.search.owners import Database, database_of


@dataclass(frozen=True, slots=True)
class Existing:
    """An index behind an alias. `hash` and `pipeline` were written by listener; None: by nobody.

    `mapping`: a hash of the mapping as the server has it, and of the settings that decide what
    becomes of a document. `fault`: what is wrong with these. `database`: the one whose documents
    the index holds; None where a former release has made it. `meta` is the mapping's `_meta`.
    """

    name: str
    uuid: str
    hash: str | None
    pipeline: str | None
    mapping: str
    database: Database | None = None
    fault: Fault | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def definition(self) -> object:
        """What its documents are made by, as it was written into `_meta`; None: nothing was."""
        own = self.meta.get("listener")
        return own.get("definition") if isinstance(own, Mapping) else None


def get(client: Client, name: str) -> Existing | None:
    """One index by its own name; None where it does not exist.

    Errors of the client pass through, here and below.
    """
    try:
        found = client.indices.get(index=name).body
    except NotFound:
        return None
    return existing_of(name, found[name]) if name in found else None


def behind(client: Client, alias: str) -> Existing | None:
    """The index behind the alias; None where the name is free.

    Raises IndexError_ where the name is a concrete index, or an alias of several indexes.
    """
    try:
        found = client.indices.get(index=alias).body
    except NotFound:
        return None
    if alias in found:
        raise IndexError_(
            f"{alias!r} is a concrete index, not an alias, so listener does not touch it"
        )
    if len(found) > 1:
        raise IndexError_(
            f"the alias {alias!r} points to {len(found)} indexes: {', '.join(sorted(found))}"
        )
    ((name, body),) = found.items()
    return existing_of(name, body)


def existing_of(name: str, body: Mapping[str, Any]) -> Existing:
    """The index of this name, from the server's answer to `GET /name`."""
    mappings = body.get("mappings", {})
    meta = mappings.get("_meta")
    meta = meta if isinstance(meta, Mapping) else {}  # anybody may write there
    own = meta.get("listener")
    own = own if isinstance(own, Mapping) else {}
    settings = dict(flatten(body["settings"]["index"]))
    # a block is lifted again, by the server itself where a disk was full: it holds, no more
    deciding = {
        key: value
        for key, value in settings.items()
        if decides(key) and not key.startswith("blocks.")
    }
    # the owner may be written into it later
    others = {**mappings, "_meta": {key: one for key, one in meta.items() if key != "listener"}}
    whole = json.dumps([others, deciding], sort_keys=True)
    digest, pipeline = own.get("hash"), own.get("pipeline")
    return Existing(
        name,
        settings["uuid"],
        digest if isinstance(digest, str) else None,
        pipeline if isinstance(pipeline, str) else None,
        hashlib.sha256(whole.encode()).hexdigest()[:16],
        database_of(own.get("database")),
        next((one for one in faults(settings, mappings) if not one.block), None),
        meta,
    )
