"""Triggers altered by hand, while the daemon runs and while it does not: blind rows are found.

Each alteration comes with rows that are written while it lasts. Nothing tells of these: the index
is right afterwards only because database and index were compared.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kit.blind import FILMS, LINKS, Blind, emptied, names
from tests.kit.scene import OWNER, Scene


def all_of(scene: Scene, table: str, action: str) -> str:
    """ALTER TABLE for each trigger of ours."""
    return "".join(
        f'ALTER TABLE {table} {action} TRIGGER "{name}";' for name in names(scene, table).values()
    )


def disabled(blind: Blind) -> str:
    return f"ALTER TABLE {FILMS} DISABLE TRIGGER ALL; {blind.update()} {blind.delete()}"


def disabled_and_enabled(blind: Blind) -> str:
    """Afterwards all is exactly as before, but for the catalog rows' versions."""
    return (
        all_of(blind.scene, FILMS, "DISABLE")
        + blind.update()
        + blind.delete()
        + all_of(blind.scene, FILMS, "ENABLE ALWAYS")
    )


def enabled_for_origin(blind: Blind) -> str:
    """ENABLE without ALWAYS, then a bulk loader, which replicates."""
    return (
        all_of(blind.scene, LINKS, "ENABLE")
        + "SET session_replication_role = replica;"
        + blind.move()
    )


def dropped(blind: Blind) -> str:
    drops = "".join(
        f'DROP TRIGGER "{name}" ON {FILMS};' for name in names(blind.scene, FILMS).values()
    )
    return f"{drops} {blind.update()} {blind.delete()}"


def dropped_of_a_journal_table(blind: Blind) -> str:
    return f'DROP TRIGGER "{names(blind.scene, LINKS)["update"]}" ON {LINKS}; {blind.move()}'


def body_replaced(blind: Blind) -> str:
    functions = names(blind.scene, LINKS)
    return f"{emptied(functions['update'])} {blind.move()}"


def body_replaced_and_put_back(blind: Blind) -> str:
    """Only the version of the function's row tells."""
    name = names(blind.scene, LINKS)["update"]
    [(whole,)] = blind.scene.admin(
        f"SELECT pg_get_functiondef('listener.{name}'::regproc)"  # a trigger bears its name
    )
    return f"{emptied(name)} {blind.move()} {whole};"


def somebody_stamps_later(blind: Blind) -> str:
    """A trigger that sorts behind ours put an old stamp back; it is gone again."""
    quiet = "".join(
        f'ALTER TABLE {FILMS} {{}} TRIGGER "{name}";'
        for use, name in names(blind.scene, FILMS).items()
        if use == "update"
    )
    return (
        "CREATE FUNCTION content.old() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.updated_at := ''2001-01-01''; RETURN NEW; END';"
        f'CREATE TRIGGER "~z" BEFORE UPDATE ON {FILMS} FOR EACH ROW EXECUTE FUNCTION content.old();'
        + quiet.format("DISABLE")
        + blind.update()
        + quiet.format("ENABLE ALWAYS")
        + f'DROP TRIGGER "~z" ON {FILMS}; DROP FUNCTION content.old();'
    )


def journal_dropped(blind: Blind) -> str:
    return f"DROP TABLE listener.journal; {blind.move()}"


def journal_emptied(blind: Blind) -> str:
    """What it said is gone, and nobody had read it yet (or had, which does no harm)."""
    return f"SET LOCAL session_replication_role = origin; {blind.move()} TRUNCATE listener.journal;"


def rights_revoked_and_given_back(blind: Blind) -> str:
    """The functions run with the rights of the role that installed them."""
    return (
        f"REVOKE USAGE ON SCHEMA listener FROM {OWNER}; {blind.move()} "
        f"GRANT USAGE ON SCHEMA listener TO {OWNER};"
    )


def journal_closed_to_its_owner(blind: Blind) -> str:
    return f"REVOKE INSERT ON listener.journal FROM {OWNER}; {blind.move()}"


def schema_dropped(blind: Blind) -> str:
    return f"DROP SCHEMA listener CASCADE; {blind.update()} {blind.move()}"


ALTERATIONS: list[Callable[[Blind], str]] = [
    disabled,
    disabled_and_enabled,
    enabled_for_origin,
    dropped,
    dropped_of_a_journal_table,
    body_replaced,
    body_replaced_and_put_back,
    somebody_stamps_later,
    journal_dropped,
    rights_revoked_and_given_back,
    schema_dropped,
]


@pytest.mark.parametrize("alter", ALTERATIONS, ids=lambda alter: alter.__name__)
def test_altered_while_the_daemon_runs(blind: Blind, alter: Callable[[Blind], str]) -> None:
    """The audit names what it saw; triggers are mended, then everything is compared."""
    mark = blind.daemon.mark()
    blind.scene.admin(alter(blind))
    blind.daemon.wait_for("history_changed", after=mark)
    blind.compared(mark)
    for said in blind.daemon.found("audit_failed", after=mark):
        assert "listener" in said["what"], "it names no object"
    assert not blind.daemon.found("load_started", after=mark)


@pytest.mark.parametrize(
    "alter",
    [
        *(disabled_and_enabled, body_replaced_and_put_back, journal_emptied),
        *(
            pytest.param(one, marks=pytest.mark.long)
            for one in ALTERATIONS
            if one not in (disabled_and_enabled, body_replaced_and_put_back)
        ),
    ],
    ids=lambda alter: alter.__name__,
)
def test_altered_while_the_daemon_is_away(blind: Blind, alter: Callable[[Blind], str]) -> None:
    """The next start sees it, mends the triggers, and compares before it trusts the watermark."""
    if blind.daemon.running:
        blind.daemon.stop()
    blind.scene.admin(alter(blind))
    blind.unseen()
    blind.daemon = blind.scene.start()
    blind.compared(0)
    assert not blind.daemon.found("load_started")
    blind.daemon.stop()
    blind.scene.assert_converged()


@pytest.mark.parametrize("running", [True, False], ids=["running", "away"])
def test_what_not_even_the_journal_took(blind: Blind, running: bool) -> None:
    """It was locked (a VACUUM FULL, say) and the writer waits for no lock: his statement goes on
    with a warning, and the next audit sees that something was not recorded."""
    if running and not blind.daemon.running:
        blind.daemon = blind.scene.start()
        blind.daemon.wait_for("caught_up")
    elif not running and blind.daemon.running:
        blind.daemon.stop()
    mark = blind.daemon.mark()
    writer = blind.scene.connect()
    writer.execute("SET lock_timeout = '50ms'")
    with blind.scene.superuser() as vacuum, vacuum.transaction():
        vacuum.execute("LOCK TABLE listener.journal IN ACCESS EXCLUSIVE MODE")
        writer.execute(blind.move().encode())
    if not running:
        blind.unseen()
        blind.daemon, mark = blind.scene.start(), 0
    blind.compared(mark)
    blind.daemon.wait_for("watermark_moved", after=mark)


def test_blind_rows_that_are_committed_later(blind: Blind) -> None:
    """A transaction that wrote while a function was another one commits long after it was put back
    and after all was compared: nobody will tell of its rows, so a comparison must come after it."""
    if not blind.daemon.running:
        blind.daemon = blind.scene.start()
    blind.daemon.wait_for("watermark_moved")
    blind.scene.wait_converged()
    name = names(blind.scene, LINKS)["update"]
    [(whole,)] = blind.scene.admin(f"SELECT pg_get_functiondef('listener.{name}'::regproc)")
    late = blind.scene.connect()
    mark = blind.daemon.mark()
    blind.scene.admin(emptied(name))
    with late.transaction():
        late.execute(blind.move().encode())
        blind.scene.admin(whole)
        blind.daemon.wait_for("reconciled", after=mark)  # what is visible waits for nobody
    blind.scene.wait_converged()
    blind.daemon.wait_for("watermark_moved", after=blind.daemon.mark())
    blind.daemon.stop()
    blind.scene.assert_converged()
