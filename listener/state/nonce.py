"""The nonce: a value that this pipeline leaves in its schema, so that a copy of the database shows.

What was copied before the nonce was renewed, and is put back later, holds an older one.
"""

from __future__ import annotations

import uuid

from psycopg import sql

from listener.postgres import Connection
from listener.state.store import Keeper


class Nonce:
    """The nonce of one pipeline."""

    def __init__(self, keeper: Keeper, schema: str) -> None:
        """`schema`: the one of listener's own tables, where the nonce stands."""
        self._keeper = keeper
        self._schema = schema
        self._found: str | None = None

    def begin(self, found: str | None) -> None:
        """A session found this nonce in the database; None: none."""
        self._found = found

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
        connection.execute(
            sql.SQL("UPDATE {} SET nonce = %s::text::uuid").format(
                sql.Identifier(self._schema, "meta")
            ),
            (nonce,),
        )
        self._found = nonce
        self._keeper.identify(nonce=nonce)  # from here on the former one is of another history
        self._keeper.save(now=True)
        self._keeper.save_control(now=True)
