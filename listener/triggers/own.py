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
from listener.triggers.present import Present
from listener.triggers.steps import Step, text
from listener.triggers.strangers import LOST, META_1, TABLES, made, refuse_strangers

SCHEMA_VERSION: Final = 2
_META_2: Final = f"{META_1}, pipeline text"
"""Of earlier builds of version 2, which counted no renewals."""
_JOURNAL_INDEX: Final = "journal_updated_at_id"
_COUNTED: Final = ("Sp", "bigint 1 9223372036854775807")
"""The sequence LOST as it must be: logged, so that it outlasts a crash, and wide enough for a
moment in microseconds."""


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
    for name, columns in TABLES.items():
        fitting = [("rp", columns)]
        if name == "meta":
            fitting.append(("rp", _META_2))
            if present.version == 1:
                fitting.append(("rp", META_1))
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
    if relations.get("meta", ("", ""))[1] in (META_1, _META_2):
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
    lacks = [name for name in (*TABLES, _JOURNAL_INDEX, LOST) if name not in relations]
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
