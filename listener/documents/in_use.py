"""Which definitions the indexes keep that are fed: what they follow, whatever the files say."""

from __future__ import annotations

from listener import search
from listener.config import Config
from listener.documents.definition import Definition, kept_definition
from listener.documents.topology import KeptDefinitions, fitting
from listener.postgres import Connection
from listener.search.index_config import IndexError_
from listener.search.indexes import Indexes


def definitions_in_use(client: search.Client, config: Config) -> list[Definition]:
    """The definitions that indexes of this pipeline keep which are behind its aliases.

    Errors of the client pass through.
    """
    indexes = Indexes(client, config.pipeline)
    found: list[Definition] = []
    for document in config.documents:
        try:
            behind = indexes.behind(document.index)
        except IndexError_:
            continue  # a session tells what is wrong with the alias
        if behind is not None and behind.pipeline == config.pipeline:
            kept = kept_definition(document.index, behind.definition, behind.hash)
            if kept is not None:
                found.append(kept)
    return found


def definitions_fed(client: search.Client, config: Config) -> list[Definition]:
    """The definitions that indexes of this pipeline keep which are fed: those behind its aliases,
    and former ones.

    Errors of the client pass through.
    """
    return [*definitions_in_use(client, config), *_definitions_kept(client, config)]


def _definitions_kept(client: search.Client, config: Config) -> list[Definition]:
    """The definitions that former indexes of this pipeline keep which are fed."""
    indexes = Indexes(client, config.pipeline)
    found: list[Definition] = []
    for document in config.documents:
        former = indexes.former(document.index)
        if former is not None and former.pipeline == config.pipeline:
            kept = kept_definition(document.index, former.definition, former.hash)
            if kept is not None:
                found.append(kept)
    return found


def kept_now(config: Config, connection: Connection) -> tuple[KeptDefinitions, str | None]:
    """What indexes in use and former ones keep that the files do not say any more; and why
    Elasticsearch cannot tell, where it cannot.

    Raises psycopg.Error, and OSError and ValueError where a file cannot be read.
    """
    client = search.connect(config.elasticsearch)
    try:
        found = definitions_fed(client, config)
    except search.Error as error:
        return KeptDefinitions(), search.describe(error)
    finally:
        client.close()
    return fitting(config, connection, found), None
