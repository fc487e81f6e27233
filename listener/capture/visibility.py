"""From which stamp on rows can be new since the last look.

While an old transaction is open the watermark stands, and a scan from there would read the same
rows again and again. What can be new is known: rows of transactions that had not begun to write
at the last look, which are stamped later than it, and rows of those that were running then and are
finished now, which are stamped later than the last look before they began.
"""

from __future__ import annotations

from datetime import datetime

from listener.capture import watermark
from listener.postgres import Connection
from listener.sql import files


class Recent:
    """Remembers since when each running transaction is known."""

    def __init__(self) -> None:
        self._looked: datetime | None = None
        self._running: dict[int, datetime | None] = {}

    @property
    def looked(self) -> datetime | None:
        """The server's clock at the last look."""
        return self._looked

    def forget(self) -> None:
        """What came after the last look was not handed on."""
        self._looked = None
        self._running.clear()

    def look(self, connection: Connection) -> datetime | None:
        """Rows that are visible from now on, and were not at the last look, are stamped at or after
        this moment. None: at any time. Call it before the rows are read.
        """
        at = watermark.draw(connection).at
        snapshot = connection.execute(files.load("watermark/snapshot")).fetchone()
        assert snapshot is not None
        return self.seen(at, [int(xid) for xid in snapshot[0]])

    def seen(self, at: datetime, running: list[int]) -> datetime | None:
        """The same, for a look at `at`, then an xid that was burnt, then a snapshot with these
        running transactions. Without the burnt one a snapshot leaves out the youngest that run.
        """
        last, self._looked = self._looked, at
        before, self._running = self._running, {}
        if last is not None and at < last:  # the clock was set back: nothing is known, also of
            last = None  # those that run still and may stamp below the moment they began at
            before = dict.fromkeys(before)
        since = last
        for xid in running:
            # one that is new here is above the xid that was burnt at the last look
            self._running[xid] = before.pop(xid, last)
        for began in before.values():  # finished meanwhile
            if began is None or since is None:
                return None
            since = min(since, began)
        return since
