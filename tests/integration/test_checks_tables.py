"""A stamp column that is not there yet: what `check` says, and what the application meets."""

from __future__ import annotations

import psycopg
import pytest

from listener.changes import Watch
from listener.checks import check_tables
from listener.postgres import Connection
from tests.kit.triggers import SCHEMA, Bench

STAMPED = Watch("public", "t", ("id",), "updated_at")
TABLES = """
CREATE TABLE t (id integer PRIMARY KEY, n integer);
CREATE TABLE archive (id integer, n integer);
INSERT INTO t VALUES (1, 1), (2, 2);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO archive SELECT OLD.*; RETURN OLD; END $$;
CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep();
CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER other BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION other();
CREATE FUNCTION "all"() RETURNS SETOF t LANGUAGE sql AS 'SELECT id, n FROM t';
CREATE FUNCTION pairs() RETURNS t[] LANGUAGE sql AS 'SELECT ARRAY[ROW(1, 2)::t]';
"""


def test_a_column_that_will_be_added_is_named(bench: Bench) -> None:
    """With functions of triggers that say OLD.*, until it is there."""
    bench.run(TABLES)
    [found] = check_tables(bench.admin, [STAMPED, STAMPED], SCHEMA, bench.config)
    assert found.severity == "warning"
    assert found.what.startswith("the column updated_at will be added to public.t: statements")
    returns = "which returns rows of it"
    assert (
        f'first of all the function "all"(), {returns}, the function keep() of the trigger keep, '
        f"the function pairs(), {returns};"
    ) in found.mend
    assert "other()" not in found.mend
    add = 'ALTER TABLE "public"."t" ADD COLUMN "updated_at" timestamptz DEFAULT now();'
    assert add in found.mend
    plain = Watch("public", "t", ("id",))
    assert check_tables(bench.admin, [plain], SCHEMA, bench.config) == []
    missing = Watch("public", "u", ("id",), "updated_at")
    assert check_tables(bench.admin, [missing], SCHEMA, bench.config) == []
    bench.run(
        "CREATE TABLE r (id integer) PARTITION BY LIST (id);"
        "CREATE TABLE u PARTITION OF r FOR VALUES IN (1)"
    )
    assert check_tables(bench.admin, [missing], SCHEMA, bench.config) == [], "it is refused"
    bench.run(add)
    assert check_tables(bench.admin, [STAMPED], SCHEMA, bench.config) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t WHERE id = (SELECT min(id) FROM t)",
        "INSERT INTO archive SELECT * FROM t",
        "SELECT * FROM t UNION SELECT * FROM archive",
        "EXECUTE u",
        "COPY t FROM STDIN",
        'SELECT "all"()',
        "SELECT pairs()",
        "SELECT t = ROW(1, 1) FROM t",
    ],
)
def test_statements_that_count_on_the_columns(bench: Bench, statement: str) -> None:
    """They fail where the column is new: the page says so. With the journal they do not."""
    bench.run(TABLES)
    app = bench.connect()
    app.execute("PREPARE u AS UPDATE t SET n = n RETURNING *; EXECUTE u")
    row = 5

    def work(app: Connection) -> None:
        nonlocal row
        if not statement.startswith("COPY"):
            bench.run(statement, app)
            return
        row += 1
        with app.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            copy.write(f"{row}\t5\n")

    bench.install(Watch("public", "t", ("id",)))
    work(app)
    bench.install(STAMPED)
    # a function keeps what OLD.* was for as long as its session lasts; `u` is of the former one
    later = app if statement == "EXECUTE u" else bench.connect()
    with pytest.raises(psycopg.errors.Error):
        work(later)
