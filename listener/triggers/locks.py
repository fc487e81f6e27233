"""How locks on others' tables are taken: in many short tries, none of which a writer notices.

A session that waits for a strong lock makes every later session queue behind it. So a try is
short. It ends before the `lock_timeout` of the sessions behind it, and before a `deadlock_timeout`
that would end their transaction and not this one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import psycopg

from listener.postgres import Connection, Session, describe, open_session
from listener.sql import files
from listener.triggers.catalog import rows

FIRST: Final = 50
"""Milliseconds of the first tries: what a pause of the disk takes as well."""
LONGEST: Final = 100
"""Milliseconds of the later ones. Where this is never enough, since others' transactions are long,
the installer waits for a quieter moment; writers do not wait for it."""
INDEX: Final = "SHARE UPDATE EXCLUSIVE"
"""What an index that is made or dropped CONCURRENTLY takes: one at a time on a table."""
_SHORT_TRIES: Final = 10
_SHARE: Final = 4
"""What a try may take of the least timeout of others: it has work to do once it has the locks."""

_NAME: Final = "listener: gives way"
"""`application_name` of a second session, which looks whether another one waits for the first."""
_PARTING: Final = 1.0
"""Seconds for the last answer to it."""


def short_script() -> str:
    """A statement for a script that bounds each try of this transaction. It looks when it is run,
    which may be long after it was printed."""
    lines = files.load("triggers/timeouts").splitlines()
    query = "\n".join(f"    {line}" for line in lines if not line.startswith("--"))
    return "\n".join(
        (
            "DO $listener$",
            "BEGIN -- a try is short: under a share of each timeout of others that can be read",
            "  PERFORM pg_catalog.set_config('lock_timeout', greatest(1, least(",
            f"      {FIRST}, pg_catalog.floor(t.least / {_SHARE})))::text, true)",
            "  FROM (",
            query,
            "  ) AS t (least);",
            "END",
            "$listener$",
        )
    )


def bound(conn: Connection) -> int:
    """Milliseconds that a try may last: under a share of each timeout of others that can be read.

    A timeout that a session sets for itself cannot be read: `FIRST` and `LONGEST` allow for it.
    """
    [(least,)] = rows(conn, "timeouts")
    return max(1, int(min(LONGEST, LONGEST if least is None else least / _SHARE)))


def lasts(attempt: int, most: int) -> int:
    """Milliseconds of one try, counted from 0: the first ones are shorter still."""
    return min(FIRST if attempt < _SHORT_TRIES else LONGEST, most)


def lock(names: Sequence[str], mode: str) -> str:
    """One statement that locks these tables, and not their parts."""
    return f"LOCK TABLE {', '.join(f'ONLY {name}' for name in names)} IN {mode} MODE"


def lock_script(names: Sequence[str], mode: str) -> list[str]:
    """The same for a script, which is not repeated by itself: the first table is waited for, the
    others are not, for what is held already would be in the way meanwhile."""
    tries = [lock(names[:1], mode)]
    if names[1:]:
        tries.append(f"{lock(names[1:], mode)} NOWAIT")
    return [
        short_script(),
        "\n".join(
            (
                "DO $listener$",
                "DECLARE",
                "  v_until CONSTANT timestamptz := pg_catalog.clock_timestamp() + interval '60 s';",
                "BEGIN",
                "  LOOP -- short tries, so that no writer waits for long behind them",
                "    BEGIN",
                *(f"      {one};" for one in tries),
                "      EXIT;",
                "    EXCEPTION",
                "      WHEN lock_not_available THEN",
                "        IF pg_catalog.clock_timestamp() > v_until THEN",
                "          RAISE;",
                "        END IF;",
                "      WHEN insufficient_privilege THEN",
                "        EXIT; -- an owner may have revoked his own rights: then without",
                "    END;",
                "    PERFORM pg_catalog.pg_sleep(0.2);",
                "  END LOOP;",
                "END",
                "$listener$",
            )
        ),
    ]


class Way:
    """To which session way was given. `asked`: its process id; None: no session waited."""

    asked: int | None = None


@contextlib.contextmanager
def giving_way(conn: Connection, every: float, tell: Callable[[str], object]) -> Iterator[Way]:
    """Cancel what runs on this connection as soon as another session waits for it. `tell` is called
    with the reason where it cannot be seen, or no longer, whether one waits.

    CREATE INDEX CONCURRENTLY holds a lock of the table and waits for others' transactions. Where
    another session waits for that lock (another such index, TRUNCATE, ALTER TABLE), it waits for
    that session's transaction next. PostgreSQL finds a deadlock and ends the other session, whose
    deadlock_timeout began first.
    """
    way, done = Way(), threading.Event()
    other: Session | None = None
    try:
        other = _beside(conn)
    except psycopg.Error as error:  # no connection left, or not to the same server
        tell(describe(error))
    if other is None:
        yield way
        return
    pid = conn.info.backend_pid

    def look() -> None:
        try:
            while way.asked is None and not done.wait(every):
                found = rows(other, "give_way", pid=pid)
                way.asked = found[0][0] if found else None
        except psycopg.Error as error:
            if not done.is_set():
                tell(describe(error))

    watcher = threading.Thread(target=look, name="gives way", daemon=True)
    with contextlib.closing(other):
        watcher.start()
        try:
            yield way
        finally:
            done.set()
            watcher.join(_PARTING)
            if watcher.is_alive():  # no answer comes: behind a stalled proxy that may last
                other.cut()
                watcher.join()


def _beside(conn: Connection) -> Session:
    """A second session of the same role on the same server, with listener's settings: with the
    role's own a moment may be unreadable, or the watch end before the index is made. Raises
    psycopg.Error."""
    info = conn.info
    known: dict[str, Any] = info.get_parameters() | {
        "host": info.host,
        "port": str(info.port),
        "password": info.password,
        "application_name": _NAME,
    }
    if "hostaddr" in known:
        known["hostaddr"] = info.hostaddr
    started = b"SELECT pg_catalog.pg_postmaster_start_time()"
    with contextlib.ExitStack() as opened:
        other = open_session(known, _NAME)
        opened.callback(other.close)
        if other.execute(started).fetchone() != conn.execute(started).fetchone():
            raise psycopg.OperationalError("its way leads to another server")
        opened.pop_all()
    return other
