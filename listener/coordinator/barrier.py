"""The barrier: a notification that the daemon sends to itself, behind all that was sent before."""

from __future__ import annotations

import json
from typing import Final

from listener.capture.notifications import Notifications
from listener.changes import PAYLOAD_VERSION
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.session import Session, SessionLost
from listener.coordinator.signs import Signs
from listener.sql import files

_DEADLINE: Final = 10.0
"""Seconds in which a barrier must come back; later the connection counts as dead."""


class Barrier:
    """It is the heartbeat of the LISTEN connection, too. For the coordinator's thread alone."""

    def __init__(
        self, channel: str, mailbox: Mailbox, notifications: Notifications, signs: Signs
    ) -> None:
        """`channel`: of NOTIFY."""
        self._channel = channel
        self._mailbox = mailbox
        self._notifications = notifications
        self._signs = signs

    def send(self, session: Session) -> int:
        """Send one, and wait until it is back. All that was queued before it is received by then;
        returns the pipeline's mark of it.

        Raises SessionLost where it does not come back, and as of Session.check.
        """
        nonce = self._mailbox.new_nonce()
        payload = json.dumps({"v": PAYLOAD_VERSION, "barrier": nonce})
        session.connection.execute(
            files.load("watermark/notify"), {"channel": self._channel, "payload": payload}
        )
        mark = self._mailbox.wait_barrier(session.number, _DEADLINE)
        session.check()
        if mark is None:
            self._notifications.cut()
            raise SessionLost
        self._signs.serving()
        return mark
