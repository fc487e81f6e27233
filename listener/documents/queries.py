"""The user's SQL files with our casts in them: placeholders become typed parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from listener.changes import Key, KeyType
from listener.documents.files import QueryFileError, faults
from listener.documents.placeholders import end_of, names, pieces_of

SQL_TYPE: Final[dict[KeyType, str]] = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "uuid": "uuid",
    "text": "text",
    "varchar": "text",
}


_PLAIN: Final = re.compile(r"[0-9a-f-]+(?:,[0-9a-f-]+)*")


def render(
    text: str, name: str, types: Sequence[KeyType], *, array: bool, path: Path, one: bool = False
) -> str:
    """The user's SQL with our casts: `%(ids)s` becomes `%(ids)s::text[]::uuid[]`.

    It keeps the lines of the file, and doubles each other `%`, for psycopg.

    `one`: an array of one element, as an expression that shows its length to the planner, which
    takes any other array for ten elements when it plans a prepared statement once and for all.
    `name` is ids, keys or after; a composite key has one placeholder a column, numbered from 1
    (`%(ids_1)s`). Raises QueryFileError with everything that `faults` finds.
    """
    wrong = faults(text, name, len(types), array=array)
    if wrong:
        raise QueryFileError(*(fault.at(path) for fault in wrong))
    known = dict(zip(names(name, len(types)), types, strict=True))
    suffix = "[]" if array else ""
    pieces = pieces_of(text)
    end = end_of(pieces)
    rendered: list[str] = []
    for piece in pieces:
        if piece.at >= end:
            break
        if piece.kind != "placeholder":
            rendered.append(piece.text.replace("%", "%%"))
        elif piece.text not in known:
            rendered.append(f"%({piece.text})s")
        else:
            cast = f"::{SQL_TYPE[known[piece.text]]}{suffix}"
            given = f"ARRAY[%({piece.text})s::text]" if one else f"%({piece.text})s::text{suffix}"
            rendered.append(given + cast)
    return "".join(rendered).rstrip()


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
