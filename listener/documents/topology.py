"""From the configuration to what the database knows of it: watches, routes, document sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from listener import ListenerError, triggers
from listener.changes import KeyType, Route, Watch, merge_watches
from listener.config import Config, DocumentConfig, WatchConfig, split_name
from listener.documents.files import QueryFileError, doubled, read, wrong_files
from listener.documents.kinds import Kind
from listener.documents.source import DocumentSource
from listener.documents.statements import Statements
from listener.observations.events import Observe
from listener.observations.surprises import Unfit
from listener.postgres import Connection
from listener.runtime.lifecycle import Stop
from listener.search.index_config import IndexConfig, content_hash, read_config

_TOLD: Final = 3
"""Sentences of a cause that are told."""


class TriggersWrong(ListenerError):
    """The triggers are not as they should be, and only a person can mend that."""


class QueriesWrong(ListenerError):
    """The SQL files do not fit the database any more, and only a person can mend that."""


class Reassemble(ListenerError):
    """The watched tables are not those that the stages were built for: build them anew."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """What one pipeline works with. All mappings are by watch id."""

    watches: tuple[Watch, ...]
    types: Mapping[str, Sequence[KeyType]]
    zoneless: Mapping[str, bool]
    routes: Mapping[str, tuple[Route, ...]]
    kinds: tuple[Kind, ...]

    @property
    def all_rows(self) -> bool:
        """Whether every watched table sends its keys by NOTIFY."""
        return all(watch.sends_keys for watch in self.watches)

    @property
    def kinds_of(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the document kinds that each watch leads to."""
        return {
            watch: tuple(dict.fromkeys(route.kind for route in routes))
            for watch, routes in self.routes.items()
        }

    def speaker(self, number: int) -> str:
        """The id of a watch that leads to this kind: rows of the journal name a watch, also where
        they ask for something to be done with a kind's documents.
        """
        return next(watch for watch, kinds in self.kinds_of.items() if number in kinds)


def watch_of(config: WatchConfig) -> Watch:
    """The watch of one `watch` entry."""
    schema, table = split_name(config.table)
    return Watch(schema, table, config.key, config.updated_at, config.columns, config.notify)


def watches_of(config: Config) -> tuple[Watch, ...]:
    """All watches of a configuration, merged."""
    return merge_watches(watch_of(one) for document in config.documents for one in document.watch)


def installation_of(config: Config, *, take_over: bool = False) -> triggers.Installation:
    """What a configuration wants of the database. `take_over`: as of Claim."""
    return triggers.Installation(
        watches_of(config),
        config.postgres.db_schema,
        config.triggers,
        config.postgres.user,
        triggers.Claim(config.pipeline, take_over),
    )


def assemble(config: Config, connection: Connection) -> Assembly:
    """Read the SQL files and ask the catalog for the types of the keys.

    Raises TriggerError, QueryFileError, IndexError_ or ValueError with what to mend.
    """
    wrong = [one for document in config.documents for one in wrong_files(document)]
    if wrong:
        raise QueryFileError(*dict.fromkeys(wrong))
    watches = watches_of(config)
    schema = config.postgres.db_schema
    triggers.refuse_other_pipeline(connection, schema, config.pipeline)
    catalog = triggers.resolve(connection, watches, schema, config.triggers)
    types = catalog.types()
    routes: dict[str, list[Route]] = {watch.id: [] for watch in watches}
    kinds: list[Kind] = []
    for number, document in enumerate(config.documents):
        mappings: dict[str, Path] = {}
        for one in document.watch:
            watch = watch_of(one)
            route = Route(number, one.mapping_file is not None)
            if watch.id in mappings or route in routes[watch.id]:
                raise Unfit(
                    f"documents[{number}]: {one.table} is watched twice with the same key; put "
                    "both mappings into one file with UNION"
                )
            routes[watch.id].append(route)
            if one.mapping_file is not None:
                mappings[watch.id] = one.mapping_file
        # it gets no trigger, so what only triggers need is not asked of it
        own = Watch(*split_name(document.table), document.key, notify="off")
        found = types.get(own.id)
        if found is None:
            try:
                found = (
                    triggers.resolve(connection, [own], schema, config.triggers).types().get(own.id)
                )
            except triggers.TriggerError as error:
                raise _with_way_out(error, document) from error
        assert found is not None
        for one in document.watch:
            if one.mapping_file is None and tuple(types[watch_of(one).id]) != tuple(found):
                raise Unfit(
                    f"documents[{number}]: the key of {one.table} has the types "
                    f"{', '.join(types[watch_of(one).id])}, the document's key "
                    f"{', '.join(found)}: give a mapping_file"
                )
        source = DocumentSource(Statements(document, found, types, mappings))
        index_config = read_config(document.index_config_file)
        kinds.append(Kind(number, source, index_config, _hash(document, index_config)))
    return Assembly(
        watches,
        types,
        catalog.zoneless(),
        {watch: tuple(found) for watch, found in routes.items()},
        tuple(kinds),
    )


def _with_way_out(error: triggers.TriggerError, document: DocumentConfig) -> triggers.TriggerError:
    """The error of a document's own table; of a view, with what to write in its place."""
    keys = ", ".join(document.key)
    return triggers.TriggerError(
        *(
            f"{one}. As `table` of {document.index} name the table that {keys} is the key of. "
            "Where only some of its rows are documents, page their ids by an `ids_file`: SELECT … "
            f"AS id FROM {document.table} WHERE %(after)s IS NULL OR … > %(after)s ORDER BY … "
            "LIMIT %(limit)s"
            if " view: " in one
            else one
            for one in error.problems
        )
    )


class TriggerUpkeep:
    """Keeps the triggers of one pipeline as they should be."""

    def __init__(self, config: Config, parts: Assembly, observe: Observe, stop: Stop) -> None:
        self._installation = installation_of(config)
        self._parts = parts
        self._observe = observe
        self._stop = stop

    def wrong(self, connection: Connection) -> tuple[str, ...]:
        """What is not as it should be, one sentence each."""
        try:
            return triggers.differences(connection, self._installation).wrong
        except triggers.TriggerError as error:
            return error.problems

    def ensure(self, connection: Connection, waiting: Callable[[str], object]) -> None:
        """Mend them where we may; see that the tables are still those of `parts`. `waiting` is
        called with the reason before each wait for a lock.

        Raises TriggersWrong with what a person must do; triggers.Busy, which passes by itself;
        Reassemble, Stopped, psycopg.Error.
        """
        parts = self._parts
        try:
            if self._installation.config.install == "auto":
                triggers.install(
                    connection,
                    self._installation,
                    observe=self._observe,
                    stop=self._stop,
                    hurry=True,
                    waiting=waiting,
                )
            found = triggers.differences(connection, self._installation)
        except triggers.Busy:
            raise
        except triggers.TriggerError as error:
            raise TriggersWrong(str(error)) from error
        for cause in found.causes:
            more = len(cause.reasons) - _TOLD
            told = "; ".join(cause.reasons[:_TOLD]) + (f" and {more} more" if more > 0 else "")
            mend = "run `listener triggers install`" if cause.mend is None else cause.mend
            raise TriggersWrong(f"{told}. Mend: {' '.join(mend.split())}")
        if found.catalog.types() != {one.id: parts.types[one.id] for one in parts.watches}:
            raise Reassemble("the types of watched keys have changed")
        if found.catalog.zoneless() != parts.zoneless:
            raise Reassemble("the type of a stamp column has changed")


def hash_of(document: DocumentConfig) -> str:
    """The hash of a document's definition: query, mapping and watches, as the files are now.

    Raises OSError, and IndexError_ where the mapping's file is no JSON object.
    """
    return _hash(document, read_config(document.index_config_file))


def _hash(document: DocumentConfig, config: IndexConfig) -> str:
    """Changes with the mapping, the query, and which tables are watched how."""
    texts = [_text(document.query_file), document.table, *document.key]
    if document.ids_file is not None:
        texts.append(_text(document.ids_file))
    for one in sorted(document.watch, key=lambda watch: (watch.table, watch.key)):
        mapping = _text(one.mapping_file) if one.mapping_file else ""
        texts += [one.table, *one.key, str(one.updated_at), str(one.columns), mapping]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return content_hash(config, digest)


def _text(path: Path) -> str:
    """What an SQL file says. Where `%%` meant something else to former versions it is another text:
    what these have loaded is not what it says."""
    text = read(path)
    return f"{text}\0%%" if doubled(text) else text
