"""Whether the ids that an SQL file returns can be those of its documents, by their type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from listener.changes import KeyType
from listener.config import DocumentConfig
from listener.postgres import Connection

_INTEGERS: Final = frozenset({"int2", "int4", "int8", "numeric"})
_SCALARS: Final = _INTEGERS | {
    "uuid",
    "bool",
    "float4",
    "float8",
    "date",
    "timestamp",
    "timestamptz",
}
"""Types of which it is known which keys they can be."""
_FITTING: Final[dict[KeyType, frozenset[str]]] = {
    "smallint": _INTEGERS,
    "integer": _INTEGERS,
    "bigint": _INTEGERS,
    "uuid": frozenset({"uuid"}),
    "text": _SCALARS,
    "varchar": _SCALARS,
}


def ids_wrong(
    connection: Connection, oid: int, document: DocumentConfig, types: Sequence[KeyType]
) -> tuple[str, str] | None:
    """What is wrong with ids of this type, and what to write; None: nothing that is seen.

    `types`: of the document's key; empty: not known.
    """
    known = connection.adapters.types.get(oid)
    if known is None or known.name not in _SCALARS:
        return None
    told = f"its ids are of the type {known.regtype}, and the key of {document.table} "
    if len(types) > 1:
        columns = ", ".join(document.key)
        return f"{told}has {len(types)} columns", f"return json_build_array({columns}) as id"
    if types and known.name not in _FITTING[types[0]]:
        column = f"{document.table}.{document.key[0]}"
        return f"{told}is of {types[0]}", f"return the values of {column} as id"
    return None
