"""The nonce: a value that this pipeline leaves in its schema, so that a copy of the database shows.

What was copied before the nonce was renewed, and is put back later, holds an older one.

Which of two is the older one shows by their numbers. A line of renewals goes on for as long as each
session finds what the one before has left; else a new line begins. So of two nonces of one line the
one with the lower number came first.
"""

from __future__ import annotations

import uuid

from psycopg import sql

from listener.postgres import Connection
from listener.sql import files
from listener.state import identity
from listener.state.identity import Facts
from listener.state.store import Keeper


class Nonce:
    """The nonce of one pipeline."""

    def __init__(self, keeper: Keeper, schema: str) -> None:
        """`schema`: the one of listener's own tables, where the nonce stands."""
        self._keeper = keeper
        self._schema = schema
        self._found: str | None = None
        self._line: str | None = None

    def begin(self, facts: Facts) -> None:
        """A session found this in the database. The keeper has begun with what was saved."""
        known = self._keeper.identity
        same = facts.line == known.line and not identity.another_past(known, facts)
        self._found = facts.nonce
        self._line = facts.line if same else None

    def renew(self, connection: Connection) -> None:
        """Leave a new nonce in the database: at each session, when its generation was raised, and
        at each audit. Raises psycopg.Error.

        State and control document know both nonces before the database has the new one: a crash in
        between is no other history, wherever the next daemon starts from. Where the generation is
        another daemon's by now, so is the nonce.
        """
        nonce = str(uuid.uuid4())
        self._keeper.identify(nonce=f"{self._found or ''} {nonce}".strip())
        self._keeper.save(now=True)
        if not self._keeper.save_control(now=True):
            return
        line = self._line or str(uuid.uuid4())
        row = connection.execute(
            sql.SQL(files.load("watermark/renew")).format(
                meta=sql.Identifier(self._schema, "meta")
            ),
            (nonce, line),
        ).fetchone()
        self._found, self._line = nonce, line
        # a saved state with the former nonce is of another history from here on
        self._keeper.identify(nonce=nonce, line=line, renewals=row[0] if row else None)
        self._keeper.save(now=True)
        self._keeper.save_control(now=True)
