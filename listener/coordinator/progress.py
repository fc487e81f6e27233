"""Progress: the moment that is to be proven next, and the watermark, which follows it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from listener.capture import journal, watermark
from listener.capture.server_clock import ServerClock
from listener.capture.watermark import Draw
from listener.config import Config
from listener.coordinator.session import BeginAnew, Session
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.jobs import Jobs
from listener.resync.proofs import NAME_HOLDER_AFTER
from listener.state.store import Keeper

_NAME_HOLDER_EVERY: Final = 60.0
_PRUNE_EVERY: Final = 60.0


class Progress:
    """For the coordinator's thread alone. Errors of psycopg pass through."""

    def __init__(
        self, *, config: Config, all_rows: bool, jobs: Jobs, keeper: Keeper, observe: Observe
    ) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY."""
        self._config = config
        self._way = "barrier" if all_rows else "scan"
        self._jobs = jobs
        self._keeper = keeper
        self._observe = observe
        self._session: Session | None = None
        """Of the clock and the draw: in another session neither counts."""
        self._clock = ServerClock()
        self._draw: Draw | None = None
        self._drawn_at = self._named_at = self._pruned_at = 0.0

    def draw(self, session: Session) -> Draw:
        """The session's draw that waits for its proof, or a new one.

        Raises BeginAnew where the server's clock went back: the watermark goes back with it, and
        neither a draw of before counts, nor what is remembered by its stamp.
        """
        if session is not self._session:
            self._session, self._clock, self._draw = session, ServerClock(), None
        asked = time.monotonic()
        at, lsn = watermark.now(session.connection)
        back = self._clock.went_back(asked, at, time.monotonic())
        if back is not None:
            self._observe(events.ClockSteppedBack(back))
            self._jobs.end()
            self._keeper.step_back(timedelta(seconds=back + self._config.overlap))
            raise BeginAnew
        if self._draw is None:
            self._draw = watermark.burn(session.connection, at, lsn)
            self._drawn_at = time.monotonic()
        return self._draw

    def waits(self, connection: Connection) -> None:
        """The draw is not proven yet: name from time to time what it waits for."""
        now = time.monotonic()
        long = now - self._drawn_at > NAME_HOLDER_AFTER
        if long and now - self._named_at > _NAME_HOLDER_EVERY:
            self._named_at = now
            self.name_holder(connection)

    def name_holder(self, connection: Connection) -> None:
        """Tell which transaction the draw waits for."""
        holder = watermark.holder(connection)
        self._observe(events.WatermarkHeld(holder, time.monotonic() - self._drawn_at))

    def advance(self, drawn: Draw) -> None:
        """It is proven, and all that was stamped before it is indexed."""
        self._draw = None
        self._keeper.advance(drawn.at)
        if self._keeper.last_processed == drawn.at:
            self._observe(events.WatermarkMoved(drawn.at, self._way))
        else:  # a load or a comparison is not complete
            self._observe(events.WatermarkWaits(drawn.at, self._way))

    def note(self, drawn: Draw) -> None:
        """Remember how far the WAL had come at this draw."""
        self._keeper.seen(drawn.lsn)

    def save(self) -> bool:
        """Write down how far it is, where that is due. False: another generation is in force."""
        self._keeper.save()
        return self._keeper.save_control()

    def prune(self, connection: Connection) -> None:
        """Once a minute: remove rows of the journal that the watermark passed long ago."""
        now, last = time.monotonic(), self._keeper.last_processed
        if now - self._pruned_at > _PRUNE_EVERY and last is not None:
            self._pruned_at = now
            retention = timedelta(seconds=self._config.triggers.retention)
            journal.prune(connection, self._config.postgres.db_schema, last - retention)
