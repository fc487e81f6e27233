"""What PostgreSQL makes of keys, by our triggers and by json_build_array, is what we read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from psycopg.types.json import Json

from listener.changes import Change, Key, KeyType, Watch, canonical_key, document_id, key_of_id
from tests.fuzz.kit import fuzz
from tests.fuzz.shapes import KEY_TEXT, key_parts
from tests.kit.triggers import Bench

TYPES: tuple[KeyType, ...] = ("bigint", "text", "uuid")


@pytest.fixture
def keyed(bench: Bench) -> Bench:
    """A table whose key has a number, a text and a uuid."""
    bench.run("CREATE TABLE t (a bigint, b text, c uuid, PRIMARY KEY (a, b, c))")
    bench.install(Watch("public", "t", ("a", "b", "c")))
    return bench


def check(bench: Bench, rows: set[Key], statement: Callable[[], object]) -> None:
    """All of these keys are in the journal, and in payloads but for those that do not fit."""
    told = bench.told(statement)
    assert told.journaled() == rows
    sent: set[Key] = set()
    swept = False
    for one in told.changes:
        assert isinstance(one, Change)
        swept = swept or one.kind == "sweep"
        sent.update(canonical_key(key, TYPES) for key in one.keys)
    assert sent <= rows
    assert swept or sent == rows


@fuzz(
    st.lists(
        st.tuples(key_parts("bigint"), KEY_TEXT, key_parts("uuid")),
        min_size=1,
        max_size=30,
        unique=True,
    ),
    share=0.1,
)
def test_keys_by_the_triggers(keyed: Bench, keys: list[Key]) -> None:
    """Rows that come and go: the payloads have their keys, and their ids are ours."""
    rows = set(keys)
    keyed.told("DELETE FROM t")  # what an example left that failed
    insert = (
        "INSERT INTO t SELECT (k ->> 0)::bigint, k ->> 1, (k ->> 2)::uuid "
        "FROM json_array_elements(%s) AS k"
    )
    check(keyed, rows, lambda: keyed.admin.execute(insert, [Json(keys)]))
    found = keyed.admin.execute("SELECT json_build_array(a, b, c)::text FROM t").fetchall()
    assert {key_of_id(row[0], TYPES) for row in found} == rows
    assert {row[0] for row in found} == {document_id(key, TYPES) for key in keys}
    check(keyed, rows, lambda: keyed.admin.execute("DELETE FROM t"))
