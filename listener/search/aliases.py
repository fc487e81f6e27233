"""Aliases: what the server has, and which write aliases are not as listener made them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from listener.search.client import Client
from listener.search.write_aliases import Role, owned, patterns

_ROOM: Final = 1800
"""Characters of names in a request: they stand there twice, and a server reads lines of 4,096."""


@dataclass(frozen=True, slots=True)
class Astray:
    """A write alias that is not as it was made.

    `scattered`: it has a routing. What was written through it may stand on a shard where no write
    by id finds it: a comparison would leave it there, only a new index helps.
    """

    what: str
    scattered: bool = False


def aliases_of(client: Client, *names: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Aliases of these names, which may be patterns: index -> alias -> what was said of it.

    The names stand for indexes, too: were all indexes looked through, the server would refuse where
    anybody has blocked the metadata of one. Errors of the client pass through, here and below.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for part in _that_fit(names):
        answer = client.options(ignore_status=404).indices.get_alias(
            index=part, name=part, expand_wildcards="all", ignore_unavailable=True
        )
        for index, body in answer.body.items():  # also where a name of several is of none
            if isinstance(body, Mapping) and "aliases" in body:
                found.setdefault(index, {}).update(body["aliases"])
    return found


def _that_fit(names: Sequence[str]) -> Iterator[list[str]]:
    """The names in parts, each of which fits twice into the first line of a request."""
    part: list[str] = []
    for name in names:
        if part and sum(map(len, part)) + len(part) + len(name) > _ROOM:
            yield part
            part = []
        part.append(name)
    if part:
        yield part


def indexes_of(client: Client, *names: str) -> dict[str, list[str]]:
    """Aliases of these names, which may be patterns: alias -> its indexes."""
    found: dict[str, list[str]] = {}
    for index, aliases in aliases_of(client, *names).items():
        for alias in aliases:
            found.setdefault(alias, []).append(index)
    return found


def astray(client: Client, alias: str, wanted: Mapping[str, str | None]) -> Astray | None:
    """Which write alias of this alias is not as it was made; None: all are.

    It leads to another index too, or to another one, or has a routing, a filter, a write index.
    `wanted`: write alias -> its index.
    """
    written = _written(client, alias)
    found = [
        one
        for name, place in wanted.items()
        if (one := _astray(name, written.get(name, {}), place)) is not None
    ]
    # a routing is the graver one: what must be done for it mends the others, too
    return max(found, key=lambda one: one.scattered, default=None)


def left_astray(client: Client, alias: str, generation: int, current: str | None) -> Astray | None:
    """The same for the aliases of a generation that has ended, which the next one removes.

    `current`: the index behind the alias. Which index a load was filling is not asked: it is one,
    or its load begins anew. Of a former index nothing is asked here: see `former`.
    """
    pattern = owned(alias)
    wanted: dict[str, str | None] = {}
    for name, places in _written(client, alias).items():
        match = pattern.match(name)
        role = name[len(alias) + 1 : len(alias) + 2]
        if match and int(match.group(1)) == generation and role != Role.KEPT:
            in_use = role == Role.IN_USE
            made = [one for one in places if one.startswith(f"{alias}-")]
            wanted[name] = current if in_use else min(made, default=None)
    return astray(client, alias, wanted)


def former(client: Client, alias: str) -> str | None:
    """The index that is kept and fed, by the write alias of its last generation; None: there is
    none, or that alias is not as it was made."""
    pattern = owned(alias)
    names: dict[int, str] = {}
    written = _written(client, alias, [Role.KEPT])
    for name in written:
        match = pattern.match(name)
        if match:
            names[int(match.group(1))] = name
    if not names:
        return None
    last = names[max(names)]
    place = min(written[last])
    return place if _astray(last, written[last], place) is None else None


def _written(
    client: Client, alias: str, roles: Iterable[Role] = tuple(Role)
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Write aliases: alias -> its indexes, and what was said when it was added."""
    found: dict[str, dict[str, Any]] = {}
    for index, aliases in aliases_of(client, *patterns(alias, roles)).items():
        for name, more in aliases.items():
            found.setdefault(name, {})[index] = more
    return found


def _astray(name: str, places: Mapping[str, Mapping[str, Any]], place: str | None) -> Astray | None:
    """What is wrong with a write alias that should lead to `place`."""
    added = places.get(place, {}) if place is not None else {}
    others = sorted(one for one in places if one != place)
    if "index_routing" in added or (added and not others):
        told = json.dumps(added)
        return Astray(
            f"the write alias {name} is not as it was made: {told}", "index_routing" in added
        )
    if others:
        too = f"not to {place}" if place is not None and place not in places else "too"
        return Astray(f"the write alias {name} leads to {', '.join(others)}, {too}")
    return None
