"""The schema of listener: version, tables, rights, and the way up from a former version."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from listener.postgres import Connection
from listener.sql import files
from listener.triggers.catalog import TriggerError, rows
from listener.triggers.finder import NOT_OURS
from listener.triggers.present import Present
from listener.triggers.steps import Step, text

SCHEMA_VERSION: Final = 2
_TABLES: Final = {
    "meta": "singleton boolean, schema_version integer, nonce uuid, "
    "pruned_below timestamp with time zone, pipeline text, line uuid, renewals bigint, file oid",
    "journal": "id bigint, updated_at timestamp with time zone, watch text, kind text, keys text, "
    "reason text",
    "parked": "document text, id text, reason text, first_at timestamp with time zone, "
    "last_at timestamp with time zone, count bigint",
}
_META_1: Final = (
    "singleton boolean, schema_version integer, nonce uuid, pruned_below timestamp with time zone"
)
_META_2: Final = f"{_META_1}, pipeline text"
"""Of earlier builds of version 2, which counted no renewals."""
_NAMED: Final = 5
"""How many things a message names."""
_JOURNAL_INDEX: Final = "journal_updated_at_id"
LOST: Final = "lost"
_COUNTED: Final = ("Sp", "bigint 1 9223372036854775807")
"""What holds any moment, and is there after a crash."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Which pipeline the schema is for. `take_over`: also where it belongs to another one."""

    pipeline: str
    take_over: bool = False


@dataclass(frozen=True, slots=True)
class OtherPipeline:
    """The schema belongs to another pipeline: what is wrong, and what mends it."""

    what: str
    mend: str


def other_pipeline(conn: Connection, schema: str, pipeline: str) -> OtherPipeline | None:
    """Which other pipeline the schema belongs to. None: no other one, or that cannot be read; the
    look at the schema itself says why. Raises psycopg.Error."""
    statement = sql.SQL(files.load("triggers/version")).format(schema=sql.Identifier(schema))
    with (
        contextlib.suppress(
            psycopg.errors.InvalidSchemaName,
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.InsufficientPrivilege,
        ),
        conn.transaction(),
    ):
        found = conn.execute(statement).fetchone()
        return _other(found[1] if found else None, schema, pipeline)
    return None


def refuse_other_pipeline(conn: Connection, schema: str, pipeline: str) -> None:
    """Raises TriggerError where the schema belongs to another pipeline; psycopg.Error."""
    other = other_pipeline(conn, schema, pipeline)
    if other is not None:
        raise TriggerError(f"{other.what}: {other.mend}")


def _other(owner: str | None, schema: str, pipeline: str) -> OtherPipeline | None:
    if owner in (None, pipeline):
        return None
    return OtherPipeline(
        f"the schema {schema} of this database belongs to the pipeline {owner}, and this one is "
        f"called {pipeline}",
        "name a schema for this pipeline alone (postgres.schema). If it had the name "
        f"{owner} before, stop its daemon, then `listener triggers install --take-over`",
    )


def own_schema(
    conn: Connection, present: Present, schema: str, role: str | None, claim: Claim | None
) -> Iterator[Step]:
    """What is to be done on the schema. Raises TriggerError where it is not this pipeline's.

    `claim` None: it may be any pipeline's.
    """
    own = sql.Identifier(schema)
    statements: list[str] = []
    reasons: list[str] = []
    relations = present.relations or {}
    _refuse_foreign(conn, present, schema)
    if claim is not None and not claim.take_over:
        other = _other(present.pipeline, schema, claim.pipeline)
        if other is not None:
            raise TriggerError(f"{other.what}: {other.mend}")
    if present.relations is None:
        statements.append(text("CREATE SCHEMA {}", own))
        reasons.append(f"there is no schema {schema}")
    yield from _migrations(own, present, schema)
    lacks = _lacking(present)
    journal_index = _JOURNAL_INDEX in lacks and "journal" in relations
    if tables := [one for one in lacks if one != _JOURNAL_INDEX or not journal_index]:
        statements.extend(_tables(own, lacks, relations))
        if present.relations is not None:
            reasons.append(f"the schema {schema} lacks {', '.join(tables)}")
    if relations.get(LOST, _COUNTED) != _COUNTED:
        statements.extend(_counted(own, relations[LOST]))
        reasons.append(f"{schema}.{LOST} is not as this version made it ({relations[LOST][1]})")
    if role is not None and not _allowed(conn, schema, role):
        statements.extend(_grants(own, sql.Identifier(role)))
        reasons.append(f"role {role} lacks privileges in the schema {schema}")
    if claim is not None and present.pipeline != claim.pipeline:
        unless = "" if claim.take_over else " WHERE pipeline IS NULL"
        statements.append(
            text("UPDATE {}.meta SET pipeline = {}", own, sql.Literal(claim.pipeline)) + unless
        )
        if present.relations is not None:
            former = f"belongs to {present.pipeline}" if present.pipeline else "names no pipeline"
            reasons.append(f"the schema {schema} {former}")
    if statements:
        yield Step(f"our own schema, {schema}", tuple(statements), tuple(reasons))
    if journal_index:
        yield _index(schema, present.oids["journal"])


def refuse_name(schema: str) -> Iterator[str]:
    """What is wrong with the name of the schema: whatever it holds, it is not listener's."""
    if schema in ("public", *NOT_OURS) or schema.startswith("pg_"):
        yield f"postgres.schema: {schema} is not a schema for listener alone: name another one"


def made(present: Present) -> dict[str, int]:
    """The tables and the sequence that listener made, and not another program under the same names:
    name -> OID. A table still has most of its columns, whatever was altered on it; the sequence,
    which looks like any other, is beside something else of listener's.
    """
    relations = present.relations or {}
    found = {
        name: present.oids[name]
        for name, columns in (_TABLES | {"meta": _META_1}).items()
        if relations.get(name, ("",))[0].startswith("r") and _mostly(columns, relations[name][1])
    }
    if relations.get(LOST, ("",))[0].startswith("S") and (found or present.functions):
        found[LOST] = present.oids[LOST]
    return found


def _mostly(columns: str, found: str) -> bool:
    want = columns.split(", ")
    return len({*want} & {*found.split(", ")}) * 2 > len(want)


def refuse_strangers(conn: Connection, present: Present, schema: str) -> None:
    """Raises TriggerError where anything in the schema is not listener's, or another program's view
    or key is made of listener's tables; psycopg.Error."""
    ours = made(present)
    found = rows(
        conn,
        "strangers",
        schema=schema,
        relations=list(ours.values()),
        functions=list(present.functions),
    )
    inside = [what for what, is_inside in found if is_inside]
    outside = [what for what, is_inside in found if not is_inside]
    if inside and not ours and not present.functions:
        raise TriggerError(
            f"the schema {schema} holds {_some(inside)} and is not listener's: name another one "
            "(postgres.schema)"
        )
    problems = []
    if inside:
        problems.append(
            f"the schema {schema} holds what is not listener's: {_some(inside)}: move that to "
            "another schema (ALTER … SET SCHEMA) or drop it, then try again"
        )
    if outside:
        problems.append(
            f"made of listener's tables in the schema {schema}: {_some(outside)}: drop that, then "
            "try again"
        )
    if problems:
        raise TriggerError(*problems)


def _some(what: Sequence[str]) -> str:
    more = len(what) - _NAMED
    return ", ".join(what[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _refuse_foreign(conn: Connection, present: Present, schema: str) -> None:
    """Raises TriggerError where the schema cannot be brought to its wanted state."""
    relations = present.relations or {}
    if present.relations is not None and "meta" not in made(present):
        refuse_strangers(conn, present, schema)
        if relations:
            raise TriggerError(
                f"the schema {schema} has lost its table meta: `listener triggers remove`, then "
                "install"
            )
    if present.version not in (None, 1, SCHEMA_VERSION):
        raise TriggerError(
            f"the schema {schema} is of version {present.version}, this program's is "
            f"{SCHEMA_VERSION}: use the listener of that version, or `listener triggers remove` "
            "and install"
        )
    _refuse_kinds(conn, schema)
    for name, columns in _TABLES.items():
        fitting = [("rp", columns)]
        if name == "meta":
            fitting.append(("rp", _META_2))
            if present.version == 1:
                fitting.append(("rp", _META_1))
        if name in relations and relations[name] not in fitting:
            raise TriggerError(
                f"{schema}.{name} is not as this version made it ({relations[name][1]}): "
                "`listener triggers remove`, then install"
            )


def _refuse_kinds(conn: Connection, schema: str) -> None:
    """Raises TriggerError where a view, say, stands in the place of a table of ours."""
    problems = [
        f"{schema}.{name} is {kind}, and listener's is {ours}: drop it or give it another name, "
        "then `listener triggers install`"
        for name, kind, ours in rows(conn, "own_kinds", schema=schema)
    ]
    if problems:
        raise TriggerError(*problems)


def _allowed(conn: Connection, schema: str, role: str) -> bool:
    found = rows(conn, "role", schema=schema, role=role)
    if not found:
        create = text("CREATE ROLE {} LOGIN", sql.Identifier(role))
        raise TriggerError(f"there is no role {role}: {create}")
    return bool(found[0][0])


def _index(schema: str, oid: int) -> Step:
    """The index for the polls of a journal that lost its own, which is the primary key."""
    unfinished = text("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", *_names(schema, _JOURNAL_INDEX))
    own, name = _names(schema, _JOURNAL_INDEX)
    create = text("CREATE INDEX CONCURRENTLY {} ON {}.journal (updated_at, id)", name, own)
    return Step(
        f"index of {schema}.journal, without blocking writers (not in a transaction)",
        (unfinished, create),
        (f"the schema {schema} lacks {_JOURNAL_INDEX}",),
        transaction=False,
        tables=((oid, text("{}.{}", *_names(schema, "journal"))),),
    )


def _names(*names: str) -> tuple[sql.Identifier, ...]:
    return tuple(sql.Identifier(name) for name in names)


def _migrations(own: sql.Identifier, present: Present, schema: str) -> Iterator[Step]:
    """What brings the tables of a former release to this one's."""
    if present.version == 1:
        reason = f"the schema {schema} is of version 1, this program's is {SCHEMA_VERSION}"
        yield _migrated(own, present, schema, "from_1", reason)
    relations = present.relations or {}
    if relations.get("meta", ("", ""))[1] in (_META_1, _META_2):
        reason = f"{schema}.meta counts no renewals"
        yield _migrated(own, present, schema, "counted", reason)


def _migrated(own: sql.Identifier, present: Present, schema: str, name: str, why: str) -> Step:
    """The script of this name. It is a step of its own: that from version 1 locks the table which
    every writer writes into. It alters only what is there: what is lacking is made anew by the next
    step."""
    lines = files.load(f"schema/{name}").splitlines()
    template = "\n".join(line for line in lines if not line.startswith("--"))
    statements = [
        text(one.strip().replace("{schema}", "{0}"), own)
        for one in template.split(";\n")
        if one.strip(" \n;") and ("journal" in present.oids or ".journal" not in one)
    ]
    return Step(
        f"our own schema, {schema}",
        tuple(statements),
        (why,),
        tables=tuple(
            (present.oids[name], text("{}", sql.Identifier(schema, name)))
            for name in ("journal", "meta")
            if name in present.oids and f".{name}" in template
        ),
    )


def _lacking(present: Present) -> list[str]:
    relations = present.relations or {}
    lacks = [name for name in (*_TABLES, _JOURNAL_INDEX, LOST) if name not in relations]
    return lacks if lacks or present.version is not None else ["a row of meta"]


def _tables(
    own: sql.Identifier, lacks: Sequence[str], relations: Mapping[str, object]
) -> Iterator[str]:
    template = sql.SQL(files.load("schema/tables"))
    parts = template.format(schema=own, version=sql.Literal(SCHEMA_VERSION)).as_string(None)
    yield parts.rstrip().removesuffix(";")
    if not relations:
        return
    if "journal" in lacks:
        yield pruned(own)


def _counted(own: sql.Identifier, found: tuple[str, str]) -> Iterator[str]:
    """The sequence as it was made. What it held is no loss: that it was altered asks to compare."""
    if found[0] == "Su":
        yield text("ALTER SEQUENCE {}.lost SET LOGGED", own)
    yield text(
        "ALTER SEQUENCE {}.lost AS bigint MINVALUE 1 MAXVALUE 9223372036854775807 START 1 RESTART",
        own,
    )


def pruned(own: sql.Identifier) -> str:
    """The statement after which a watermark of before must compare everything."""
    return text("UPDATE {}.meta SET pruned_below = pg_catalog.clock_timestamp()", own)


def _grants(own: sql.Identifier, role: sql.Identifier) -> Iterator[str]:
    yield text("GRANT USAGE ON SCHEMA {} TO {}", own, role)
    yield text("GRANT SELECT, UPDATE ON {}.meta TO {}", own, role)
    yield text("GRANT SELECT ON SEQUENCE {}.lost TO {}", own, role)
    yield text("GRANT SELECT, INSERT, DELETE ON {}.journal TO {}", own, role)
    yield text("GRANT SELECT, INSERT, UPDATE, DELETE ON {}.parked TO {}", own, role)
