"""Do the keys of watched tables lead to documents? A forgotten mapping file shows there."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Final

import psycopg

from listener import postgres
from listener.changes import Key
from listener.checks.advice import watch_lines
from listener.checks.faults import described
from listener.checks.finding import Finding
from listener.config import DocumentConfig, WatchConfig, split_name
from listener.documents.definition import watch_of
from listener.documents.files import QueryFileError
from listener.documents.kinds import Kind
from listener.documents.sampling import KeyTable
from listener.documents.topology import Assembly
from listener.postgres import Connection

_KEYS: Final = 100
_CHANCE: Final = 0.01
"""A probability. Where no key leads to a document, and this is more likely than it by chance,
nothing is said."""
_SHARE: Final = 0.8
"""Of a few keys more may be without a document than a sample of documents shows."""
_IDS: Final = 1000
_DENIED: Final = "42501"


def check_keys(
    connection: Connection,
    document: DocumentConfig,
    kind: Kind,
    parts: Assembly,
    share: float,
    *,
    told: Container[str] = (),
) -> Iterator[Finding]:
    """Watches of this kind whose keys lead to no document.

    `share`: of how many rows of the document's own table the query makes a document, from 0 to 1.
    `told`: the files, each as "INDEX: PATH", of which an error is told already.
    Raises psycopg.Error only where the server or the connection is at fault.
    """
    for watch in document.watch:
        own = split_name(watch.table) == split_name(document.table) and watch.key == document.key
        if own and watch.mapping_file is None:
            continue  # the sample of documents has told it
        try:
            yield from _watch(connection, kind, watch, parts, share)
        except QueryFileError as error:
            yield Finding("error", str(error))
        except psycopg.Error as error:
            if postgres.is_passing(error):
                raise
            if error.sqlstate != _DENIED and f"{kind.index}: {watch.mapping_file}" not in told:
                place = watch.mapping_file or f"the keys of {watch.table}"
                yield Finding("error", f"{kind.index}: {place}: {described(error)}")


def _watch(
    connection: Connection, kind: Kind, watch: WatchConfig, parts: Assembly, share: float
) -> Iterator[Finding]:
    one = watch_of(watch).id
    keys = KeyTable(watch.table, watch.key, parts.types[one]).some(connection, _KEYS)
    if not keys:
        return
    ids: Sequence[Key] = keys
    if watch.mapping_file is not None:
        ids, _ = kind.source.mapped_page(connection, one, keys, None, _IDS)
        if not ids:
            yield Finding(
                "warning",
                f"{kind.index}: {watch.mapping_file}: it returns no id for any of {len(keys)} keys "
                f"of {watch.table}",
                "it takes keys of that table (%(keys)s), and returns the ids of the documents that "
                "they are part of",
            )
            return
    # the query may filter documents out: then no key leads to these
    by_chance = (1 - min(share, _SHARE)) ** len(ids)
    if by_chance > _CHANCE or kind.source.existing(connection, ids):
        return
    label = f"{watch.table} ({', '.join(watch.key)})"
    if watch.mapping_file is None:
        yield Finding(
            "error",
            f"{kind.index}: none of {len(keys)} keys of {label} is the id of a document: its "
            "changes would reach none",
            watch_lines(split_name(watch.table), watch.key, kind.index),
        )
    else:
        yield Finding(
            "error",
            f"{kind.index}: {watch.mapping_file}: none of the {len(ids)} ids that it returns for "
            f"{len(keys)} keys of {label} is the id of a document",
            f"return ids of {kind.index} as the column id",
        )
