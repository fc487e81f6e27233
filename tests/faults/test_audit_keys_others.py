"""Every key column of the depot and the ledger renamed, dropped, retyped, and back again.

The depot has composite keys and two kinds of documents; the ledger is partitioned by a key column
and notifies nothing. Between there and back the application writes what our triggers cannot tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.migrations import Migrated
from tests.kit.scene import Template, open_scene


@contextlib.contextmanager
def migrated(
    postgres: PostgresServer,
    search: SearchServer,
    template: Template,
    factory: pytest.TempPathFactory,
) -> Iterator[Migrated]:
    """A daemon that looks three times a second."""
    with open_scene(postgres, search, template, factory.mktemp("keys")) as scene:
        scene.set(audit_every=0.3)
        yield Migrated(scene, scene.serve(), scene.connect())


@pytest.fixture(scope="module")
def depot(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    depot_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Migrated]:
    """The depot."""
    with migrated(postgres_server, search_server, depot_template, tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="module")
def ledger(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    ledger_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Migrated]:
    """The ledger."""
    with migrated(postgres_server, search_server, ledger_template, tmp_path_factory) as found:
        yield found


@dataclass(frozen=True)
class Column:
    """A key column; `other`: a type that it can have as well, and that may be a key too."""

    table: str
    name: str
    other: str
    edits: tuple[str, ...]

    @property
    def quoted(self) -> str:
        return '"Depot"."' + self.table.split(".", 1)[1] + '"'


ITEM = (
    """UPDATE "Depot"."Stock Item" SET "Name" = 'N{}' WHERE ctid = (SELECT max(ctid) FROM
    "Depot"."Stock Item")""",
    """DELETE FROM "Depot"."Stock Item" WHERE ctid = (SELECT min(ctid) FROM
    "Depot"."Stock Item")""",
)
BATCH = (
    """UPDATE "Depot"."Batch" SET "Quantity" = {} WHERE "No" = (SELECT max("No") FROM
    "Depot"."Batch")""",
    """DELETE FROM "Depot"."Batch" WHERE "No" = (SELECT min("No") FROM "Depot"."Batch")""",
)
PRICE = (
    """UPDATE "Depot"."Price.List" SET "Price" = {} WHERE ctid = (SELECT max(ctid) FROM
    "Depot"."Price.List")""",
    """DELETE FROM "Depot"."Price.List" WHERE ctid = (SELECT min(ctid) FROM
    "Depot"."Price.List")""",
)
INSPECTION = (
    """UPDATE "Depot"."Inspection" SET "Verdict" = 'V{}' WHERE ctid = (SELECT max(ctid) FROM
    "Depot"."Inspection")""",
    """DELETE FROM "Depot"."Inspection" WHERE ctid = (SELECT min(ctid) FROM
    "Depot"."Inspection")""",
)
INSPECTOR = (
    """UPDATE "Depot"."Inspector" SET "Full Name" = 'F{}' WHERE ctid = (SELECT max(ctid) FROM
    "Depot"."Inspector")""",
)
REGION = (
    """UPDATE "Depot"."Region" SET "Label" = 'L{}' WHERE ctid = (SELECT max(ctid) FROM
    "Depot"."Region")""",
)

DEPOT = [
    Column("Depot.Stock Item", "Region", "integer", ITEM),
    Column("Depot.Stock Item", "Sku", "text", ITEM),
    Column("Depot.Batch", "Region", "integer", BATCH),
    Column("Depot.Batch", "Sku", "text", BATCH),
    Column("Depot.Price.List", "Region", "integer", PRICE),
    Column("Depot.Price.List", "Sku", "text", PRICE),
    Column("Depot.Inspection", "Batch", "bigint", INSPECTION),
    Column("Depot.Inspector", "Nick", "varchar", INSPECTOR),
    Column("Depot.Region", "Code", "integer", REGION),
]


@pytest.mark.parametrize("column", DEPOT, ids=lambda one: f"{one.table}.{one.name}")
def test_depot_renamed_dropped_and_back(depot: Migrated, column: Column) -> None:
    """Held with the name of what is missing; once it is there again, it converges by itself."""
    table, name = column.quoted, f'"{column.name}"'
    depot.settled(*column.edits)
    mark = depot.daemon.mark()
    depot.migrate(f"ALTER TABLE {table} RENAME {name} TO other")
    depot.write(*column.edits)
    held = depot.held(mark, column.table, f"key column {column.name} does not exist")
    depot.write(*column.edits)
    depot.migrate(f"ALTER TABLE {table} RENAME other TO {name}")
    depot.compared(held)
    # dropped for good, with all that depends on it; later there is a new one
    [(kind,)] = depot.scene.admin(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
        f"'{table}'::regclass AND attname = '{column.name}'"
    )
    mark = depot.daemon.mark()
    depot.migrate(
        f"ALTER TABLE {table} ADD COLUMN kept {kind}",
        f"UPDATE {table} SET kept = {name}",
        f"ALTER TABLE {table} DROP COLUMN {name} CASCADE",
    )
    depot.write(*column.edits)
    held = depot.held(mark, column.table, f"key column {column.name} does not exist")
    depot.write(*column.edits)
    depot.migrate(f"ALTER TABLE {table} RENAME kept TO {name}")
    depot.compared(held)
    depot.settled(*column.edits)


@pytest.mark.parametrize("column", DEPOT, ids=lambda one: f"{one.table}.{one.name}")
def test_depot_retyped(depot: Migrated, column: Column) -> None:
    """To a type that can be no key: held, with the way out. To one that can, where it has to agree
    with the document's own key: held too. Back again: it converges."""
    table, name = column.quoted, f'"{column.name}"'
    [(kind,)] = depot.scene.admin(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
        f"'{table}'::regclass AND attname = '{column.name}'"
    )
    for constraint, place in depot.scene.admin(
        "SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
        f"AND '{table}'::regclass IN (conrelid, confrelid)"
    ):
        depot.migrate(f'ALTER TABLE {place} DROP CONSTRAINT "{constraint}"')
    wrong = "bpchar" if column.other in ("text", "varchar") else "numeric"
    mark = depot.daemon.mark()
    depot.migrate(f"ALTER TABLE {table} ALTER {name} TYPE {wrong}")
    depot.write(*column.edits)
    held = depot.held(mark, column.table, f"key column {column.name} is of type")
    assert "take another column" in held["reason"]
    depot.write(*column.edits)
    depot.migrate(f"ALTER TABLE {table} ALTER {name} TYPE {kind}")
    depot.compared(held)
    mark = depot.daemon.mark()
    depot.migrate(f"ALTER TABLE {table} ALTER {name} TYPE {column.other}")
    depot.write(*column.edits)
    depot.daemon.wait_until(
        lambda records: next(
            (
                one
                for one in records
                if one.event == "reconciled"
                or (one.event == "held" and "give a mapping_file" in one["reason"])
            ),
            None,
        ),
        what="a comparison, or the way out",
        after=mark,
    )
    depot.write(*column.edits)
    mark = depot.daemon.mark()
    depot.migrate(f"ALTER TABLE {table} ALTER {name} TYPE {kind}")
    depot.compared(mark)
    depot.settled(*column.edits)


ACCOUNT = (
    "UPDATE ledger.account SET owner = 'O{}' WHERE ctid = (SELECT max(ctid) FROM ledger.account)",
)
ENTRY = (
    "UPDATE ledger.entry SET amount = {} WHERE id = (SELECT max(id) FROM ledger.entry)",
    "DELETE FROM ledger.entry WHERE id = (SELECT min(id) FROM ledger.entry)",
    "UPDATE ledger.entry_low SET amount = {} WHERE id = (SELECT max(id) FROM ledger.entry_low)",
)


def test_ledger_document_key(ledger: Migrated) -> None:
    """The document's own key, with nothing notified: renamed, retyped both ways, and back."""
    ledger.settled(*ACCOUNT)
    mark = ledger.daemon.mark()
    ledger.migrate("ALTER TABLE ledger.account RENAME id TO number")
    ledger.write(*ACCOUNT)
    held = ledger.held(mark, "ledger.account", "key column id does not exist")
    ledger.write(*ACCOUNT)
    ledger.migrate("ALTER TABLE ledger.account RENAME number TO id")
    ledger.compared(held)
    ledger.settled(*ACCOUNT)


def test_ledger_partition_key(ledger: Migrated) -> None:
    """PostgreSQL itself refuses to drop or retype a partition key; renamed it is as any other."""
    for action in ("DROP COLUMN account_id", "ALTER account_id TYPE numeric"):
        with pytest.raises(psycopg.errors.InvalidTableDefinition):
            ledger.migrate(f"ALTER TABLE ledger.entry {action}")
    ledger.settled(*ENTRY)
    mark = ledger.daemon.mark()
    ledger.migrate("ALTER TABLE ledger.entry RENAME account_id TO account")
    ledger.write(*ENTRY)
    held = ledger.held(mark, "ledger.entry", "key column account_id does not exist")
    ledger.write(*ENTRY)
    ledger.migrate("ALTER TABLE ledger.entry RENAME account TO account_id")
    ledger.compared(held)
    ledger.settled(*ENTRY)
