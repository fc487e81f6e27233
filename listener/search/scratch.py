"""Scratch indexes: made with the settings and mappings of the files, to try documents in.

They are written through an alias of their own, so that a write never makes an index by itself.
Their names match neither listener's index template nor what loads have made, no alias of users
leads to them, and they are hidden: no search by a pattern of names finds them.
"""

from __future__ import annotations

import calendar
import contextlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from listener.search.client import Client
from listener.search.errors import BadRequest, Forbidden, NotFound
from listener.search.existing import Existing, existing_of, get
from listener.search.index_config import IndexConfig, IndexError_
from listener.search.owners import Owner
from listener.search.write_aliases import Target

_OLD: Final = 86_400.0
"""Seconds after which a scratch index is left over, whoever has made it."""
_MOMENT: Final = "%Y%m%d%H%M%S"
_INTO: Final = ".into"
"""What the alias of a scratch index has behind the index's name."""
_NOT_HERE: Final = ("auto_expand_replicas", "write.wait_for_active_shards")
"""Settings of the files that an index without replicas cannot have."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch index. `like`: its mapping and settings as the server has them."""

    name: str
    like: Existing

    @property
    def target(self) -> Target:
        """Where documents are sent to."""
        return Target(self.name + _INTO, index=self.name)


def new_name(alias: str) -> str:
    """A name for a scratch index of this alias that no other one has."""
    moment = time.strftime(_MOMENT, time.gmtime())
    return f"{alias}.scratch-{moment}-{secrets.token_hex(3)}"


def of_alias(alias: str) -> re.Pattern[str]:
    """Matches the names of the scratch indexes of this alias."""
    return re.compile(re.escape(alias) + r"\.scratch-([0-9]{14})-[0-9a-f]{6}")


def make(client: Client, owner: Owner, name: str, config: IndexConfig) -> Scratch:
    """Make a scratch index: no replicas, no refresh. Errors of the client pass through, here and
    below.

    Raises IndexError_ where it is not there when it is looked at.
    """
    settings = {
        **{key: value for key, value in config.settings.items() if key not in _NOT_HERE},
        "number_of_replicas": 0,
        "refresh_interval": "-1",
        "hidden": True,
        "translog.durability": "async",  # it need not outlive a crash
    }
    meta = {**config.mappings.get("_meta", {}), "listener": {**owner.meta(), "scratch": True}}
    client.indices.create(
        index=name,
        settings=settings,
        mappings={**config.mappings, "_meta": meta},
        aliases={name + _INTO: {"is_hidden": True}},
        wait_for_active_shards="0",
    )
    found = get(client, name)
    if found is None:
        raise IndexError_(f"the scratch index {name} vanished while it was made")
    return Scratch(name, found)


def drop(client: Client, name: str) -> None:
    """Delete a scratch index. One that is gone by now is what was wanted."""
    try:
        client.indices.delete(index=name)
    except NotFound:
        return


def left(client: Client, owner: Owner, alias: str) -> Iterator[tuple[str, float]]:
    """Scratch indexes of this owner and alias, and how many seconds old each of them is."""
    pattern = of_alias(alias)
    found = client.indices.get(
        index=f"{alias}.scratch-*", expand_wildcards="all", ignore_unavailable=True
    ).body
    for name, body in found.items():
        match = pattern.fullmatch(name)
        own = existing_of(name, body)
        if match and owner.owns(own.pipeline, own.database):
            with contextlib.suppress(ValueError):  # of others, in spite of its name
                made = calendar.timegm(time.strptime(match[1], _MOMENT))
                yield name, time.time() - made


def drop_left(client: Client, name: str) -> None:
    """The same of one that another command has left. Where the server refuses, it stays: a snapshot
    is under way, or a right is missing."""
    with contextlib.suppress(BadRequest, Forbidden):
        drop(client, name)


def drop_old(client: Client, owner: Owner, alias: str) -> None:
    """Delete the scratch indexes that are older than a day: whoever made them was killed."""
    for name, age in list(left(client, owner, alias)):
        if age > _OLD:
            drop_left(client, name)


def differing(
    client: Client, scratch: Scratch, other: Existing, config: IndexConfig
) -> tuple[str, ...]:
    """Which settings, or `mappings`, of the files the other index does not have.

    Both are compared as the server has them. Replicas and the refresh interval do not count: no
    document is another one for them.
    """
    both = client.indices.get(index=[scratch.name, other.name], flat_settings=True).body
    if scratch.name not in both or other.name not in both:
        raise IndexError_(f"{scratch.name} or {other.name} vanished while they were compared")
    one, two = (_plain(both[name]) for name in (scratch.name, other.name))
    names = [key for key in sorted(config.settings) if key not in _NOT_HERE]
    found = [key for key in names if one["settings"].get(key) != two["settings"].get(key)]
    return (*(["mappings"] if one["mappings"] != two["mappings"] else []), *found)


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    meta = {key: one for key, one in body["mappings"].get("_meta", {}).items() if key != "listener"}
    settings = {key.removeprefix("index."): one for key, one in body["settings"].items()}
    return {"mappings": {**body["mappings"], "_meta": meta}, "settings": settings}
