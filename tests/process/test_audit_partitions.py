"""Partitions attached with old rows, detached, dropped: no trigger fires, the audit sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import APPLICATION, OWNER, Scene, Template, open_scene

HIGH = "ledger.entry_high FOR VALUES FROM (1000) TO (MAXVALUE)"


class Ledger:
    """The scene and its daemon, which each test leaves serving and whole."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.daemon: ListenerProcess = scene.serve()

    def change(self, *statements: str, running: bool) -> None:
        """Alter the tables as their owner, beside the daemon or while it is away, and see it
        compared; nothing but the comparison mends the index."""
        mark = self.daemon.mark()
        if not running:
            self.daemon.stop()
        with contextlib.closing(self.scene.connect(OWNER)) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        if not running:
            assert self.scene.differences(), "nothing was changed without a trigger"
            self.daemon, mark = self.scene.start(), 0
        self.daemon.wait_for(
            "reconciled", after=mark, stale=lambda count: count > 0, missing=0, orphaned=0
        )
        self.scene.wait_converged()
        # triggers are on all of it: this is told without a comparison
        mark = self.daemon.mark()
        self.scene.sql(
            "UPDATE ledger.entry SET amount = amount + 1 WHERE account_id % 3 = 0;"
            "DELETE FROM ledger.entry WHERE (account_id, id) IN "
            "(SELECT max(account_id), max(id) FROM ledger.entry GROUP BY account_id / 1000)"
        )
        self.scene.wait_converged()
        assert not self.daemon.found("reconcile_started", after=mark), self.daemon.log


@pytest.fixture(scope="module")
def ledger(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    ledger_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ledger]:
    """The ledger with a daemon that looks three times a second."""
    folder = tmp_path_factory.mktemp("ledger")
    with open_scene(postgres_server, search_server, ledger_template, folder) as scene:
        scene.set(audit_every=0.3)
        yield Ledger(scene)


BOTH = pytest.mark.parametrize("running", [True, False], ids=["running", "away"])


@BOTH
def test_detached_changed_and_attached(ledger: Ledger, running: bool) -> None:
    """The rows leave the documents with the partition, and come back as they are by then."""
    ledger.change("ALTER TABLE ledger.entry DETACH PARTITION ledger.entry_high", running=running)
    ledger.change(
        # the stamps are old ones: no poll would find the rows
        "UPDATE ledger.entry_high SET amount = amount * 2",
        "UPDATE ledger.entry_high SET changed = '2001-01-01'",
        f"ALTER TABLE ledger.entry ATTACH PARTITION {HIGH}",
        running=running,
    )


@BOTH
def test_detached_changed_and_attached_between_two_looks(ledger: Ledger, running: bool) -> None:
    """At the next look all is as it was."""
    ledger.change(
        "BEGIN",
        "ALTER TABLE ledger.entry DETACH PARTITION ledger.entry_high",
        "ALTER TABLE ledger.entry_high DISABLE TRIGGER USER",
        f"DELETE FROM ledger.entry_high WHERE id % 5 = {int(running)}",
        "ALTER TABLE ledger.entry_high ENABLE TRIGGER USER",
        f"ALTER TABLE ledger.entry ATTACH PARTITION {HIGH}",
        "COMMIT",
        running=running,
    )


@BOTH
def test_dropped(ledger: Ledger, running: bool) -> None:
    """Another one takes its place, with some rows in it from the beginning."""
    table = f"ledger.entry_{'a' if running else 'b'}"
    [(old,)] = ledger.scene.admin(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'ledger.entry'::regclass AND inhrelid <> 'ledger.entry_low'::regclass"
    )
    ledger.change(f"DROP TABLE {old}", running=running)
    ledger.change(
        f"CREATE TABLE {table} (id bigint NOT NULL, account_id bigint NOT NULL, "
        "amount numeric(20, 4) NOT NULL, changed timestamp) PARTITION BY RANGE (account_id)",
        f"CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM (1000) TO (1500)",
        f"CREATE TABLE {table}_2 PARTITION OF {table} FOR VALUES FROM (1500) TO (MAXVALUE)",
        f"INSERT INTO {table} SELECT nextval('ledger.entry_id_seq'), id, 3, '2001-01-01' "
        "FROM ledger.account WHERE id >= 1000",
        f"ALTER TABLE ledger.entry ATTACH PARTITION {table} FOR VALUES FROM (1000) TO (MAXVALUE)",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table}, {table}_1, {table}_2 TO {APPLICATION}",
        running=running,
    )


@BOTH
def test_written_directly_before_it_has_triggers(ledger: Ledger, running: bool) -> None:
    """PostgreSQL clones the stamp at once, but not what tells of deleted rows."""
    [(old,)] = ledger.scene.admin(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'ledger.entry'::regclass AND inhrelid <> 'ledger.entry_low'::regclass"
    )
    ledger.change(
        "BEGIN",
        f"CREATE TABLE ledger.kept_{int(running)} AS SELECT * FROM {old}",
        f"DROP TABLE {old}",
        "CREATE TABLE ledger.entry_new PARTITION OF ledger.entry FOR VALUES FROM (1000) "
        "TO (MAXVALUE)",
        f"INSERT INTO ledger.entry_new OVERRIDING SYSTEM VALUE SELECT id, account_id, amount, "
        f"changed FROM ledger.kept_{int(running)}",
        f"DELETE FROM ledger.entry_new WHERE account_id % 2 = {int(running)}",
        f"ALTER TABLE ledger.entry_new RENAME TO entry_new_{int(running)}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.entry_new_{int(running)} TO {APPLICATION}",
        "COMMIT",
        running=running,
    )
