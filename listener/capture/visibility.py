"""From which stamp on, or of which transactions, rows can be new since the last look.

While an old transaction is open the watermark stands, and a scan from there would read the same
rows again and again. What can be new is known: rows of transactions that had not begun to write
at the last look, which are stamped later than it, and rows of those that were running then and are
finished now, which are stamped later than the last look before they began.

Stamps say nothing where a clock was ahead. There the ids of the transactions tell the same
(`unseen`). That takes no memory for any row, and while nothing ends only what began since is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from listener.capture import watermark, xids
from listener.postgres import Connection
from listener.sql import files


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions had ended at a look: those below `end` that are not `running`.

    A savepoint's part of a transaction has a later id of its own, which is not among `running`.
    `at`: the server's clock, read just after.
    """

    at: datetime
    end: int
    running: frozenset[int]

    @property
    def oldest(self) -> int:
        """The first id that a transaction may have of which rows become visible later."""
        return min(self.running, default=self.end)


def snapshot(connection: Connection) -> Snapshot:
    """The snapshot of this moment. Call it before the rows of a look are read."""
    row = connection.execute(files.load("sweep/snapshot")).fetchone()
    assert row is not None
    return Snapshot(row[0], int(row[1]), frozenset(map(int, row[2])))


def unseen(last: Snapshot | None, now: Snapshot) -> range:
    """The ids of transactions whose rows `now` may show ahead of its clock, and `last` did not.

    Where one has ended since, that is all from its id on: its savepoints' ids may be any of these.
    Where the clock was set back, what was past at the last look may be ahead now: all of them.
    """
    if last is None or now.at < last.at:
        return xids.ALL
    return range(min(last.running - now.running, default=last.end), now.end)


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
