"""Proofs: the moment at which a load or comparison begins, and whether all before it is visible."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from listener.capture import watermark
from listener.capture.watermark import Draw
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation

NAME_HOLDER_AFTER: Final = 2.0
"""Seconds of waiting for a proof after which the transaction that holds it up is named."""
_LOOK_EVERY: Final = 0.05


@dataclass(frozen=True, slots=True)
class Start:
    """Where a load or comparison begins. `proven`: every change stamped before it is visible."""

    drawn: Draw
    proven: bool

    @property
    def at(self) -> datetime:
        """The moment, by the server's clock."""
        return self.drawn.at


class Proofs:
    """Draws the starts of loads and comparisons. Errors of psycopg pass through."""

    def __init__(self, *, all_rows: bool, observe: Observe) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY."""
        self._all_rows = all_rows
        self._observe = observe

    def now(self, connection: Connection) -> Start:
        """A start that is not waited for: proven or not."""
        drawn = watermark.draw(connection)
        return Start(drawn, watermark.passed(connection, drawn))

    def wait(self, connection: Connection, cancellation: Cancellation) -> Start:
        """A start whose proof is waited for. Raises Stopped.

        Where every table sends its keys, a change that is committed later is heard of anyway: after
        a short wait the start is returned unproven. Else the wait goes on. What holds it up is
        told.
        """
        drawn = watermark.draw(connection)
        began = time.monotonic()
        named = False
        while not watermark.passed(connection, drawn):
            waited = time.monotonic() - began
            if waited > NAME_HOLDER_AFTER:
                if not named:
                    named = True
                    self._observe(events.WatermarkHeld(watermark.holder(connection), waited))
                if self._all_rows:
                    return Start(drawn, proven=False)
            cancellation.wait(_LOOK_EVERY)
        return Start(drawn, proven=True)
