"""One watched table: its parts, its key, and what it may not be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from listener.changes import KEY_TYPES, KeyType, Watch
from listener.postgres import Connection
from listener.triggers.catalog import Column, Member, Watched, rows
from listener.triggers.nearest import nearest_column, nearest_table
from listener.triggers.stamping import Stamping
from listener.triggers.steps import name_of, text

_KINDS: Final = {
    "v": "a view: watch the tables that it reads",
    "m": "a materialized view: watch the tables that it reads",
    "f": "a foreign table: its rows change where no trigger of this database fires",
    "S": "a sequence: it has no rows to watch",
}
NOT_OURS: Final = ("pg_catalog", "information_schema", "pg_toast")


class Finder:
    """Looks one watch up and collects what is wrong with it."""

    def __init__(
        self, conn: Connection, watch: Watch, watches: Sequence[Watch], schema: str
    ) -> None:
        self._conn = conn
        self._watch = watch
        self._watches = watches
        self._schema = schema
        self._label = f"{watch.schema}.{watch.table}"
        self.problems: list[str] = []

    def _wrong(self, text: str) -> None:
        self.problems.append(f"{self._label}: {text}")

    def look(self) -> Watched | None:
        """What the catalog knows; None where something is wrong, which `problems` says then."""
        watch = self._watch
        members = self._members()
        if not members:
            return None
        columns = {
            column.name: column
            for column in (Column(*row) for row in rows(self._conn, "columns", oid=members[0].oid))
        }
        types = self._key(columns)
        self._listed(columns)
        stamping = Stamping(self._conn, watch, self._watches, self._schema, members)
        stamp = stamping.look(columns.get(watch.updated_at or ""))
        self.problems += stamping.problems
        row_level = self._row_level(members)
        if self.problems:
            return None
        identity = tuple(one.name for one in columns.values() if one.in_primary_key)
        exists = watch.updated_at in columns
        generated = any(columns[name].generated != "" for name in watch.key)
        oids = {column.name: column.type_oid for column in columns.values()}
        return Watched(watch, types, stamp, exists, identity, row_level, members, generated, oids)

    def _row_level(self, members: tuple[Member, ...]) -> bool:
        """Whether rows are written where no statement trigger of listener fires."""
        watch = self._watch
        subscribed = any(subscribed for _, subscribed in self._tree)
        if subscribed and watch.notifies:
            self._wrong(
                "it is the target of a subscription, whose worker fires no statement triggers: "
                f"write `notify: off` instead of `notify: {watch.notify}`"
            )
        above = rows(
            self._conn,
            "other_parents",
            oids=[member.oid for member in members],
            oid=members[0].oid,
        )
        for part, parent, itself in above if watch.notifies else ():
            where = "it" if itself else f"its part {part}"
            self._wrong(
                f"{where} is a part of {parent}, and statements of {parent} write its rows without "
                f"firing its statement triggers: watch {parent} instead, or write `notify: off` "
                f"instead of `notify: {watch.notify}` (row triggers record the changes then)"
            )
        return subscribed or bool(above)

    def _members(self) -> tuple[Member, ...]:
        watch = self._watch
        if watch.schema in (*NOT_OURS, self._schema):
            self._wrong("a system table: it cannot be watched")
            return ()
        found = rows(self._conn, "relation", schema=watch.schema, table=watch.table)
        if not found:
            meant = nearest_table(self._conn, watch.schema, watch.table, self._schema)
            hint = f"; did you mean {'.'.join(meant)}?" if meant else ""
            where = f"in the database {self._conn.info.dbname}"
            self._wrong(f"there is no such table {where}{hint}")
            return ()
        oid, schema, name, kind, _ = found[0]
        if (schema, name) != (watch.schema, watch.table):
            near = ", ".join(f"{row[1]}.{row[2]}" for row in found)
            self._wrong(f"there is no such table; names are case-sensitive, there is {near}")
            return ()
        if kind not in ("r", "p"):
            self._wrong(f"it is {_KINDS.get(kind, 'no table')}")
            return ()
        self._tree: list[tuple[Member, bool]] = []
        for *fields, persistence, subscribed in rows(self._conn, "members", oid=oid):
            member = Member(*fields)
            self._tree.append((member, subscribed))
            where = "it" if member.oid == oid else f"its part {member.label}"
            if member.kind == "f" and member.oid != oid:
                self._wrong(f"{where} is {_KINDS['f']}{self._foreign(member)}")
            elif member.kind not in ("r", "p"):
                self._wrong(f"{where} is {_KINDS.get(member.kind, 'no table')}")
            elif persistence == "u":
                self._wrong(
                    f"{where} is unlogged, and a crash empties it without a trace: "
                    + text("ALTER TABLE {} SET LOGGED", name_of(member))
                )
            elif persistence == "t":
                self._wrong(f"{where} is temporary: it cannot be watched")
        return tuple(member for member, _ in self._tree)

    def _foreign(self, part: Member) -> str:
        """What mends it. A foreign table may become a part at any time, and the triggers are in the
        way then."""
        out = (
            f"or leave {self._label} out of `watch`, then `listener triggers install` drops the "
            "triggers on it"
        )
        if not part.partition:
            return f". {text('ALTER TABLE {} NO INHERIT', name_of(part))} its parents; {out}"
        [parent] = [one for one, _ in self._tree if one.oid == part.parent]
        detach = text("ALTER TABLE {} DETACH PARTITION {}", name_of(parent), name_of(part))
        return (
            f". While triggers of ours are on {self._label}, PostgreSQL refuses statements that "
            "insert rows into that part through it, move them there or change them there (0A000): "
            f"{detach}; {out}"
        )

    def _missing(self, role: str, name: str, columns: dict[str, Column]) -> None:
        near, hint = nearest_column(name, list(columns)), ""
        if near is not None:
            alike = near.lower() == name.lower()
            hint = (
                f"; names are case-sensitive, there is {near}"
                if alike
                else (f"; did you mean {near}?")
            )
        self._wrong(f"{role} {name} does not exist{hint}")

    def _key(self, columns: dict[str, Column]) -> tuple[KeyType, ...]:
        types: list[KeyType] = []
        for name in self._watch.key:
            column = columns.get(name)
            if column is None:
                self._missing("key column", name, columns)
                continue
            kind = KEY_TYPES.get(column.type) if column.built_in else None
            if kind is None:
                self._wrong(
                    f"key column {name} is of type {column.type}; keys are "
                    f"{', '.join(dict.fromkeys(KEY_TYPES.values()))}: take another column, or add "
                    f"one of such a type that holds its text"
                )
            elif not column.deterministic:
                self._wrong(
                    f"key column {name} has a nondeterministic collation, for which different "
                    "texts are equal: take another column or a deterministic collation"
                )
            elif column.generated == "v":
                self._wrong(
                    f"key column {name} is a virtual generated column, which triggers do not see: "
                    "take another column, or make it STORED"
                )
            elif column.generated and self._watch.columns and self._watch.updated_at:
                self._wrong(
                    f"key column {name} is generated, and is not computed yet where the stamp is "
                    "decided: leave out `columns`, or `updated_at`"
                )
            else:
                types.append(kind)
        return tuple(types)

    def _listed(self, columns: dict[str, Column]) -> None:
        for name in self._watch.columns or ():
            column = columns.get(name)
            if column is None:
                self._missing("column (of `columns`)", name, columns)
            elif column.generated:
                self._wrong(
                    f"column {name} (of `columns`) is generated: list the columns that it is "
                    "computed from"
                )
