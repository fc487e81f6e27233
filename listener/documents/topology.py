"""From the configuration to what the database knows of it: watches, routes, document sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from listener import ListenerError, triggers
from listener.changes import KeyType, Route, Watch, merge_watches
from listener.config import Config, DocumentConfig, split_name
from listener.documents.definition import Definition, read_definition, watch_of
from listener.documents.files import QueryFileError, wrong_files
from listener.documents.kinds import Kind
from listener.documents.source import DocumentSource
from listener.documents.statements import Statements
from listener.observations.surprises import Unfit
from listener.postgres import Connection
from listener.search.index_config import IndexConfig, read_config


class QueriesWrong(ListenerError):
    """The SQL files do not fit the database any more, and only a person can mend that."""


class Reassemble(ListenerError):
    """The watched tables, or the indexes and what they were made by, are not those that the stages
    were built for: build them anew."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """What one pipeline works with. All mappings are by watch id, but for `unfit`.

    `kinds`: first those of the files as they are, one for each entry of `documents`; then more of
    the same, for several indexes may be made by them at a time; then those of indexes that were
    made by other definitions. `unfit`: by hash of a kept
    definition, why the database cannot be read by it any more.
    """

    watches: tuple[Watch, ...]
    types: Mapping[str, Sequence[KeyType]]
    zoneless: Mapping[str, bool]
    routes: Mapping[str, tuple[Route, ...]]
    kinds: tuple[Kind, ...]
    unfit: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Kind, ...]:
        """The kinds of the files as they are, one for each entry of `documents`."""
        return tuple(kind for kind in self.kinds if kind.number == kind.document)

    def made_by(self, hashes: Mapping[str, str]) -> tuple[Kind, ...]:
        """For each entry of `documents`, the kind of this definition, by alias; that of the files
        where there is none."""
        return tuple(
            next(
                (
                    one
                    for one in self.kinds
                    if one.index == kind.index and one.hash == hashes.get(kind.index)
                ),
                kind,
            )
            for kind in self.files
        )

    @property
    def all_rows(self) -> bool:
        """Whether every watched table sends its keys by NOTIFY."""
        return all(watch.sends_keys for watch in self.watches)

    @property
    def documents_of(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the entries of `documents` that each watch leads to."""
        return {
            watch: tuple(dict.fromkeys(self.kinds[route.kind].document for route in routes))
            for watch, routes in self.routes.items()
        }

    def speaker(self, document: int) -> str:
        """The id of a watch that leads to this entry of `documents`: rows of the journal name a
        watch, also where they ask for something to be done with its documents.
        """
        return next(watch for watch, found in self.documents_of.items() if document in found)


@dataclass(frozen=True, slots=True)
class KeptDefinitions:
    """Definitions that indexes in use were made by, where the files say something else by now.

    `fit`: by these the database can be read. `unfit`: by hash, why not by the others.
    """

    fit: tuple[Definition, ...] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)


def watches_of(config: Config, kept: Iterable[Definition] = ()) -> tuple[Watch, ...]:
    """All watches of a configuration and of kept definitions, merged.

    How changes of a table are recorded is for all of its watches the same: as the files say it.
    """
    found = [watch_of(one) for document in config.documents for one in document.watch]
    how = {(one.schema, one.table): one for one in found}
    for watch in [watch for definition in kept for watch in definition.watches]:
        first = how.setdefault((watch.schema, watch.table), watch)
        found.append(replace(watch, updated_at=first.updated_at, notify=first.notify))
    return merge_watches(found)


def installation_of(
    config: Config, kept: Iterable[Definition] = (), *, take_over: bool = False
) -> triggers.Installation:
    """What a configuration and kept definitions want of the database. `take_over`: as of Claim."""
    return triggers.Installation(
        watches_of(config, kept),
        config.postgres.db_schema,
        config.triggers,
        config.postgres.user,
        triggers.Claim(config.pipeline, take_over),
    )


def fitting(config: Config, connection: Connection, kept: Iterable[Definition]) -> KeptDefinitions:
    """Which of these definitions the database can still be read by: a table or a key may be gone.

    Those that the files give now are left out. Raises psycopg.Error, and what `read_definition`
    raises of the files.
    """
    schema = config.postgres.db_schema
    now = {one.hash for _, one in _definitions(config)}
    fit: list[Definition] = []
    unfit: dict[str, str] = {}
    for definition in kept:
        if definition.hash in now:
            continue
        try:
            watches = watches_of(config, [definition])
            catalog = triggers.resolve(connection, watches, schema, config.triggers)
            _source(connection, config, definition, catalog.types(), definition.index)
        except (triggers.TriggerError, ValueError) as error:
            unfit[definition.hash] = str(error)
        else:
            fit.append(definition)
    return KeptDefinitions(tuple(fit), unfit)


def assemble(
    config: Config, connection: Connection, kept: KeptDefinitions | None = None
) -> Assembly:
    """Read the SQL files and ask the catalog for the types of the keys. `kept`: as of `fitting`.

    Raises TriggerError, QueryFileError, IndexError_ or ValueError with what to mend.
    """
    files = list(_definitions(config))
    kept = kept or KeptDefinitions()
    schema = config.postgres.db_schema
    triggers.refuse_other_pipeline(connection, schema, config.pipeline)
    watches = watches_of(config, kept.fit)
    catalog = triggers.resolve(connection, watches, schema, config.triggers)
    types = catalog.types()
    places = {definition.index: place for place, (_, definition) in enumerate(files)}
    others = [one for one in kept.fit if one.index in places]
    wanted = [one for _, one in files]
    # an index in use, one that is loaded and a former one may be made by the same files
    wanted += [*wanted * (2 if config.keep_former else 1), *others]
    routes: dict[str, list[Route]] = {watch.id: [] for watch in watches}
    kinds: list[Kind] = []
    for number, definition in enumerate(wanted):
        place = places[definition.index]
        for watch, route in _routes(number, place, definition):
            routes[watch].append(route)
        source = _source(connection, config, definition, types, f"documents[{place}]")
        kinds.append(Kind(number, source, files[place][0], definition, place))
    return Assembly(
        watches,
        types,
        catalog.zoneless(),
        {watch: tuple(found) for watch, found in routes.items()},
        tuple(kinds),
        kept.unfit,
    )


def hash_of(document: DocumentConfig) -> str:
    """The hash of a document's definition: query, mapping and watches, as the files are now.

    Raises QueryFileError where a file cannot be read, and IndexError_ where the mapping's is no
    JSON object.
    """
    return read_definition(document, read_config(document.index_config_file)).hash


def _definitions(config: Config) -> Iterator[tuple[IndexConfig, Definition]]:
    """What the files say now, by the order of `documents`. Raises QueryFileError with all that is
    wrong with the SQL files, and IndexError_."""
    wrong = [one for document in config.documents for one in wrong_files(document)]
    if wrong:
        raise QueryFileError(*dict.fromkeys(wrong))
    for document in config.documents:
        index_config = read_config(document.index_config_file)
        yield index_config, read_definition(document, index_config)


def _routes(number: int, place: int, definition: Definition) -> Iterator[tuple[str, Route]]:
    """Where the keys of its watches lead, by watch id. `number`: of the kind."""
    mapped: set[str] = set()
    direct: set[str] = set()
    for one in definition.watched:
        watch = one.watch.id
        if watch in mapped or (one.mapping is None and watch in direct):
            raise Unfit(
                f"documents[{place}]: {one.table} is watched twice with the same key; put "
                "both mappings into one file with UNION"
            )
        (direct if one.mapping is None else mapped).add(watch)
        yield watch, Route(number, one.mapping is not None)


def _source(
    connection: Connection,
    config: Config,
    definition: Definition,
    types: Mapping[str, Sequence[KeyType]],
    place: str,
) -> DocumentSource:
    """The source of a definition. `types`: of the keys of its watches. `place`: for messages."""
    # it gets no trigger, so what only triggers need is not asked of it
    own = Watch(*split_name(definition.table), definition.key, notify="off")
    found = types.get(own.id)
    if found is None:
        schema = config.postgres.db_schema
        try:
            found = triggers.resolve(connection, [own], schema, config.triggers).types().get(own.id)
        except triggers.TriggerError as error:
            raise with_way_out(error, definition) from error
    assert found is not None
    for one in definition.watched:
        if one.mapping is None and tuple(types[one.watch.id]) != tuple(found):
            raise Unfit(
                f"{place}: the key of {one.table} has the types "
                f"{', '.join(types[one.watch.id])}, the document's key "
                f"{', '.join(found)}: give a mapping_file"
            )
    mappings = {one.watch.id: one.mapping for one in definition.watched if one.mapping is not None}
    return DocumentSource(Statements(definition, found, types, mappings))


def with_way_out(
    error: triggers.TriggerError, definition: Definition | DocumentConfig
) -> triggers.TriggerError:
    """The error of a document's own table; of a view, with what to write in its place."""
    keys = ", ".join(definition.key)
    return triggers.TriggerError(
        *(
            f"{one}. As `table` of {definition.index} name the table that {keys} is the key of. "
            "Where only some of its rows are documents, page their ids by an `ids_file`: SELECT … "
            f"AS id FROM {definition.table} WHERE %(after)s IS NULL OR … > %(after)s ORDER BY … "
            "LIMIT %(limit)s"
            if " view: " in one
            else one
            for one in error.problems
        )
    )
