"""The stamp column of a watched table: its type, and why it could not be stamped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from psycopg import sql

from listener.changes import Watch
from listener.postgres import Connection
from listener.triggers import views
from listener.triggers.catalog import Column, Member, StampType, rows
from listener.triggers.steps import name_of, text

_STAMPS: Final[dict[str, StampType]] = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}
_WAY: Final = "leave `updated_at` out (the journal records the changes then)"
_OBSTACLES: Final = {
    "check": "the constraint {what} checks {column}, and could refuse a row that we stamped: drop "
    "it, or {way}",
    "unique": "{what} makes {column} unique, and could refuse a row that we stamped: drop it, or "
    "{way}",
    "key": "{what} is unique and has {column} in its key, so that an UPDATE that stamps would lock "
    "its row as one that changes the key, and sessions that insert rows which refer to it would "
    "wait or deadlock: drop it, or {way}",
    "null": "the generated column {what} is made of {column} and NOT NULL, and could be NULL in a "
    "row that we stamped: drop the NOT NULL, or {way}",
    "reference": "{column} is part of the foreign key {what}, and a stamp would break it: drop it, "
    "or {way}",
    "policy": "the policy {what} of its row-level security looks at {column}, and could refuse a "
    "row that we stamped: change it, or {way}",
    "view": "the view {what} has a CHECK OPTION and shows rows by {column}, and could refuse a row "
    "that we stamped: change it, or {way}",
    "partition": "{column} decides about the partition of {what}, and a stamp would move rows: "
    "{way}",
    "pipeline": "{column} is stamped by the pipeline with schema {what} too, and one of the two "
    "has `columns`, which keeps the stamp that the other one changed: leave `columns` or "
    "`updated_at` out in one of them",
}
_NO_COLUMN: Final = {
    "child": "{column} cannot be added, since its part {what} has a column of this name that is "
    "generated, or not a timestamptz of six digits: rename that one, or {way}",
    "part": "{column} does not exist, and PostgreSQL adds no column to a part: add it to the root, "
    "ALTER TABLE {what} ADD COLUMN {quoted} timestamptz DEFAULT now(), or {way}",
    "row": "{column} does not exist, and PostgreSQL adds no column with a default while {what} is "
    "made of rows of this table: add one without, ALTER TABLE {table} ADD COLUMN {quoted} "
    "timestamptz, or {way}",
    "typed": "{column} does not exist, and PostgreSQL adds no column to a table of a type: ALTER "
    "TYPE {what} ADD ATTRIBUTE {quoted} timestamptz CASCADE, or {way}",
}


class Stamping:
    """Looks one stamp column up and collects what is wrong with it."""

    def __init__(
        self,
        conn: Connection,
        watch: Watch,
        watches: Sequence[Watch],
        schema: str,
        members: Sequence[Member],
    ) -> None:
        """`watches`: all of the pipeline. `members`: as of Watched."""
        self._conn = conn
        self._watch = watch
        self._name = watch.updated_at or ""
        self._schema = schema
        self._selective = all(
            one.columns is not None
            for one in watches
            if (one.schema, one.table) == (watch.schema, watch.table)
        )
        self._table = name_of(members[0]).as_string(None)
        self._oids = [member.oid for member in members]
        self.problems: list[str] = []

    def look(self, column: Column | None) -> StampType | None:
        """Its type; None where the watch has no stamp, or one that is not possible. `column`: as it
        is, None: it is not there yet."""
        name = self._name
        if not name:
            return None
        if name in self._watch.key:
            self._wrong(f"{name} is a key column and cannot be stamped: {_WAY}")
            return None
        if column is None:
            self._published(self._refused())
            self._violated()  # parts may have it
            return "timestamptz"
        stamp = _STAMPS.get(column.type) if column.built_in else None
        if stamp is None or column.typmod not in (-1, 6):
            precision = f"({column.typmod})" if stamp is not None else ""
            self._wrong(
                f"{name} is of type {column.type}{precision}; a stamp needs timestamptz or "
                f"timestamp with six digits: {_WAY}, or name a column that does not exist yet, "
                "which is added"
            )
        if column.generated:
            self._wrong(f"{name} is a generated column and cannot be stamped: {_WAY}")
        if column.in_primary_key:
            self._wrong(f"{name} is in the primary key and cannot be stamped: {_WAY}")
        self._violated()
        return stamp

    def _wrong(self, text: str) -> None:
        self.problems.append(f"{self._watch.schema}.{self._watch.table}: {text}")

    def _violated(self) -> None:
        """What could refuse a row that is stamped."""
        for kind, what in self._obstacles():
            self._wrong(_OBSTACLES[kind].format(column=self._name, what=what, way=_WAY))

    def _obstacles(self) -> Iterator[tuple[str, str]]:
        written = rows(self._conn, "stamp_written", oids=self._oids, column=self._name)
        yield from rows(
            self._conn,
            "stamp_obstacles",
            oids=self._oids,
            tables=[table for table, _, _ in written],
            columns=[column for _, column, _ in written],
            made=[made for _, _, made in written],
            schema=self._schema,
            selective=self._selective,
        )
        by_table: dict[int, frozenset[int]] = {}
        for table, column, _ in written:
            by_table[table] = by_table.get(table, frozenset()) | {column}
        for view in views.checked(self._conn, by_table):
            yield "view", view

    def _refused(self) -> str:
        """A column that PostgreSQL would not add. Returns the table to which it can be added."""
        table = self._table
        quoted = sql.Identifier(self._name).as_string(None)
        for kind, what in rows(
            self._conn, "column_refused", oid=self._oids[0], oids=self._oids, column=self._name
        ):
            told = _NO_COLUMN[kind].format(
                column=self._name, quoted=quoted, table=table, what=what, way=_WAY
            )
            self._wrong(told)
            if kind == "part":
                table = what
        return table

    def _published(self, table: str) -> None:
        """A column that a subscriber lacks stops its replication at the next row."""
        add = text(
            "ALTER TABLE {} ADD COLUMN {} timestamptz DEFAULT now()",
            sql.SQL(table),
            sql.Identifier(self._name),
        )
        for publication, carried, more in rows(self._conn, "published", oids=self._oids):
            others = f" and {more} more of its parts" if more else ""
            self._wrong(
                f"the publication {publication} carries {carried}{others}, and a new column "
                f"{self._name} with it: a subscriber that lacks the column stops replicating. Add "
                f"it at each subscriber first, then here: {add}; or give the publication a column "
                f"list (PostgreSQL 15); or {_WAY}"
            )
