"""Watched tables as values: what the catalog knows about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from listener import ListenerError
from listener.changes import KeyType, Watch
from listener.postgres import Connection
from listener.sql import files

StampType = Literal["timestamptz", "timestamp"]


class TriggerError(ListenerError, ValueError):
    """The triggers cannot do what the configuration asks for.

    `problems`: one sentence each: what, where, and what to do.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Busy(TriggerError):
    """Another session was in the way for as long as patience lasted. It passes by itself, so the
    same call may succeed later.
    """


@dataclass(frozen=True, slots=True)
class Member:
    """One table of a watched tree: the table itself, a partition or an inheritance child.

    `partition` is true below a partitioned member: there PostgreSQL itself clones row triggers
    (statement triggers never).
    """

    oid: int
    schema: str
    name: str
    kind: str
    partition: bool
    parent: int | None

    @property
    def label(self) -> str:
        """`schema.table`, for messages."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a watched table, as the catalog has it.

    `type`: the name of its type, `typmod`: its precision (-1: none). `generated`: `s` stored, `v`
    virtual, empty: it is not generated.
    """

    name: str
    type: str
    built_in: bool
    typmod: int
    generated: str
    deterministic: bool
    in_primary_key: bool
    type_oid: int


@dataclass(frozen=True, slots=True)
class Watched:
    """A watch and what the catalog knows about it.

    `stamp` is None without `updated_at`; `stamp_exists` says whether the column is there already.
    `identity`: the columns of the primary key. `row_level`: the table is the target of a
    subscription, whose worker fires row triggers only. `members`: the root first.
    `generated_key`: a part of the key is generated, and not computed yet where the stamp is made.
    `oids`: by column, the OID of its type.
    """

    watch: Watch
    types: tuple[KeyType, ...]
    stamp: StampType | None
    stamp_exists: bool
    identity: tuple[str, ...]
    row_level: bool
    members: tuple[Member, ...]
    generated_key: bool = False
    oids: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def label(self) -> str:
        """`schema.table`, for messages."""
        return self.members[0].label


@dataclass(frozen=True, slots=True)
class Catalog:
    """All watches, resolved, in the order in which they were given."""

    watched: tuple[Watched, ...]

    def types(self) -> dict[str, tuple[KeyType, ...]]:
        """Key types by watch id."""
        return {one.watch.id: one.types for one in self.watched}

    def zoneless(self) -> dict[str, bool]:
        """By watch id, whether its stamp is a timestamp without time zone, kept in UTC."""
        return {one.watch.id: one.stamp == "timestamp" for one in self.watched}

    def tables(self) -> dict[tuple[str, str], tuple[Watched, ...]]:
        """The watches of each table."""
        groups: dict[tuple[str, str], tuple[Watched, ...]] = {}
        for one in self.watched:
            place = (one.watch.schema, one.watch.table)
            groups[place] = (*groups.get(place, ()), one)
        return groups


def rows(conn: Connection, file: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
    """Run a query of listener/sql/triggers. Errors of psycopg pass through."""
    return conn.execute(files.load(f"triggers/{file}"), parameters).fetchall()
