"""The user's SQL files: do they run, return what they must, and read only what is watched?

Two nets are cast. A PREPARE locks every relation that the statement names, behind views too, and
the locks of a transaction can be read: nothing that is named escapes. The plan of EXPLAIN then
tells which of them are really read (a join that the planner removes reads nothing), and which
functions are called. What a function reads inside of itself is seen by neither.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg import ClientCursor

from listener.changes import KeyType
from listener.checks import relations
from listener.checks.faults import line_of, mend_of
from listener.checks.finding import Finding
from listener.checks.id_types import ids_wrong
from listener.checks.plan import CLOCK_FUNCTIONS, Plan, clock_literals, read_plan
from listener.checks.relations import Relation
from listener.config import DocumentConfig
from listener.documents import meaning
from listener.documents.candidates import FUNCTION, RELATION
from listener.documents.files import Role
from listener.documents.placeholders import plain
from listener.postgres import Connection, is_passing
from listener.sql import files

_COLUMNS: Final[dict[Role, str]] = {
    "query": "it must return exactly the columns id and document",
    "mapping": "it must return the document ids as the column id",
    "ids": "it must return the document ids as the column id",
}
_UUID: Final = "00000000-0000-4000-8000-000000000000"
_SETTINGS: Final = ("enable_partition_pruning", "constraint_exclusion")
_MERGES: Final = re.compile(
    r"\b(?:distinct|group\s+by|union|intersect|except|partition\s+by)\b", re.IGNORECASE
)
"""What takes equal values for one."""
_PAGES: Final = re.compile(r"\blimit\b", re.IGNORECASE)
"""What goes on behind the last id of a page."""
_DENIED: Final = "42501"
_PREPARED: Final = "listener_check"


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL file, rendered (with casts at its placeholders), and parameters to plan it with.

    `returns`: the types of the document's key, which its ids are; empty: not known.
    """

    role: Role
    path: Path
    sql: str
    parameters: Mapping[str, Any]
    returns: Sequence[KeyType] = ()


def sample(name: str, types: Sequence[KeyType], *, array: bool) -> dict[str, Any]:
    """Parameters with one plausible key: with NULL or no key a plan would shrink to nothing."""
    values = [_UUID if kind == "uuid" else "1" for kind in types]
    names = [name] if len(types) == 1 else [f"{name}_{n}" for n in range(1, len(types) + 1)]
    return {one: [value] if array else value for one, value in zip(names, values, strict=True)}


def check_statements(
    connection: Connection,
    document: DocumentConfig,
    statements: Iterable[Statement],
    meant: Iterable[tuple[str, str]] = (),
) -> list[Finding]:
    """Look at the SQL files of one document. Changes nothing, runs none of them.

    `meant`: tables that count as watched, since a name in `watch` is a misspelled one of theirs.
    What is to be mended once is told once, with all files. Raises psycopg.Error only where the
    server or the connection is at fault.
    """
    found: dict[Finding, list[str]] = {}
    for statement in statements:
        for one in _Inspection(connection, document, statement, frozenset(meant)).run():
            found.setdefault(one, []).append(str(statement.path))
    return [
        replace(one, what=f"{document.index}: {' and '.join(dict.fromkeys(paths))}: {one.what}")
        for one, paths in found.items()
    ]


@dataclass(slots=True)
class _Inspection:
    """One statement under the lens, in one transaction that is rolled back."""

    connection: Connection
    document: DocumentConfig
    statement: Statement
    meant: frozenset[tuple[str, str]]
    found: list[Finding] = field(default_factory=list)

    def run(self) -> list[Finding]:
        connection, text = self.connection, self._bound()
        with connection.transaction(force_rollback=True):
            for setting in _SETTINGS:
                connection.execute(f"SET LOCAL {setting} = off")
            if not self._try(f"PREPARE {_PREPARED} AS {text}"):
                return self.found
            try:
                plan = self._plan(text)
                self._columns(text)
                named = relations.named(connection)
            finally:
                with contextlib.suppress(psycopg.Error):
                    connection.execute(f"DEALLOCATE {_PREPARED}")
        if plan is None:
            self._denied(named)
        self.found += relations.unwatched(connection, self.document, self.meant, named, plan)
        if plan is not None:
            self._changes_by_itself(plan)
        return self.found

    def _add(self, severity: Literal["error", "warning"], what: str, mend: str = "") -> None:
        self.found.append(Finding(severity, what, mend))

    def _bound(self) -> str:
        """The statement with its parameters in it: PREPARE takes no parameters from outside."""
        return ClientCursor(self.connection).mogrify(
            self.statement.sql.encode(), self.statement.parameters
        )

    def _try(self, text: str, *, denied: bool = True) -> psycopg.Cursor[tuple[Any, ...]] | None:
        """Execute; an error of the statement itself becomes a finding and None.

        With `denied` off a missing right is passed over in silence.
        """
        try:
            with self.connection.transaction():
                # A binary result makes psycopg use the protocol that refuses a second statement
                # behind a semicolon, which would really be run.
                return self.connection.execute(text.encode(), binary=True)
        except psycopg.Error as error:
            if is_passing(error):
                raise
            if error.sqlstate == _DENIED and not denied:
                return None
            what = error.diag.message_primary or str(error)
            line = line_of(error, text)
            place = "" if line is None else f"line {line}: "
            mend = mend_of(self.connection, error, line, self.statement.sql)
            self._add("error", f"{place}{what}", mend)
        return None

    def _plan(self, text: str) -> Plan | None:
        cursor = self._try(f"EXPLAIN (VERBOSE, FORMAT JSON) {text}", denied=False)
        row = cursor.fetchone() if cursor else None
        return read_plan(row[0]) if row else None

    def _columns(self, text: str) -> None:
        cursor = self._try(f"SELECT * FROM ({text}\n) AS q LIMIT 0", denied=False)
        if cursor is None or cursor.description is None:
            return
        names = [column.name for column in cursor.description]
        role = self.statement.role
        right = sorted(names) == ["document", "id"] if role == "query" else names.count("id") == 1
        if not right:
            self._add("error", f"{_COLUMNS[role]}, and returns {', '.join(names) or 'none'}")
            return
        oid = cursor.description[names.index("id")].type_code
        wrong = ids_wrong(self.connection, oid, self.document, self.statement.returns, role)
        if wrong is not None:
            self.found.append(wrong)
        self._merged(text)

    def _merged(self, text: str) -> None:
        """Which ids are one for DISTINCT is the business of the collation of their column, in the
        file and in the views and functions that it reads."""
        query = f"FROM ({text}\n) AS q LIMIT 0"
        collation = files.load("checks/collation").replace("{query}", query)
        cursor = self._try(collation, denied=False)
        row = cursor.fetchone() if cursor else None
        if row is None or not row[1]:
            return
        by = row[0]
        if by is not None and (_MERGES.search(text) or _PAGES.search(text)):
            self._warn_of_merging(f"its ids are of {by}", "DISTINCT, GROUP BY, UNION")
            return
        for name, definition, column in self._definitions():
            if not _MERGES.search(definition):
                continue
            if by is not None:
                self._warn_of_merging(f"its ids are of {by}", name)
                return
            if column is not None and self.statement.role != "query":
                self._warn_of_merging(f"{name} has the column {column}", "it")
                return

    def _warn_of_merging(self, what: str, who: str) -> None:
        self._add(
            "warning",
            f"{what}, a nondeterministic collation or type: {who} and comparisons take different "
            "ids for one: documents are missed",
            'write id::text COLLATE "C" wherever it is selected, grouped, ordered or compared, in '
            "views and functions too",
        )

    def _definitions(self) -> Sequence[tuple[str, str, str | None]]:
        """Of the views and functions that the file reads: name, text, and a column of theirs whose
        values a comparison takes for one."""
        reached = meaning.reached(self.connection, [plain(self.statement.sql)])
        return self.connection.execute(
            files.load("checks/definitions"),
            {"classes": reached.get(RELATION, []), "functions": reached.get(FUNCTION, [])},
        ).fetchall()

    def _denied(self, named: Sequence[Relation]) -> None:
        """The plan was refused: say each right that is missing, where it can be known."""
        found = relations.denied(self.connection, named)
        self.found += found
        if not found:
            self._try(f"EXPLAIN {self._bound()}")

    def _changes_by_itself(self, plan: Plan) -> None:
        clock = set(plan.clock) | clock_literals(plain(self.statement.sql))
        volatile: set[str] = set()
        unseen: set[str] = set()
        calls = sorted(plan.calls, key=lambda one: (one.schema, one.name))
        named = {"schemas": [one.schema for one in calls], "names": [one.name for one in calls]}
        rows = self.connection.execute(files.load("checks/functions"), named)
        for built_in, schema, name, is_volatile, reads in rows:
            if built_in and name in CLOCK_FUNCTIONS:
                clock.add(f"{name}()")
            elif is_volatile:
                volatile.add(f"{name}()" if built_in else f"{schema}.{name}()")
            if reads and not built_in:
                unseen.add(f"{schema}.{name}()")
        told = [f"the clock ({', '.join(sorted(clock))})"] if clock else []
        told += [f"volatile functions ({', '.join(sorted(volatile))})"] if volatile else []
        if told:
            self._add(
                "warning",
                f"its result depends on {' and '.join(told)}: such a document changes by itself, "
                "and nobody tells listener",
                "keep the value in a column, or reckon it when searching",
            )
        if unseen:
            self._add(
                "warning",
                f"what {', '.join(sorted(unseen))} reads inside cannot be seen",
                "watch the tables that it reads, or declare it IMMUTABLE if it reads none",
            )
