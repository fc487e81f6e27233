"""`listener preview`: what the files as they are now would index; nothing in use is written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Final

import psycopg

from listener import postgres, search
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.checks.faults import mend_of
from listener.checks.preflight import look_at_statements
from listener.config import Config
from listener.documents.files import QueryFileError
from listener.documents.topology import assemble
from listener.indexing.parked_table import ParkedTable
from listener.observations.events import Observe
from listener.observations.mends import with_mend
from listener.observations.printable import one_line_of_json
from listener.observations.surprises import Unfit
from listener.resync.active import ActiveDaemon
from listener.resync.preview import Preview
from listener.runtime.lifecycle import Stop
from listener.search.indexes import Indexes
from listener.state import identity

DIFFERENT: Final = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("index", metavar="INDEX", help="the documents[].index to look at")
    parser.add_argument(
        "ids",
        nargs="*",
        default=[],
        metavar="ID",
        help="these documents, field by field; default: count all",
    )
    parser.add_argument(
        "--sample", type=_size, metavar="N", help="look at about N documents instead of all"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object: of all, or one a line for each ID"
    )


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number of documents, 1 or more")
    return int(text)


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Print what would differ: 0 nothing, 1 something, 2 configuration or an ID
    that is none, 3 a server is away."""

    def work() -> int:
        known = [document.index for document in config.documents]
        if given.index not in known:
            raise Unfit(f"no index {given.index!r}: the configuration has {', '.join(known)}")
        if given.ids and given.sample:
            raise Unfit("--sample goes without ids")
        with postgres.connect(config.postgres, "listener: preview") as connection:
            connection.execute("SET default_transaction_read_only = on")
            try:
                return _look(config, connection, observe, stop, given)
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise Unfit(
                    f"{postgres.explain(error)[0]}: the query, or a function that it calls, "
                    "writes, and a preview must not"
                ) from error
            except psycopg.Error as error:
                if postgres.is_passing(error) or not getattr(error, "__notes__", ()):
                    raise
                raise _of_a_file(connection, given.index, error) from error

    return status_of(work)


def _look(
    config: Config,
    connection: postgres.Connection,
    observe: Observe,
    stop: Stop,
    given: argparse.Namespace,
) -> int:
    schema = config.postgres.db_schema
    parts = assemble(config, connection)
    _refuse_faulty(config, connection, given.index)
    kind = next(one for one in parts.files if one.index == given.index)
    ours = identity.database(connection, schema)
    with search.connect(config.elasticsearch) as client:
        preview = Preview(
            connection,
            client,
            Indexes(client, config.pipeline, ours),
            kind,
            parked=_parked(connection, schema, given.index),
            daemon=ActiveDaemon(connection, schema, parts.watches[0].id),
            observe=observe,
            stop=stop,
        )
        if given.ids:
            return _some(preview, given.ids, as_json=given.json)
        return _all(preview, given.sample, as_json=given.json)


def _refuse_faulty(config: Config, connection: postgres.Connection, index: str) -> None:
    """What `check` calls an error in the SQL files of this document: no daemon would start. Raises
    QueryFileError."""
    documents = tuple(one for one in config.documents if one.index == index)
    alone = config.model_copy(update={"documents": documents})
    found = look_at_statements(alone, connection)
    wrong = [with_mend(one.what, one.mend) for one in found if one.refuses]
    if wrong:
        raise QueryFileError(*wrong)


def _parked(connection: postgres.Connection, schema: str, index: str) -> frozenset[str]:
    """The ids that are parked of this index; none where this role may not read that."""
    try:
        found = ParkedTable(schema).read_if_installed(connection)
    except psycopg.errors.InsufficientPrivilege:  # a preview needs it not
        return frozenset()
    return frozenset(one.id for one in found if one.index == index)


def _of_a_file(connection: postgres.Connection, index: str, error: psycopg.Error) -> QueryFileError:
    """An error of a statement that was made of a file of the user's, told as `check` does. Its
    notes name the file, and the index too."""
    places = [
        one.replace(f" of {index}", "", 1).removeprefix(index).removeprefix(", ")
        for one in error.__notes__
    ]
    place = "; ".join(filter(None, places))
    what = f"{index}: {place}: {error.diag.message_primary or error}"
    mend = " ".join(mend_of(connection, error, None, "").split())
    return QueryFileError(with_mend(what, mend))


def _some(preview: Preview, ids: list[str], *, as_json: bool) -> int:
    differ, impossible = False, False
    for one in preview.some(ids):
        differ |= one.differs
        impossible |= one.impossible
        if as_json:
            _tell(one.json)
        else:
            for line in one.lines():
                print(line, flush=True)
    if impossible:
        return int(Status.USAGE)
    return DIFFERENT if differ else int(Status.OK)


def _all(preview: Preview, sample: int | None, *, as_json: bool) -> int:
    report = preview.all(sample)
    if as_json:
        _tell(report.json)
    else:
        for line in report.lines():
            print(line)
    return DIFFERENT if report.differs else int(Status.OK)


def _tell(value: Callable[[], dict[str, object]]) -> None:
    print(one_line_of_json(json.dumps(value(), ensure_ascii=False)), flush=True)
