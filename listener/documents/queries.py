"""The user's SQL files with our casts in them: placeholders become typed parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from listener import ListenerError
from listener.changes import Key, KeyType

_PLACEHOLDER: Final = re.compile(r"%\(([^)]*)\)s")
_END: Final = re.compile(r";(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:(?!\*/).)*\*/)*\Z", re.DOTALL)
"""A semicolon with nothing but space and comments behind it."""

SQL_TYPE: Final[dict[KeyType, str]] = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "uuid": "uuid",
    "text": "text",
    "varchar": "text",
}


_PLAIN: Final = re.compile(r"[0-9a-f-]+(?:,[0-9a-f-]+)*")


class QueryFileError(ListenerError, ValueError):
    """A query, mapping or ids file breaks its contract. The message says what and where."""


def render(
    text: str, name: str, types: Sequence[KeyType], *, array: bool, path: Path, one: bool = False
) -> str:
    """The user's SQL with our casts: `%(ids)s` becomes `%(ids)s::text[]::uuid[]`.

    `one`: an array of one element, as an expression that shows its length to the planner, which
    takes any other array for ten elements when it plans a prepared statement once and for all.
    `name` is ids, keys or after; a composite key has one placeholder a column, numbered from 1
    (`%(ids_1)s`). Raises QueryFileError for placeholders that nobody fills.
    """
    suffix = "[]" if array else ""
    if len(types) == 1:
        known = {name: types[0]}
    else:
        known = {f"{name}_{number}": kind for number, kind in enumerate(types, 1)}
    seen: set[str] = set()

    def cast(match: re.Match[str]) -> str:
        found = match.group(1)
        if found == "limit" and not array:
            return match.group(0)
        if found not in known:
            raise QueryFileError(
                f"{path}: unknown placeholder %({found})s; it takes "
                + ", ".join(f"%({one})s" for one in known)
            )
        seen.add(found)
        given = f"ARRAY[%({found})s::text]" if one else f"%({found})s::text{suffix}"
        return f"{given}::{SQL_TYPE[known[found]]}{suffix}"

    rendered = _PLACEHOLDER.sub(cast, _END.sub("", text)).strip()
    missing = [one for one in known if one not in seen]
    if missing:
        raise QueryFileError(f"{path}: it does not use %({missing[0]})s")
    return rendered


def arrays(
    name: str, keys: Sequence[Key], types: Sequence[KeyType]
) -> dict[str, str | Sequence[str]]:
    """Parameters of a rendered statement: one array of texts for each column of the key."""
    if len(types) == 1:
        return {name: _array([key[0] for key in keys])}
    return {f"{name}_{n}": _array([key[n - 1] for key in keys]) for n in range(1, len(types) + 1)}


def _array(texts: Sequence[str]) -> str | Sequence[str]:
    """An array as PostgreSQL writes it where nothing needs quotes, as in numbers and uuids: psycopg
    would look at each text, which takes an eighth of what the daemon does for a document.
    """
    joined = ",".join(texts)
    if _PLAIN.fullmatch(joined) and joined.count(",") == len(texts) - 1:
        return f"{{{joined}}}"
    return texts


def single(name: str, key: Key) -> dict[str, str]:
    """Parameters of a statement that was rendered for one key."""
    if len(key) == 1:
        return {name: key[0]}
    return {f"{name}_{n}": part for n, part in enumerate(key, 1)}
