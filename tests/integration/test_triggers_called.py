"""Nothing that our functions call is missing from the list of what their owner must be allowed to.

PostgreSQL asks for EXECUTE on the functions behind operators, casts and the equality of GROUP BY as
well: what is not on the list could be revoked, and changes would be lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from listener.changes import Watch
from listener.config import Notify
from listener.postgres import Connection
from listener.triggers.called import CALLED
from tests.kit.lengths import one_short
from tests.kit.triggers import Bench

_GONE: Final = "other"
_UUID: Final = "00000000-0000-0000-0000-0000000000"
_KINDS: Final = ("smallint", "integer", "bigint", "uuid", "text", "varchar")
_WAYS: Final[tuple[tuple[Notify, str | None, tuple[str, ...] | None, int, bool], ...]] = (
    # notify, the type of the stamp, columns, parts of the key, as a subscription's target
    ("off", "timestamptz", None, 1, False),
    ("doorbell", "timestamp", None, 1, False),
    ("off", "timestamptz", None, 2, False),
    ("doorbell", "timestamptz", ("a",), 1, False),
    ("rows", "timestamp", None, 1, False),
    ("rows", "timestamptz", ("a",), 2, False),
    ("off", None, None, 1, False),
    ("doorbell", None, ("a",), 1, False),
    ("rows", None, None, 1, False),
    ("rows", None, None, 2, False),
    ("rows", None, ("a",), 1, False),
    ("off", None, ("a",), 1, True),
    ("off", "timestamptz", None, 1, True),
    ("off", "timestamptz", ("a",), 1, True),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """One table with its watch."""

    kind: str
    watch: Watch

    def statements(self, key: str = "id") -> Iterator[str]:
        """One row, more rows, keys that stay and move, listed columns and others."""
        table = self.watch.table
        one, two, three, four = (
            f"'{_UUID}{number}'" if self.kind == "uuid" else f"'{number}'"
            for number in (11, 12, 13, 14)
        )
        head = f"INSERT INTO {table} ({key}, ref, a, b) VALUES"
        yield f"{head} ({one}, {one}, 0, 0)"
        yield f"{head} ({two}, {one}, 0, 0), ({three}, {one}, 0, 0)"
        yield f"UPDATE {table} SET a = 1 WHERE {key} = {one}"
        yield f"UPDATE {table} SET b = 1 WHERE {key} = {one}"
        yield f"UPDATE {table} SET a = 2"
        yield f"UPDATE {table} SET b = 2"
        yield f"UPDATE {table} SET {key} = {four} WHERE {key} = {one}"
        yield f"UPDATE {table} SET {key} = ref, a = 5"
        yield f"DELETE FROM {table} WHERE ctid = (SELECT min(ctid) FROM {table})"
        yield f"DELETE FROM {table}"
        yield f"TRUNCATE {table}"


@dataclass(frozen=True, slots=True)
class Hardened:
    """Tables of an owner who may do nothing, and an application that may do everything."""

    bench: Bench
    owner: str
    app: str
    shapes: tuple[Shape, ...]


@pytest.fixture
def tables(bench: Bench) -> Hardened:
    """All shapes of trigger functions, for all types of keys."""
    owner, app = bench.new_role(), bench.new_role()
    shapes: list[Shape] = []
    for kind in _KINDS:
        for notify, stamp, columns, parts, row in _WAYS:
            table = f"t{len(shapes)}"
            more = "" if stamp is None else f", updated_at {stamp}"
            bench.run(
                f"CREATE TABLE {table} (id {kind}, ref {kind}, a integer, b integer{more});"
                f"ALTER TABLE {table} OWNER TO {owner}; GRANT ALL ON {table} TO {app}"
            )
            if row:
                bench.run(
                    "SET allow_system_table_mods = on; INSERT INTO pg_subscription_rel "
                    f"VALUES (0, '{table}'::regclass, 'r', NULL); RESET allow_system_table_mods"
                )
            key = ("id", "ref")[:parts]
            at = None if stamp is None else "updated_at"
            shapes.append(Shape(kind, Watch("public", table, key, at, columns, notify)))
    bench.run(
        f"GRANT CREATE ON DATABASE {bench.name} TO {owner};GRANT CREATE ON SCHEMA public TO {owner}"
    )
    bench.install(*(one.watch for one in shapes), conn=bench.connect(owner))
    assert bench.status() == ()
    return Hardened(bench, owner, app, tuple(shapes))


def revoke_all(tables: Hardened) -> None:
    """What PUBLIC may call of pg_catalog: the application alone may from now on."""
    tables.bench.run(
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog TO {tables.app};"
        "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC"
    )


def grant_what_is_named(tables: Hardened) -> None:
    """As a person would, who does what the status says."""
    for line in tables.bench.status():
        tables.bench.run(re.sub(r"^.*: GRANT", "GRANT", line))
    assert tables.bench.status() == ()


def half_full(tables: Hardened) -> None:
    """Our functions find the queue of notifications half full, and nothing can be told."""
    functions = tables.bench.admin.execute(
        "SELECT pg_get_functiondef(oid) FROM pg_proc "
        "WHERE pronamespace = 'listener'::regnamespace AND prosrc ~ '>= 0.5'"
    ).fetchall()
    assert functions
    for (text,) in functions:
        tables.bench.run(text.replace(">= 0.5", ">= 0.0"))


def key_gone(tables: Hardened) -> None:
    """Our functions fail."""
    for one in tables.shapes:
        tables.bench.run(f"ALTER TABLE {one.watch.table} RENAME id TO {_GONE}")


def shown(tables: Hardened, shape: Shape, writer: Connection, key: str) -> list[object]:
    """What each statement left behind, without what is never twice the same."""
    found: list[object] = []
    for statement in shape.statements(key):
        told = tables.bench.told(statement, writer)
        journal = sorted(
            (one.kind, one.keys, re.sub(r"\(transaction .*", "", one.reason or ""))
            for one in told.journal
        )
        found.append((sorted(told.payloads), journal))
    return found


@pytest.mark.parametrize(
    "state",
    one_short((None, half_full, key_gone), key_gone),
    ids=["usual", "unheard", "failing"],
)
def test_an_owner_who_may_call_what_is_listed_and_nothing_else(
    tables: Hardened, state: Callable[[Hardened], None] | None
) -> None:
    """Everything else is revoked, and each statement leaves behind what it left before."""
    if state is not None:
        state(tables)
    key = _GONE if state is key_gone else "id"
    writer = tables.bench.connect(tables.app)
    usual = [shown(tables, one, writer, key) for one in tables.shapes]
    revoke_all(tables)
    for function in CALLED:
        if tables.bench.value(f"SELECT to_regprocedure('{function}') IS NOT NULL"):
            tables.bench.run(f"GRANT EXECUTE ON FUNCTION {function} TO {tables.owner}")
    writer = tables.bench.connect(tables.app)
    for one, before in zip(tables.shapes, usual, strict=True):
        assert shown(tables, one, writer, key) == before, one
    assert tables.bench.value("SELECT is_called FROM listener.lost") is False, "all was recorded"


def test_what_is_revoked_is_named_and_granted(tables: Hardened) -> None:
    """Of a database where PUBLIC may call nothing: its owner does what the status says."""
    revoke_all(tables)
    grant_what_is_named(tables)
    writer = tables.bench.connect(tables.app)
    for one in tables.shapes:
        tables.bench.told(next(one.statements()), writer)
        told = tables.bench.told(f"DELETE FROM {one.watch.table}", writer)
        assert [row.kind for row in told.journal] == ["keys"], one


_COUNTS: Final = (
    "setval(regclass,bigint)",
    "clock_timestamp()",
    "timezone(text,timestamp with time zone)",
    "to_char(timestamp without time zone,text)",
)


def test_the_last_handler_needs_no_operator(tables: Hardened) -> None:
    """Where neither a key nor the wish to compare can be recorded: no operator and no cast is in
    the way of the sequence that the audit looks at."""
    revoke_all(tables)
    for function in _COUNTS:
        tables.bench.run(f"GRANT EXECUTE ON FUNCTION {function} TO {tables.owner}")
    writer = tables.bench.connect(tables.app)
    for one in tables.shapes:
        table = one.watch.table
        for statement in (next(one.statements()), f"DELETE FROM {table}", f"TRUNCATE {table}"):
            before = tables.bench.value("SELECT last_value FROM listener.lost")
            tables.bench.run(statement, writer)
            after = tables.bench.value("SELECT last_value FROM listener.lost")
            assert after > before, (one, statement)
