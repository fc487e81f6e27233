"""The indexes on stamp columns, made without blocking writers.

They are for speed alone: without them polls read whole tables, and nothing is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from psycopg import sql

from listener.postgres import Connection
from listener.triggers import names
from listener.triggers.catalog import Catalog, Watched, rows
from listener.triggers.present import Present, PresentIndex
from listener.triggers.steps import Step, name_of, place_of, text


@dataclass(frozen=True, slots=True)
class _Index:
    table: int
    schema: str
    name: str
    usable: bool
    parent: int


Renamed: TypeAlias = dict[tuple[str, str], str]
"""Schema and name of an index -> the name that it gets."""


def renamed(conn: Connection, schema: str) -> Renamed:
    """Indexes of listener on tables that bear other names than when the indexes were made.

    An index keeps its name when its table is renamed. It is then in the way of the index of a new
    table with the former name.
    """
    found = rows(conn, "index_names", prefix=names.index_prefix(schema))
    given = {(row[0], row[1]) for row in found if row[1] == names.index_on(schema, *row[2:])}
    result: Renamed = {}
    for place, old, *table in found:
        new = names.index_on(schema, *table)
        if (place, new) not in given:
            given.add((place, new))
            result[place, old] = new
    return result


def rename(found: Renamed) -> Iterator[Step]:
    """In two turns: two indexes may swap their names."""
    if not found:
        return
    alter = "ALTER INDEX {} RENAME TO {}"
    turns = [
        text(alter, sql.Identifier(place, old), sql.Identifier(f"{new}_new"))
        for (place, old), new in found.items()
    ] + [
        text(alter, sql.Identifier(place, f"{new}_new"), sql.Identifier(new))
        for (place, _), new in found.items()
    ]
    yield Step(
        "indexes of tables that were renamed",
        tuple(turns),
        tuple(f"index {place}.{old} bears the former name of its table" for place, old in found),
        optional=True,
    )


def steps(conn: Connection, one: Watched, schema: str, renames: Renamed) -> Iterator[Step]:
    """What is to be done so that each part of a stamped table has an index that leads with it.

    `renames`: what is renamed before.
    """
    column = one.watch.updated_at
    if column is None:
        return
    found = [
        _Index(table, place, renames.get((place, name), name), usable, parent)
        for table, place, name, usable, parent in rows(
            conn,
            "indexes",
            oids=[member.oid for member in one.members],
            column=column,
            prefix=names.index_prefix(schema),
        )
    ]
    usable = {index.table for index in found if index.usable}
    lacking = [m for m in one.members if m.kind == "r" and m.oid not in usable]
    if not lacking:
        return
    partitioned = one.members[0].kind == "p"
    named = {member.oid: names.index(schema, member) for member in one.members}
    ours = {index.table: index for index in found if index.name == named[index.table]}
    if partitioned:
        yield from _parents(one, column, ours, schema)
    for member in one.members:
        index = ours.get(member.oid)
        if member.kind != "r" or (index is not None and index.usable):
            continue
        if not partitioned and member.oid in usable:
            continue
        if index is not None:
            tables = (place_of(member),)
            half = PresentIndex(member.schema, index.name, "i", member.label, tables)
            yield drop(half, "an unfinished index")
        yield Step(
            f"index on {member.label}, without blocking writers (not in a transaction)",
            (
                text(
                    "CREATE INDEX CONCURRENTLY {} ON {} ({})",
                    sql.Identifier(names.index(schema, member)),
                    name_of(member),
                    sql.Identifier(column),
                ),
            ),
            (f"{member.label} has no index that leads with {column}",),
            transaction=False,
            tables=(place_of(member),),
            optional=True,
            undo=text(
                "DROP INDEX IF EXISTS {}",
                sql.Identifier(member.schema, names.index(schema, member)),
            ),
        )
    if partitioned:
        yield from _attach(one, ours, schema)


def _parents(one: Watched, column: str, ours: dict[int, _Index], schema: str) -> Iterator[Step]:
    """Partitioned tables cannot be indexed concurrently: an empty shell first, then its parts."""
    for member in one.members:
        if member.kind == "p" and member.oid not in ours:
            yield Step(
                f"index on {member.label}, still without its partitions",
                (
                    text(
                        "CREATE INDEX {} ON ONLY {} ({})",
                        sql.Identifier(names.index(schema, member)),
                        name_of(member),
                        sql.Identifier(column),
                    ),
                ),
                (f"{member.label} has no index that leads with {column}",),
                tables=(place_of(member),),
                optional=True,
            )


def _attach(one: Watched, ours: dict[int, _Index], schema: str) -> Iterator[Step]:
    by_oid = {member.oid: member for member in one.members}
    for member in reversed(one.members):
        parent = by_oid.get(member.parent) if member.parent is not None else None
        index = ours.get(member.oid)
        if parent is None or (index is not None and index.usable and index.parent):
            continue
        yield Step(
            f"index on {member.label} becomes a part of the one on {parent.label}",
            (
                text(
                    "ALTER INDEX {} ATTACH PARTITION {}",
                    sql.Identifier(parent.schema, names.index(schema, parent)),
                    sql.Identifier(member.schema, names.index(schema, member)),
                ),
            ),
            (),
            tables=(place_of(member),),
            optional=True,
        )


def stale(catalog: Catalog, present: Present, schema: str, renames: Renamed) -> Iterator[Step]:
    """Indexes of listener on columns that are no longer stamped."""
    wanted = {
        names.index(schema, member)
        for one in catalog.watched
        if one.stamp is not None
        for member in one.members
    }
    for index in present.indexes:
        name = renames.get((index.schema, index.name), index.name)
        if name not in wanted:
            yield drop(replace(index, name=name))


def drop(index: PresentIndex, why: str = "an index no longer wanted") -> Step:
    """Drop an index. One of a partitioned table takes the indexes of its partitions along, and
    cannot be dropped CONCURRENTLY."""
    whole = index.kind != "i"
    name = sql.Identifier(index.schema, index.name)
    return Step(
        f"index on {index.table}"
        if whole
        else f"index {index.schema}.{index.name}, without blocking writers (not in a transaction)",
        (text("DROP INDEX {}" if whole else "DROP INDEX CONCURRENTLY {}", name),),
        (f"{index.table}: {why}",),
        transaction=whole,
        tables=index.tables,
        optional=True,
    )
