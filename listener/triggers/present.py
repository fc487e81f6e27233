"""What of listener is in the database now: triggers, functions, indexes, tables."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from listener.postgres import Connection
from listener.sql import files
from listener.triggers import names
from listener.triggers.bodies import SEAL, Function
from listener.triggers.catalog import TriggerError, rows


@dataclass(frozen=True, slots=True)
class PresentTrigger:
    """A trigger that calls one of listener's functions; the fields are those of `wanted.Trigger`.

    `foreign`: the table is a foreign one, a part of a watched table, which LOCK TABLE refuses.
    `parent`: of which trigger it is a clone, 0: of none.
    """

    oid: int
    table: int
    schema: str
    relation: str
    name: str
    kind: int
    enabled: str
    clone: bool
    old: bool
    new: bool
    function: str
    column: str | None
    foreign: bool
    parent: int


@dataclass(frozen=True, slots=True)
class PresentFunction:
    """A function of listener. `volatile`: it is of PL/pgSQL and may write."""

    name: str
    body: str
    definer: bool
    settings: tuple[str, ...]
    volatile: bool

    def is_as(self, want: Function) -> bool:
        """Whether it is the wanted one."""
        found = self.volatile and self.definer
        return found and (self.body, self.settings) == (want.body, want.settings)


@dataclass(frozen=True, slots=True)
class PresentIndex:
    """An index that is listener's by its name and its kind, and not a partition's part of another
    one.

    `tables`: OID and quoted name of its table; of a partitioned one, of each part too.
    """

    schema: str
    name: str
    kind: str
    table: str
    tables: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Present:
    """All that is there. `relations`: what is in the schema under any name: name -> (kind and
    persistence as in pg_class, columns); None without the schema.

    `pipeline`: the one that the schema is for, None: none yet. `oids`: of the relations. `hidden`:
    the relations of which policies may hide rows from this role. `owned`: whether this role may
    drop the schema. All else is listener's own.
    """

    relations: dict[str, tuple[str, str]] | None
    oids: dict[str, int]
    version: int | None
    pipeline: str | None
    triggers: dict[tuple[int, str], PresentTrigger]
    functions: dict[str, PresentFunction]
    indexes: tuple[PresentIndex, ...]
    hidden: tuple[str, ...]
    owned: bool
    by_oid: dict[int, PresentTrigger]

    def made(self, one: PresentTrigger) -> PresentTrigger:
        """The trigger that was made by a statement, where this one is a clone of a clone of it."""
        while one.parent in self.by_oid:
            one = self.by_oid[one.parent]
        return one


def look(conn: Connection, schema: str) -> Present:
    """Read the catalog. Raises TriggerError where this role may not; psycopg's errors pass."""
    own = rows(conn, "own", schema=schema)
    relations = {row[0]: (row[1], row[2]) for row in own if row[0] is not None} if own else None
    version = pipeline = None
    hidden = tuple(row[0] for row in own if row[5])
    if (
        "meta" not in hidden
        and relations
        and "schema_version integer" in relations.get("meta", ("", ""))[1]
    ):
        if not any(row[0] == "meta" and row[3] for row in own):
            raise TriggerError(
                f"this role may not read {schema}.meta: `listener triggers install --dsn` as the "
                "owner of the tables grants it"
            )
        statement = sql.SQL(files.load("triggers/version")).format(schema=sql.Identifier(schema))
        version, pipeline = conn.execute(statement).fetchone() or (None, None)
    functions = {
        name: PresentFunction(name, body, definer, tuple(settings), volatile)
        for name, body, definer, settings, volatile in rows(
            conn, "functions", schema=schema, seal=SEAL
        )
    }
    triggers = [
        PresentTrigger(*row) for row in rows(conn, "ours", schema=schema, functions=list(functions))
    ]
    indexes = rows(conn, "our_indexes", prefix=names.index_prefix(schema))
    return Present(
        relations,
        {row[0]: row[4] for row in own if row[0] is not None},
        version,
        pipeline,
        {(one.table, one.name): one for one in triggers},
        functions,
        tuple(
            PresentIndex(place, name, kind, table, tuple(zip(oids, quoted, strict=True)))
            for place, name, kind, table, oids, quoted in indexes
        ),
        hidden,
        any(row[6] for row in own),
        {one.oid: one for one in triggers},
    )
