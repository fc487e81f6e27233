"""The active daemon of a pipeline, as a command beside it sees it."""

from __future__ import annotations

from listener.capture.lock import lock_holder
from listener.capture.notifications import ring
from listener.postgres import Connection


class ActiveDaemon:
    """Whether a daemon is active, and how to ask it to look. Errors of psycopg pass through."""

    def __init__(self, connection: Connection, schema: str, watch: str) -> None:
        """`schema`: of listener's own tables. `watch`: the id of any watch of the pipeline."""
        self._connection = connection
        self._schema = schema
        self._watch = watch

    def at_work(self) -> bool:
        """Whether a daemon holds the pipeline's lock now."""
        return lock_holder(self._connection, self._schema) is not None

    def ring(self) -> None:
        """Ask the daemon to poll now, and to write down how far it is. Without one this does
        nothing.
        """
        ring(self._connection, self._schema, self._watch)
