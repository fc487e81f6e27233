"""Sessions: the one in force, and when the next one begins.

On each LISTEN connection a session begins: it takes a generation, catches up from the watermark,
and then serves, tick by tick.
"""

from __future__ import annotations

from collections.abc import Callable

from listener.coordinator.audits import Audits
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.opening import Opening
from listener.coordinator.retry import Guard
from listener.coordinator.session import BeginAnew, Session, SessionLost
from listener.coordinator.signs import Signs
from listener.coordinator.takeover import Takeover
from listener.indexing.pipeline import Pipeline
from listener.runtime.lifecycle import Life, Stopped


class Sessions:
    """The session in force, and the next one. For the coordinator's thread alone."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        takeover: Takeover,
        opening: Opening,
        pipeline: Pipeline,
        audits: Audits,
        guard: Guard,
        signs: Signs,
        life: Life,
    ) -> None:
        self._mailbox = mailbox
        self._takeover = takeover
        self._opening = opening
        self._pipeline = pipeline
        self._audits = audits
        self._guard = guard
        self._signs = signs
        self._stop = life.stop
        self._session: Session | None = None
        self._valid = False

    def get(self) -> Session:
        """The session in force; begins one where there is none, or the last one is over.

        Waits and raises as Takeover.wait; raises as Opening.begin.
        """
        number = self._takeover.wait()
        session = self._session
        if (
            session is not None
            and self._valid
            and session.number == number
            and not self._mailbox.is_fenced
        ):
            return session
        return self._begin(number)

    def next(self) -> Session:
        """Begin one in any case. Waits and raises as `get`."""
        self.forget()
        return self.get()

    def _begin(self, number: int) -> Session:
        """Begin a session on the LISTEN connection of this number."""
        self.forget()
        self.close()
        connection = self._opening.connect()
        session = self._session = Session(
            number,
            connection,
            mailbox=self._mailbox,
            pipeline=self._pipeline,
            audits=self._audits,
            guard=self._guard,
            signs=self._signs,
            stop=self._stop,
        )
        self._opening.begin(session)
        self._valid = True
        return session

    def forget(self) -> None:
        """The session is over: the next one begins, also on the same LISTEN connection."""
        self._valid = False

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._session is not None:
            self._session.connection.close()
            self._session = None

    def guarded(self, work: Callable[[], None]) -> bool:
        """Run one round of work; after an outage wait, and begin anew. Whether it was done."""
        try:
            done = self._guard.run(work)
        except BeginAnew:
            self.forget()
            return False
        except (SessionLost, Stopped):
            return False
        if not done:
            self.forget()  # whatever it was: begin as on a new connection
        return done
