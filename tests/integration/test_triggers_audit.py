"""The fingerprint: what was altered, and what was altered back between two looks."""

from __future__ import annotations

import pytest

from listener.changes import Watch
from listener.state.identity import trigger_hash, triggers_altered
from tests.kit.triggers import Bench

SWAPPED = (
    "ALTER TABLE film RENAME TO kept; CREATE TABLE film (LIKE kept); DROP TABLE film;"
    "ALTER TABLE kept RENAME TO film",
    "ALTER TABLE part1 RENAME TO kept; ALTER TABLE kept RENAME TO part1",
    "CREATE SCHEMA apart; ALTER TABLE film SET SCHEMA apart; CREATE TABLE film (LIKE apart.film);"
    "DROP TABLE film; ALTER TABLE apart.film SET SCHEMA public",
    "ALTER SCHEMA public RENAME TO kept; CREATE SCHEMA public; DROP SCHEMA public;"
    "ALTER SCHEMA kept RENAME TO public",
    "ALTER TABLE child NO INHERIT parent; ALTER TABLE child INHERIT parent",
    "ALTER TABLE parts DETACH PARTITION parts1;"
    "ALTER TABLE parts ATTACH PARTITION parts1 FOR VALUES FROM (0) TO (10)",
)
"""Another table bore the name for a while, or the table had not all of its parts."""


@pytest.fixture
def audited(bench: Bench) -> Bench:
    """A stamped table and a partitioned one in the journal."""
    bench.run(
        "CREATE TABLE film (id integer PRIMARY KEY, title text, updated_at timestamptz);"
        "CREATE TABLE part (id integer) PARTITION BY RANGE (id);"
        "CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10)"
    )
    bench.install(
        Watch("public", "film", ("id",), "updated_at"),
        Watch("public", "part", ("id",)),
    )
    return bench


def trigger_of(bench: Bench, table: str, event: str) -> str:
    """Name of one of our triggers; functions are called alike."""
    name = bench.value(
        f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass "
        f"AND tgname LIKE '%{event}'"
    )
    assert isinstance(name, str)
    return name


def test_ordinary_life_changes_nothing(audited: Bench) -> None:
    """Rows, statistics, vacuum, other indexes, grants on the table."""
    before = audited.fingerprint()
    assert len([key for key in before if key.startswith("trigger")]) == 13
    audited.run("INSERT INTO film VALUES (1); INSERT INTO part VALUES (1); DELETE FROM film")
    for statement in (
        "VACUUM FULL film",
        "ANALYZE film",
        "TRUNCATE part",
        "CREATE INDEX ON film (title); CREATE TABLE other (id integer)",
        "GRANT SELECT ON film TO PUBLIC; COMMENT ON TABLE film IS 'films'",
        "UPDATE listener.meta SET nonce = gen_random_uuid(); DELETE FROM listener.journal",
        "VACUUM listener.journal",
        "ANALYZE listener.journal",
        "VACUUM listener.meta",
        "ALTER TABLE film ADD CHECK (id > 0); CREATE TABLE child (film integer REFERENCES film)",
        "VACUUM FREEZE film",
        "VACUUM FREEZE pg_type",
        "VACUUM FREEZE pg_inherits",
        "VACUUM FREEZE pg_namespace",
        "VACUUM FULL pg_type",
        "VACUUM FULL pg_inherits",
        "VACUUM FULL pg_attribute",
        "VACUUM FULL pg_partitioned_table",
        "VACUUM FULL pg_sequence",
        "CLUSTER film USING film_pkey",
        "REINDEX TABLE film",
        "ALTER TABLE film SET (fillfactor = 70)",
        "COMMENT ON SCHEMA public IS 'ours'; COMMENT ON COLUMN film.title IS 'its name'",
        "CREATE VIEW films AS SELECT * FROM film; CREATE TYPE kind AS (film film)",
        "CREATE STATISTICS both_of_them ON id, title FROM film; ANALYZE",
    ):
        audited.run(statement)
        assert audited.fingerprint() == before, statement


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE film DISABLE TRIGGER {film}; ALTER TABLE film ENABLE ALWAYS TRIGGER {film}",
        "ALTER TABLE part1 DISABLE TRIGGER {part}; ALTER TABLE part1 ENABLE ALWAYS TRIGGER {part}",
        "ALTER TABLE film DISABLE TRIGGER {stamp}; ALTER TABLE film ENABLE ALWAYS TRIGGER {stamp}",
        "ALTER FUNCTION listener.{film}() STABLE; ALTER FUNCTION listener.{film}() VOLATILE",
        "ALTER TRIGGER {film} ON film RENAME TO x; ALTER TRIGGER x ON film RENAME TO {film}",
        "ALTER TABLE film ALTER title TYPE text USING upper(title)",
        "ALTER TABLE film ADD COLUMN more text DEFAULT 'x'",
        "ALTER TABLE film DROP COLUMN title",
        "ALTER TABLE film ADD note text DEFAULT 'x'; ALTER TABLE film DROP note",
        "ALTER TABLE part ADD note text; UPDATE part SET note = 'x'; ALTER TABLE part DROP note",
        "ALTER TABLE child ADD note text DEFAULT 'x'; ALTER TABLE child DROP note",
        "ALTER TABLE film RENAME id TO x; ALTER TABLE film RENAME x TO id",
        "ALTER TABLE film RENAME updated_at TO x; ALTER TABLE film RENAME x TO updated_at",
        "ALTER TABLE film ALTER id TYPE bigint; ALTER TABLE film ALTER id TYPE integer",
        "ALTER TABLE listener.journal RENAME id TO x; ALTER TABLE listener.journal RENAME x TO id",
        "ALTER TABLE listener.journal RENAME keys TO x;"
        "ALTER TABLE listener.journal RENAME x TO keys",
        "ALTER TABLE listener.journal ADD CONSTRAINT never CHECK (false) NOT VALID;"
        "ALTER TABLE listener.journal DROP CONSTRAINT never",
        "REVOKE ALL ON listener.journal FROM postgres; GRANT ALL ON listener.journal TO postgres",
        "REVOKE USAGE ON SCHEMA listener FROM postgres; GRANT USAGE ON SCHEMA listener TO postgres",
        "ALTER FUNCTION listener.{film}() OWNER TO pg_monitor;"
        "ALTER FUNCTION listener.{film}() OWNER TO postgres",
        "TRUNCATE listener.journal",
        "ALTER SEQUENCE listener.lost AS smallint; ALTER SEQUENCE listener.lost AS bigint",
        "ALTER SEQUENCE listener.lost MAXVALUE 9; ALTER SEQUENCE listener.lost NO MAXVALUE",
        "ALTER SEQUENCE listener.lost RESTART",
        "ALTER SEQUENCE listener.lost CYCLE",
        "ALTER SEQUENCE listener.lost OWNED BY listener.journal.id",
        "REVOKE ALL ON listener.lost FROM postgres; GRANT ALL ON listener.lost TO postgres",
        "ALTER SEQUENCE listener.lost RENAME TO x; ALTER SEQUENCE listener.x RENAME TO lost",
        "CREATE TABLE extra () INHERITS (film); DROP TABLE extra",
        "CREATE TABLE extra () INHERITS (film); ALTER TABLE extra NO INHERIT film",
        "CREATE TABLE extra PARTITION OF part DEFAULT; DROP TABLE extra",
        "CREATE TABLE extra PARTITION OF part DEFAULT; ALTER TABLE part DETACH PARTITION extra",
        "CREATE TABLE extra () INHERITS (child); DROP TABLE extra",
        *SWAPPED,
    ],
)
def test_altered_and_altered_back(audited: Bench, change: str) -> None:
    """The status is as before; only row versions tell that a change may have been missed."""
    if "child" in change or "parts" in change:
        audited.run(
            "CREATE TABLE parent (id integer); CREATE TABLE child () INHERITS (parent);"
            "CREATE TABLE parts (id integer) PARTITION BY RANGE (id);"
            "CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (10)"
        )
        parents = (Watch("public", "parent", ("id",)), Watch("public", "parts", ("id",)))
        audited.install(*audited.watches, *parents)
    before = audited.fingerprint()
    names = {
        "film": trigger_of(audited, "film", "delete"),
        "part": trigger_of(audited, "part1", "insert"),
        "stamp": audited.value(
            "SELECT quote_ident(tgname) FROM pg_trigger WHERE tgname LIKE '~listener%'"
        ),
    }
    for statement in change.format(**names).split(";"):
        audited.run(statement)
    assert audited.status() == ()
    assert audited.fingerprint() != before


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ("DROP TABLE film", "there is no such table"),
        (
            "CREATE TABLE new (LIKE film INCLUDING ALL); DROP TABLE film;"
            "ALTER TABLE new RENAME TO film",
            "is missing",
        ),
        ("ALTER TABLE film SET UNLOGGED", "is unlogged"),
        ("ALTER TABLE listener.journal SET UNLOGGED", "is not as this version made it"),
        ("ALTER TABLE film RENAME TO movie", "there is no such table"),
        ("ALTER TABLE film RENAME updated_at TO changed", "has no column updated_at"),
        ("CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20)", "part2: trigger"),
        ("ALTER TABLE part DETACH PARTITION part1", "part1: trigger"),
        (
            "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            'CREATE TRIGGER "~z" BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION mine()',
            "fires after our stamp",
        ),
        ("DROP TABLE listener.journal", "lacks journal"),
        ("DROP SCHEMA listener CASCADE", "there is no schema listener"),
    ],
)
def test_what_status_and_fingerprint_both_see(audited: Bench, change: str, sign: str) -> None:
    """Tables, parts and our own schema."""
    before = audited.fingerprint()
    audited.run(change)
    assert any(sign in line for line in audited.status()), audited.status()
    assert audited.fingerprint() != before


def test_analyze_forgets_a_child_and_alters_nothing(audited: Bench) -> None:
    """The sign of a child that came and went is gone with it; the next child leaves it again."""
    child = "CREATE TABLE extra () INHERITS (film); DROP TABLE extra"
    never = trigger_hash(audited.fingerprint())
    audited.run(child)
    gone = trigger_hash(audited.fingerprint())
    assert triggers_altered(never, gone)
    audited.run("ANALYZE film")
    forgotten = trigger_hash(audited.fingerprint())
    assert forgotten == never
    assert not triggers_altered(gone, forgotten)
    audited.run(child)
    assert triggers_altered(forgotten, trigger_hash(audited.fingerprint()))


@pytest.mark.parametrize(
    "change", ["AS smallint", "MAXVALUE 1000", "MINVALUE -9 RESTART -9", "SET UNLOGGED"]
)
def test_what_counts_lost_changes_cannot_hold_them(audited: Bench, change: str) -> None:
    """The moment of a change that the journal could not take is too large for it, or is gone after
    a crash: told, and mended by the next install."""
    if change == "SET UNLOGGED" and audited.version < 15:
        pytest.skip("this PostgreSQL has no unlogged sequences")
    before = audited.fingerprint()
    audited.run(f"ALTER SEQUENCE listener.lost {change}")
    [told] = audited.status()
    assert "listener.lost is not as this version made it" in told
    assert audited.fingerprint() != before
    audited.install()
    assert audited.status() == ()
    before = audited.fingerprint()
    holder = audited.connect()
    holder.execute("BEGIN; LOCK listener.journal")
    writer = audited.connect(options="-c lock_timeout=50ms")
    writer.execute("INSERT INTO part VALUES (2)")
    holder.execute("ROLLBACK")
    seen = audited.fingerprint()
    assert {name for name in seen if seen[name] != before[name]} == {
        "changes that were not recorded"
    }


def test_a_dropped_partition(audited: Bench) -> None:
    """Its rows are gone without a trigger; nothing is missing, but the fingerprint differs."""
    before = audited.fingerprint()
    audited.run("DROP TABLE part1")
    assert audited.status() == ()
    assert audited.fingerprint() != before


def test_another_primary_key(audited: Bench) -> None:
    """Which rows are the same one in a comparison depends on it: the functions are made anew."""
    before = audited.fingerprint()
    audited.run("ALTER TABLE film DROP CONSTRAINT film_pkey, ADD PRIMARY KEY (title)")
    assert any("is not as this version makes it" in line for line in audited.status())
    assert audited.fingerprint() != before
