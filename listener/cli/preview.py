"""`listener preview`: what the files as they are now would index; nothing in use is written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Final

from listener import postgres, search
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.config import Config
from listener.documents.topology import assemble
from listener.observations.events import Observe
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
        "ids", nargs="*", metavar="ID", help="these documents, field by field; default: count all"
    )
    parser.add_argument(
        "--sample", type=_size, metavar="N", help="look at about N documents instead of all"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object: of all, or one a line for each ID"
    )


def _size(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Print what would differ: 0 nothing, 1 something, 2 configuration, 3 a server is away."""

    def work() -> int:
        known = [document.index for document in config.documents]
        if given.index not in known:
            raise Unfit(f"no index {given.index!r}: the configuration has {', '.join(known)}")
        with postgres.connect(config.postgres, "listener: preview") as connection:
            schema = config.postgres.db_schema
            parts = assemble(config, connection)
            kind = next(one for one in parts.kinds if one.index == given.index)
            ours = identity.database(connection, schema)
            client = search.connect(config.elasticsearch)
            try:
                preview = Preview(
                    connection,
                    client,
                    Indexes(client, config.pipeline, ours),
                    kind,
                    daemon=ActiveDaemon(connection, schema, parts.watches[0].id),
                    observe=observe,
                    stop=stop,
                )
                if given.ids:
                    return _some(preview, given.ids, as_json=given.json)
                return _all(preview, given.sample, as_json=given.json)
            finally:
                client.close()

    return status_of(work)


def _some(preview: Preview, ids: list[str], *, as_json: bool) -> int:
    differ = False
    for one in preview.some(ids):
        differ |= one.differs
        if as_json:
            _tell(one.json)
        else:
            for line in one.lines():
                print(line, flush=True)
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
