"""Our schema dropped, our triggers mended, rights taken away, under eight writers.

No statement of theirs fails. They may wait for a lock while triggers are made: there is no CREATE
TRIGGER without one; it is given up after two seconds.
"""

from __future__ import annotations

import re
import time
from threading import Event

import psycopg
import pytest

from playground.daemon import ListenerProcess
from tests.kit.scene import OWNER, Scene
from tests.kit.writers import Writers


def converged(scene: Scene, daemon: ListenerProcess) -> None:
    """Both ways, with a watermark that is proven; and a restart finds nothing to compare."""
    scene.wait_converged(60)
    deadline, pause = time.monotonic() + 60, Event()
    while scene.state["reconcile"] or scene.state["last_processed"] is None:
        if time.monotonic() > deadline:
            pytest.fail(f"a comparison is due for ever:\n{daemon.log}")
        pause.wait(0.1)
    daemon.stop()
    once = scene.once()
    assert not once.found("reconcile_started"), once.log
    scene.assert_converged()


def drop_our_schema(scene: Scene) -> None:
    """As docs/triggers.md says: giving way to whoever writes, again until it succeeds.

    A DROP that waits longer than deadlock_timeout may meet a transaction that writes two of the
    tables, and PostgreSQL ends either of the two.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            scene.admin("SET lock_timeout = '100ms'; DROP SCHEMA listener CASCADE")
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            continue
        return
    pytest.fail("it found no moment in a minute")


def test_our_schema_dropped(scene: Scene) -> None:
    """The documented emergency exit, three times, while everything is written: the daemon makes it
    anew and compares."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    with Writers(scene, may_wait=True) as writers:
        for _ in range(3):
            writers.wait(50)
            mark = daemon.mark()
            drop_our_schema(scene)
            writers.wait(50)
            daemon.wait_for("triggers_installed", after=mark)
            daemon.wait_for("reconciled", after=mark, deadline=60)
    converged(scene, daemon)


def test_our_schema_dropped_while_nobody_may_make_it_anew(scene: Scene) -> None:
    """`manual`: held with the command; the application goes on without triggers, and what it wrote
    is compared once they are there again."""
    scene.set(audit_every=0.3, triggers={"install": "manual"})
    scene.start("triggers", "install").expect_exit(0)
    daemon = scene.serve()
    with Writers(scene, may_wait=True) as writers:
        writers.wait(50)
        mark = daemon.mark()
        drop_our_schema(scene)
        held = daemon.wait_for(
            "held", after=mark, reason=re.compile("Mend: run `listener triggers install`")
        )
        writers.wait(100)
        assert daemon.running
        scene.start("triggers", "install").expect_exit(0, 60)
        daemon.wait_for("reconciled", after=held, deadline=60)
        writers.wait(20)
    converged(scene, daemon)


@pytest.mark.parametrize(
    ("revoke", "grant", "said"),
    [
        (
            f"REVOKE USAGE ON SCHEMA listener FROM {OWNER}",
            f"GRANT USAGE ON SCHEMA listener TO {OWNER}",
            "permission denied for schema listener|may not read listener.meta",
        ),
        (
            f"REVOKE ALL ON listener.journal, listener.meta FROM {OWNER}",
            f"GRANT ALL ON listener.journal, listener.meta TO {OWNER}",
            "permission denied for table|may not read listener.meta",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC",
            "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC",
            "permission denied for function pg_notify|lacks EXECUTE on pg_notify",
        ),
    ],
    ids=["our schema", "our tables", "pg_notify"],
)
def test_rights_revoked(scene: Scene, revoke: str, grant: str, said: str) -> None:
    """The functions cannot record anything: the writers get a warning at most, the daemon holds and
    says which right it lacks, and compares once it has it again."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    with Writers(scene, may_wait=True) as writers:
        writers.wait(50)
        mark = daemon.mark()
        scene.admin(revoke)
        held = daemon.wait_for("held", after=mark, reason=re.compile(said))
        writers.wait(100)
        assert daemon.running
        scene.admin(grant)
        daemon.wait_for("caught_up", after=held, deadline=60)
        writers.wait(20)
    converged(scene, daemon)


def test_trigger_and_execute_revoked(scene: Scene) -> None:
    """Neither is needed once the triggers are there: nothing is missed, nothing held. The functions
    were altered, so it is compared all the same."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait(50)
        mark = daemon.mark()
        scene.admin(
            f"REVOKE TRIGGER ON ALL TABLES IN SCHEMA content FROM {OWNER};"
            f"REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA listener FROM {OWNER}, PUBLIC"
        )
        writers.wait(100)
        daemon.wait_for("reconciled", after=mark, deadline=60)
        writers.wait(20)
    scene.wait_converged(60)
    assert not daemon.found("held"), daemon.log
    converged(scene, daemon)
