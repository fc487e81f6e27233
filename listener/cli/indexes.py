"""`listener indexes`: all indexes of this pipeline, what each is for, and the removal of leftovers.

Definition: the hash of query, mapping and watches that an index was made by.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from listener import postgres, search
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.config import Config
from listener.documents.topology import hash_of
from listener.indexing.parked_table import ParkedTable
from listener.observations.events import Observe
from listener.observations.printable import shown
from listener.observations.surprises import Unfit
from listener.runtime.lifecycle import Stop
from listener.search.indexes import Indexes
from listener.search.inventory import StoredIndex
from listener.state import identity
from listener.state.control import ControlDocument

_PATTERN: Final = "*?,"
"""Signs by which a name is a pattern, or several names, to Elasticsearch."""
_CLOSE: Final = 0.8
"""How alike two names are, from 0 to 1, of which one is told for the other."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--drop",
        nargs="+",
        metavar="NAME",
        default=(),
        help="delete these, which are left over (whole names, no patterns)",
    )
    parser.add_argument(
        "--drop-all", action="store_true", help="delete all that are left over, and no others"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


@dataclass(frozen=True, slots=True)
class _Row:
    """One index, with what the state and the files say of it."""

    stored: StoredIndex
    documents: int | None
    parked: int
    files: bool | None
    """Whether it is made by the files as they are now; None: no document has its alias."""
    waits: bool
    """Whether it is loaded and waits for a person's word."""


def run(config: Config, _observe: Observe, _stop: Stop, given: argparse.Namespace) -> int:
    """List or drop: 0 done, 2 configuration or an index that is used, 3 a server is away."""

    def work() -> int:
        listing = _Listing(config)
        rows = listing.rows()
        if given.drop or given.drop_all:
            return listing.drop(rows, given.drop, every=given.drop_all)
        if given.json:
            for one in rows:
                print(json.dumps(_fields(one), ensure_ascii=False))
        else:
            _table(rows)
        return int(Status.OK)

    return status_of(work)


class _Listing:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._client = search.connect(config.elasticsearch)
        self._aliases = [document.index for document in config.documents]
        self._indexes = Indexes(self._client, config.pipeline)

    def rows(self) -> list[_Row]:
        """All that is this pipeline's."""
        config = self._config
        control = ControlDocument(
            self._client, config.elasticsearch.control_index, config.pipeline
        ).read()
        with postgres.connect(config.postgres, "listener: indexes") as connection:
            self._indexes.owner.database = identity.database(connection, config.postgres.db_schema)
            row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
            table = ParkedTable(config.postgres.db_schema).read_if_installed(connection)
        assert row is not None
        parked = Counter(one.index for one in table)
        state = control.state
        loads = {one.physical: one for one in state.loads} if state is not None else {}
        waiting = {one.physical for one in state.refused.values()} if state is not None else set()
        hashes = {document.index: hash_of(document) for document in config.documents}
        rows = []
        for one in self._indexes.inventory(self._aliases, control.generation, row[0]):
            load = loads.get(one.name)
            rows.append(
                _Row(
                    one,
                    load.written if load is not None and not load.done else one.documents,
                    parked[one.alias if one.role == "in use" else one.name],
                    one.hash == hashes[one.alias] if one.alias in hashes else None,
                    one.role == "loading" and one.name in waiting,
                )
            )
        return rows

    def drop(self, rows: Sequence[_Row], names: Sequence[str], *, every: bool) -> int:
        """Delete these, or all, that are left over; none where one of the names is another's."""
        stored: Mapping[str, StoredIndex] = {one.stored.name: one.stored for one in rows}
        names = list(dict.fromkeys(names))
        refused = [name for name in names if name not in stored or stored[name].why_kept]
        for name in refused:
            why = (
                stored[name].why_kept
                if name in stored
                else why_unknown(name, list(stored.values()), self._config.pipeline)
            )
            print(f"listener: {shown(name)} is not dropped: {why}", file=sys.stderr)
        if refused:
            return int(Status.USAGE)
        chosen = [one for one in stored.values() if every and one.role == "left over"]
        if every and not chosen:
            print("nothing is left over")
        for one in [stored[name] for name in names] or chosen:
            if one.why_kept is not None:
                print(f"kept {one.name}: {one.why_kept}")
            elif self._indexes.drop_if_unused(one.name, one.alias):
                print(f"deleted {one.name}")
            else:
                raise Unfit(
                    f"{one.name}: the server refuses to delete it now: a snapshot is being made, "
                    "or a right is missing"
                )
        return int(Status.OK)


def why_unknown(name: str, stored: Sequence[StoredIndex], pipeline: str) -> str:
    """Why this names none of the indexes that are `stored`, and what may be meant."""
    if not name or any(sign in name for sign in _PATTERN) or name == "_all":
        return (
            "it is no name of an index, and patterns are not taken: name each one, or `listener "
            "indexes --drop-all` deletes all that is left over"
        )
    behind = [one for one in stored if name in one.searched_by]
    if behind:
        told = ", ".join(f"{one.name} ({one.role})" for one in behind)
        return f"it is an alias, which leads to {told}: name an index"
    made = [one.name for one in stored if one.alias == name]
    if made:
        return f"it is no index; of this document there are {', '.join(made)}"
    near = difflib.get_close_matches(name, [one.name for one in stored], 1, _CLOSE)
    meant = f"; did you mean {near[0]}?" if near else "; `listener indexes` lists those"
    return f"it is no index of the pipeline {pipeline!r}{meant}"


def _fields(row: _Row) -> dict[str, object]:
    one = row.stored
    return {
        "index": one.alias,
        "name": one.name,
        "role": one.role,
        "waits_for_a_person": row.waits,
        "definition": one.hash,
        "of_the_files": row.files,
        "documents": row.documents,
        "bytes": one.bytes,
        "made_at": None if one.made is None else one.made.isoformat(timespec="seconds"),
        "parked": row.parked,
        "searched_by": list(one.searched_by),
    }


def _table(rows: Sequence[_Row]) -> None:
    if not rows:
        print("there is no index of this pipeline yet: `listener run` makes it")
        return
    lines = [("NAME", "ROLE", "DEFINITION", "DOCUMENTS", "SIZE", "AGE", "PARKED")]
    for row in rows:
        one = row.stored
        files = {True: " (the files')", False: " (not the files')", None: " (not configured)"}
        lines.append(
            (
                one.name,
                f"{one.role}, held" if row.waits else one.role,
                f"{(one.hash or '?')[:8]}{files[row.files]}",
                "?" if row.documents is None else str(row.documents),
                _size(one.bytes),
                _age(one.made),
                str(row.parked),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
    for row in rows:
        if row.waits:
            mend = f"`listener load {row.stored.alias} --accept`"
            if row.files is not True:
                mend = "restart the daemon: the files have changed since"
            print(f"{row.stored.name} is held: {mend}")
    if any(row.stored.role == "left over" for row in rows):
        print("what is left over: `listener indexes --drop NAME`, or `--drop-all`")


def _size(number: int | None) -> str:
    if number is None:
        return "?"
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _age(made: datetime | None) -> str:
    if made is None:
        return "?"
    seconds = max(0, int((datetime.now(UTC) - made).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
