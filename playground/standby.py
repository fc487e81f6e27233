"""A standby: a copy of a running PostgreSQL that follows it by streaming replication."""

from __future__ import annotations

import os
from collections.abc import Mapping

from playground.account import run_as, service_account
from playground.cluster import PASSWORD, SUPERUSER, Setting
from playground.places import give
from playground.postgres import PostgresServer
from playground.system import LOOPBACK, wait_until


class StandbyServer(PostgresServer):
    """A hot standby of `primary`, made by pg_basebackup at its first start.

    `port` leads to the primary, or to a proxy before it. Reads are answered, writes refused, until
    `promote` makes it a primary of its own.
    """

    def __init__(
        self,
        primary: PostgresServer,
        *,
        port: int | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        self.primary_port = port or primary.port
        conninfo = (
            f"host={LOOPBACK} port={self.primary_port} user={SUPERUSER} password={PASSWORD} "
            "application_name=standby"
        )
        super().__init__(
            settings={**primary.settings, "primary_conninfo": conninfo, **(settings or {})},
            bin_directory=primary.bin_directory,
        )
        self._primary = primary

    def wait_caught_up(self, *, seconds: float = 30.0) -> None:
        """Waits until everything that the primary has committed by now is to be read here."""
        end = self._primary.execute("SELECT pg_current_wal_flush_lsn()::text")[0][0]
        ask = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
        wait_until(
            lambda: bool(self.execute(ask)[0][0]),
            seconds=seconds,
            what=f"the standby has replayed up to {end}",
        )

    def promote(self) -> None:
        """Makes it a primary, on a new timeline; returns when it takes writes."""
        self.execute("SELECT pg_promote(wait => true)")

    def _prepare(self) -> None:
        if not (self.data_directory / "PG_VERSION").exists():
            give(self.directory, service_account())
            source = f"postgresql://{SUPERUSER}:{PASSWORD}@{LOOPBACK}:{self.primary_port}"
            run_as(
                service_account(),
                [
                    os.fspath(self.binary("pg_basebackup")),
                    f"--pgdata={self.data_directory}",
                    f"--dbname={source}",
                    "--checkpoint=fast",
                    "--no-sync",
                ],
            )
            (self.data_directory / "standby.signal").touch()
        super()._prepare()
