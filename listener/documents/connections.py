"""Connections that read documents: all their sessions have the same settings."""

from __future__ import annotations

from collections.abc import Mapping

from listener import postgres
from listener.config import PostgresConfig
from listener.documents import session_settings
from listener.postgres import Connection


class Connections:
    """Opens them. Two that read documents must not mean different things by one query, whichever
    was made last. Thread-safe, but for `first` and `use`: those are of the coordinator's thread.

    What cannot be opened raises psycopg.Error.
    """

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        self._settings: Mapping[str, str] = {}
        self._role: str | None = None

    def first(self, name: str) -> Connection:
        """The connection of a new session, with the settings that its role has now."""
        while True:
            connection = postgres.connect(self._config, name)
            try:
                found = session_settings.role_settings(connection)
                settled, self._role = found == self._role, found
                if settled:
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()

    def use(self, settings: Mapping[str, str]) -> None:
        """The settings of the session that has begun, as of `session_settings.settings_now`."""
        self._settings = settings

    def open(self, name: str, *, timed: bool = False) -> Connection:
        """One more, with the settings of the session. `name`, `timed`: as of postgres.connect."""
        connection = postgres.connect(self._config, name, timed=timed)
        try:
            session_settings.apply(connection, self._settings)
        except BaseException:
            connection.close()
            raise
        return connection
