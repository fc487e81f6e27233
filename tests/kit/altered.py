"""Databases altered under the daemon: what is done to them, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playground.daemon import PROJECT
from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import OWNER, Scene, Template, create_template, open_scene

_STALL = PROJECT / "tests" / "schemas" / "stall"


@dataclass(frozen=True, slots=True)
class Case:
    """SQL of the owner: `alter` is done under the daemon, and `mend` makes it fit again; `held`:
    the daemon says that it does not fit."""

    alter: str
    mend: str = ""
    held: bool = True


_BIG = "3000000000"
_STAMP = "DROP TRIGGER {0} ON stall.item"

CASES = {
    "key to bigint": Case(
        "ALTER TABLE stall.item ALTER id TYPE bigint;"
        f"INSERT INTO stall.item (id, name) VALUES ({_BIG}, 'big');"
    ),
    "mapped key to bigint": Case(
        "ALTER TABLE stall.tag ALTER id TYPE bigint;"
        f"INSERT INTO stall.tag VALUES ({_BIG}, 1, 'big')"
    ),
    "mapped document key to bigint": Case(
        "ALTER TABLE stall.item ALTER id TYPE bigint;"
        "ALTER TABLE stall.tag ALTER item_id TYPE bigint;"
        f"INSERT INTO stall.item (id, name) VALUES ({_BIG}, 'big');"
        f"INSERT INTO stall.tag VALUES (1000, {_BIG}, 'of the big one')"
    ),
    "mapped to ids beyond": Case(
        "ALTER TABLE stall.tag ALTER item_id TYPE bigint;"
        f"INSERT INTO stall.tag VALUES (1000, {_BIG}, 'of none')"
    ),
    "key to text": Case(
        "ALTER TABLE stall.item ALTER id TYPE text;"
        "INSERT INTO stall.item (id, name) VALUES ('a word', 'x'), ('', 'y'), (E'a\\nb', 'z');"
        "DELETE FROM stall.item WHERE id = ''"
    ),
    "key to numeric": Case(
        "ALTER TABLE stall.item ALTER id TYPE numeric;"
        "INSERT INTO stall.item (id, name) VALUES ('NaN', 'x'), (1.5, 'y')",
        "DELETE FROM stall.item WHERE id IN ('NaN', 1.5);"
        "ALTER TABLE stall.item ALTER id TYPE integer",
    ),
    "key to uuid": Case(
        "ALTER TABLE stall.item ALTER id TYPE uuid USING md5(id::text)::uuid;"
        "INSERT INTO stall.item (id, name) VALUES (gen_random_uuid(), 'x')",
    ),
    "key to an array": Case(
        "ALTER TABLE stall.item ALTER id TYPE integer[] USING ARRAY[id];"
        "INSERT INTO stall.item (id, name) VALUES ('{7,8}', 'x')",
        "DELETE FROM stall.item WHERE id = '{7,8}';"
        "ALTER TABLE stall.item ALTER id TYPE integer USING id[1]",
    ),
    "key to an enum": Case(
        "CREATE TYPE stall.word AS ENUM ('one', 'two');"
        "DELETE FROM stall.item WHERE id > 2;"
        "ALTER TABLE stall.item ALTER id TYPE stall.word USING "
        "CASE id WHEN 1 THEN 'one' ELSE 'two' END::stall.word;"
        "UPDATE stall.item SET name = 'enumerated'",
        "ALTER TABLE stall.item ALTER id TYPE integer USING CASE id WHEN 'one' THEN 1 ELSE 2 END",
    ),
    "key renamed and another in its place": Case(
        "ALTER TABLE stall.item RENAME id TO former; ALTER TABLE stall.item ADD id bigint;"
        f"UPDATE stall.item SET id = former + {_BIG} WHERE former % 2 = 0",
    ),
    "columns swapped": Case(
        "ALTER TABLE stall.line RENAME bill TO other; ALTER TABLE stall.line RENAME line TO bill;"
        "ALTER TABLE stall.line RENAME other TO line;"
        "INSERT INTO stall.line (line, bill, text) VALUES (70000, 1, 'swapped')",
    ),
    "composite key to text": Case(
        "ALTER TABLE stall.line ALTER line TYPE text;"
        "INSERT INTO stall.line VALUES (1, 'a word', 'x')",
    ),
    "no key any more": Case(
        "ALTER TABLE stall.item DROP CONSTRAINT item_pkey;"
        "ALTER TABLE stall.item ALTER id DROP NOT NULL;"
        "INSERT INTO stall.item (id, name) VALUES (NULL, 'x'), (NULL, 'y'), (61, 'new');"
        "UPDATE stall.item SET id = NULL WHERE id = 2",
    ),
    "stamps beyond": Case(
        "ALTER TABLE stall.item DISABLE TRIGGER USER;"
        "UPDATE stall.item SET name = 'for ever', updated_at = 'infinity' WHERE id = 1;"
        "UPDATE stall.item SET name = 'never', updated_at = '-infinity' WHERE id = 2;"
        "UPDATE stall.item SET name = 'old', updated_at = '4000-01-01 BC' WHERE id = 3;"
        "UPDATE stall.item SET name = 'late', updated_at = '294276-12-31' WHERE id = 4",
    ),
    "stamps without a zone": Case(
        "DO $$ DECLARE t name; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = "
        "'stall.item'::regclass AND NOT tgisinternal LOOP "
        "EXECUTE format('DROP TRIGGER %I ON stall.item', t); END LOOP; END $$;"
        "ALTER TABLE stall.item ALTER updated_at TYPE timestamp;"
        "UPDATE stall.item SET name = 'no zone' WHERE id = 1",
    ),
    "stamps of another kind": Case(
        "DO $$ DECLARE t name; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = "
        "'stall.item'::regclass AND NOT tgisinternal LOOP "
        "EXECUTE format('DROP TRIGGER %I ON stall.item', t); END LOOP; END $$;"
        "ALTER TABLE stall.item ALTER updated_at DROP DEFAULT, ALTER updated_at TYPE text;"
        "UPDATE stall.item SET name = 'text', updated_at = 'soon' WHERE id = 1",
        "ALTER TABLE stall.item ALTER updated_at TYPE timestamptz USING now()",
    ),
    "journal of garbage": Case(
        "INSERT INTO listener.journal (updated_at, watch, kind, keys, reason) "
        "SELECT clock_timestamp(), w, k, j, r FROM "
        "unnest(ARRAY['stall.item(id)', 'stall.line(bill,line)', 'no.table(id)', '']) AS w, "
        "unnest(ARRAY['keys', 'reconcile', 'what']) AS k, unnest(ARRAY[NULL, '', '[', '{}', '1', "
        "'[\"99999999999999999999\"]', '[[\"1\"]]', '[[[]]]', '[null]', '[\"\\ud800\"]', "
        "'[\"\\u0000\"]', repeat('[', 5000), '[\"' || repeat('1', 5000) || '\"]']) AS j, "
        "unnest(ARRAY[NULL, 'parked --retry', 'unheard', '']) AS r"
    ),
    "journal of other times": Case(
        "INSERT INTO listener.journal (updated_at, watch, kind, keys) SELECT t, 'stall.item(id)', "
        "'keys', '[\"1\"]' FROM unnest(ARRAY['infinity', '-infinity', '294276-01-01', "
        "'4000-01-01 BC']::timestamptz[]) AS t"
    ),
    "journal of other types": Case(
        "ALTER TABLE listener.journal ALTER keys TYPE bytea USING keys::bytea",
        "ALTER TABLE listener.journal ALTER keys TYPE text USING encode(keys, 'escape')",
    ),
    "meta is empty": Case("DELETE FROM listener.meta"),
    "meta has two rows": Case(
        "ALTER TABLE listener.meta DROP CONSTRAINT IF EXISTS meta_pkey CASCADE;"
        "INSERT INTO listener.meta SELECT * FROM listener.meta",
        "DELETE FROM listener.meta WHERE ctid <> (SELECT min(ctid) FROM listener.meta)",
        held=False,
    ),
    "meta of no nonce": Case(
        "ALTER TABLE listener.meta ALTER nonce DROP NOT NULL; UPDATE listener.meta SET nonce = NULL"
    ),
    "meta pruned for ever": Case("UPDATE listener.meta SET pruned_below = 'infinity'"),
    "meta pruned before Christ": Case("UPDATE listener.meta SET pruned_below = '0044-03-15 BC'"),
    "meta of another version": Case(
        "UPDATE listener.meta SET schema_version = schema_version + 98",
        "UPDATE listener.meta SET schema_version = schema_version - 98",
    ),
    "parked of garbage": Case(
        "INSERT INTO listener.parked SELECT d, i, 'said', t, t, 1 FROM "
        "unnest(ARRAY['', 'x']) AS d, unnest(ARRAY['', '[', repeat('1', 999)]) AS i, "
        "unnest(ARRAY['infinity'::timestamptz]) AS t",
        "DELETE FROM listener.parked",
        held=False,
    ),
    "ids of another type": Case(
        "ALTER TABLE stall.tag ALTER item_id TYPE text;"
        "UPDATE stall.tag SET item_id = 'a word' WHERE id = 1",
        "UPDATE stall.tag SET item_id = '5' WHERE id = 1;"
        "ALTER TABLE stall.tag ALTER item_id TYPE integer USING item_id::integer",
        held=False,
    ),
}


def stall_template(server: PostgresServer) -> Template:
    """Integer keys, stamped, journaled, mapped and composite."""
    return create_template(server, "stall", _STALL / "documents.yaml", _STALL / "schema.sql")


@contextmanager
def open_stall(
    postgres: PostgresServer, search: SearchServer, template: Template, folder: Path, notify: str
) -> Iterator[Scene]:
    """The stall, of which nothing is indexed yet."""
    with open_scene(postgres, search, template, folder) as scene:
        scene.set(audit_every=1)
        for document in scene.options["documents"]:
            for watch in document["watch"]:
                watch["notify"] = notify
        yield scene


def alter(stall: Scene, case: Case, *commands: str) -> None:
    """Alive while it does not fit; index = query when it fits again; commands have a status."""
    daemon = stall.serve()
    with stall.superuser() as connection:
        connection.execute(f"SET ROLE {OWNER}".encode())
        mark = daemon.mark()
        connection.execute(case.alter.encode())
        if case.mend and case.held:
            daemon.wait_for("held", after=mark)
        for command in commands:
            process = stall.start(command)
            assert process.exit_status(60) in (0, 1, 2, 3, 4), process.log
        assert daemon.running, daemon.log
        if case.mend:
            connection.execute(case.mend.encode())
        connection.execute(b"UPDATE stall.item SET name = name || '!' WHERE id::text < '20'")
        connection.execute(b"UPDATE stall.line SET text = text || '!'")
    stall.wait_converged(60)
    assert daemon.running, daemon.log
    daemon.stop()
    stall.assert_converged()
