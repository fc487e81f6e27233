"""Whether the ids that an SQL file returns can be those of its documents, by their type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from listener.changes import KeyType
from listener.checks.finding import Finding
from listener.config import DocumentConfig
from listener.documents.files import Role
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
    connection: Connection,
    oid: int,
    document: DocumentConfig,
    types: Sequence[KeyType],
    role: Role,
) -> Finding | None:
    """What is wrong with ids of this type, and what to write; None: nothing that is seen.

    `types`: of the document's key; empty: not known. A mapping whose ids can be none of the key
    fails for each key, and all documents are compared instead. That costs work, and misses none: a
    key whose type was altered must not hold a daemon that does well without the mapping.
    """
    known = connection.adapters.types.get(oid)
    if known is None or known.name not in _SCALARS:
        return None
    told = f"its ids are of the type {known.regtype}, and the key of {document.table} "
    if len(types) > 1:
        columns = ", ".join(document.key)
        mend = f"return json_build_array({columns}) as id"
        return Finding("error", f"{told}has {len(types)} columns", mend)
    if types and known.name not in _FITTING[types[0]]:
        column = f"{document.table}.{document.key[0]}"
        costly = role == "mapping"
        told += f"is of {types[0]}" + (": each change has all documents compared" if costly else "")
        return Finding("error", told, f"return the values of {column} as id", costly=costly)
    return None
