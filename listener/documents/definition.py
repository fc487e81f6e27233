"""A definition: what makes the documents of one index, as texts. It is kept with the index.

The files of the configuration may change while an index that they made is in use. That index goes
on following the database by its own definition, which stands in the `_meta` of its mapping, until
another one takes its place. The mapping itself is the index's own, and is counted in the hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from listener.changes import Notify, Watch
from listener.config import DocumentConfig, WatchConfig, split_name
from listener.documents.files import doubled, read
from listener.search.index_config import IndexConfig, content_hash

_NOTIFY: Final = ("rows", "doorbell", "off")


class _Unreadable(Exception):
    """What was kept is no definition."""


@dataclass(frozen=True, slots=True)
class SqlFile:
    """The text of a file of the user's. `path`: how messages name it."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class WatchedTable:
    """A table whose rows influence the documents. `mapping`: turns its keys into ids of documents;
    None: they are these ids."""

    table: str
    watch: Watch
    mapping: SqlFile | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """What one entry of `documents` says, with the texts of its files.

    `index`: the alias. `table` and `key` page the ids, or `ids` does. `static`: tables that are
    read and not watched. `hash`: changes with all that decides about the documents, and with the
    mapping. `index_config_file`: where the mapping was read, for messages; None: it is the index's.
    """

    index: str
    table: str
    key: tuple[str, ...]
    query: SqlFile
    ids: SqlFile | None
    watched: tuple[WatchedTable, ...]
    static: tuple[str, ...] = ()
    hash: str = field(default="", compare=False)
    index_config_file: Path | None = field(default=None, compare=False)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The watches of its watched tables."""
        return tuple(one.watch for one in self.watched)

    def to_json(self) -> dict[str, Any]:
        """As it is kept. The hash and the alias stand beside it."""
        return {
            "table": self.table,
            "key": list(self.key),
            "query": _file(self.query),
            "ids": _file(self.ids),
            "watch": [
                {
                    "table": one.table,
                    "key": list(one.watch.key),
                    "updated_at": one.watch.updated_at,
                    "columns": one.watch.columns and list(one.watch.columns),
                    "notify": one.watch.notify,
                    "mapping": _file(one.mapping),
                }
                for one in self.watched
            ],
            "static": list(self.static),
        }


def read_definition(document: DocumentConfig, config: IndexConfig) -> Definition:
    """The definition that the files give now. Raises QueryFileError where one cannot be read."""
    query = _read(document.query_file)
    ids = None if document.ids_file is None else _read(document.ids_file)
    watched = tuple(
        WatchedTable(
            one.table,
            watch_of(one),
            None if one.mapping_file is None else _read(one.mapping_file),
        )
        for one in document.watch
    )
    texts = [_hashed(query), document.table, *document.key]
    if ids is not None:
        texts.append(_hashed(ids))
    for one in sorted(watched, key=lambda one: (one.table, one.watch.key)):
        watch = one.watch
        mapping = _hashed(one.mapping) if one.mapping is not None else ""
        texts += [one.table, *watch.key, str(watch.updated_at), str(watch.columns), mapping]
    digest = content_hash(config, hashlib.sha256("\0".join(texts).encode()).hexdigest())
    return Definition(
        document.index,
        document.table,
        document.key,
        query,
        ids,
        watched,
        document.static,
        digest,
        document.index_config_file,
    )


def watch_of(config: WatchConfig) -> Watch:
    """The watch of one `watch` entry."""
    schema, table = split_name(config.table)
    return Watch(schema, table, config.key, config.updated_at, config.columns, config.notify)


def kept_definition(index: str, kept: object, digest: str | None) -> Definition | None:
    """The definition that an index keeps; None: it keeps none that can be read.

    `index`: the alias. `kept`: what stands in its `_meta`, where anybody may write. `digest`: the
    hash beside it.
    """
    try:
        fields = _mapping(kept)
        watched = tuple(map(_watched, _items(fields.get("watch"))))
        query = _kept_file(fields.get("query"))
        if query is None or digest is None or not watched:
            return None
        return Definition(
            index,
            _named(fields.get("table")),
            _texts(fields.get("key")),
            query,
            _kept_file(fields.get("ids")),
            watched,
            tuple(_items(fields.get("static") or [])),
            digest,
        )
    except (_Unreadable, ValueError):
        return None


def _read(path: Path) -> SqlFile:
    return SqlFile(path, read(path))


def _hashed(file: SqlFile) -> str:
    """What an SQL file says. Where `%%` meant something else to former versions it is another text:
    what these have loaded is not what it says."""
    return f"{file.text}\0%%" if doubled(file.text) else file.text


def _file(one: SqlFile | None) -> dict[str, str] | None:
    return None if one is None else {"file": one.path.name, "text": one.text}


def _watched(kept: object) -> WatchedTable:
    fields = _mapping(kept)
    table = _named(fields.get("table"))
    columns, stamp, notify = (fields.get(one) for one in ("columns", "updated_at", "notify"))
    if notify not in _NOTIFY:
        raise _Unreadable
    watch = Watch(
        *split_name(table),
        _texts(fields.get("key")),
        None if stamp is None else _text(stamp),
        None if columns is None else _texts(columns),
        cast(Notify, notify),
    )
    return WatchedTable(table, watch, _kept_file(fields.get("mapping")))


def _kept_file(kept: object) -> SqlFile | None:
    if kept is None:
        return None
    fields = _mapping(kept)
    # the file of that name may say something else by now
    return SqlFile(Path(f"{_text(fields.get('file'))} (as it was)"), _text(fields.get("text")))


def _mapping(kept: object) -> Mapping[str, Any]:
    if not isinstance(kept, Mapping):
        raise _Unreadable
    return kept


def _items(kept: object) -> list[Any]:
    if not isinstance(kept, list):
        raise _Unreadable
    return kept


def _text(kept: object) -> str:
    if not isinstance(kept, str) or "\0" in kept:
        raise _Unreadable
    return kept


def _named(kept: object) -> str:
    split_name(_text(kept))
    return _text(kept)


def _texts(kept: object) -> tuple[str, ...]:
    found = tuple(map(_text, _items(kept)))
    if not found:
        raise _Unreadable
    return found
