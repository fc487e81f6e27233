"""The mailbox: what other threads leave for the coordinator, and what the coordinator waits on."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Final

from listener.changes import PayloadError
from listener.failures import Failure
from listener.observations import events
from listener.observations.events import Observe, ServerName
from listener.resync.cancellation import Check
from listener.runtime.lifecycle import Stop
from listener.state.store import Keeper

_NONE_YET: Final = Failure(ServerName.POSTGRES, "no LISTEN connection", passes=True)


class Mailbox:
    """Thread-safe: its methods alone change what it shows. It is the Supervisor of indexing and the
    Ticks of resync."""

    def __init__(
        self, aliases: Sequence[str], keeper: Keeper, observe: Observe, stop: Stop
    ) -> None:
        """`aliases`: those that people search, by the number of the document kind. A wait looks at
        `stop` when something changes here, or at `wake`."""
        self._aliases = aliases
        self._keeper = keeper
        self._observe = observe
        self._stop = stop
        self._changed = threading.Condition()
        self._nonce = ""
        self._mark: int | None = None
        self._sweep_wanted = False
        self._unmapped: dict[int, str] = {}
        self.ticks = 0
        """How many ticks are complete."""
        self.session = 0
        """Number of the LISTEN connection; 0: there is none."""
        self.standing_by = False
        """Whether another daemon holds the lock."""
        self.refused: Failure | None = None
        """Why there is no LISTEN connection, where a person must mend something."""
        self.away = _NONE_YET
        """Why there is none, whatever mends it."""
        self.rung = 0
        """How often a doorbell has rung since `take_rings`."""
        self.is_fenced = False
        """Whether writes were refused since `unfence`."""

    # -- the LISTEN connection ---------------------------------------------------------------------

    def listening(self, session: int) -> None:
        """LISTEN is in force."""
        with self._changed:
            self.session = session
            self.standing_by = False
            self.refused, self.away = None, _NONE_YET
            self._changed.notify_all()

    def stands_by(self) -> None:
        """Another daemon holds the lock."""
        with self._changed:
            self.standing_by = True
            self.refused = None
            self._changed.notify_all()

    def lost(self) -> None:
        """The LISTEN connection is gone."""
        with self._changed:
            self.session = 0
            self._changed.notify_all()

    def refuse(self, failure: Failure, *, passes: bool) -> None:
        """There is no connection for this. Not `passes`: a person must mend it before."""
        self.refused = None if passes else failure
        self.away = failure

    # -- barriers ----------------------------------------------------------------------------------

    def new_nonce(self) -> str:
        """A nonce for the next barrier; the one before counts no more."""
        with self._changed:
            self._nonce, self._mark = secrets.token_hex(16), None
            return self._nonce

    def awaits(self, nonce: str) -> bool:
        """Whether a barrier with this nonce is awaited."""
        with self._changed:
            return nonce == self._nonce and self._mark is None

    def barrier(self, nonce: str, mark: int) -> None:
        """A barrier came back; `mark` is the pipeline's, of all that was handed on before it.

        Raises PayloadError where it is not awaited. Other sessions see the nonce, and may send it
        too. But the daemon's own barrier is queued by then, behind all that it speaks for, and the
        second one counts no more.
        """
        with self._changed:
            if nonce != self._nonce or self._mark is not None:
                raise PayloadError("a barrier that is not awaited")
            self._mark = mark
            self._changed.notify_all()

    def wait_barrier(self, session: int, seconds: float) -> int | None:
        """Wait for the barrier of the last nonce; its mark, None where it is missing."""
        self.wait(lambda: self._mark is not None or self._is_over(session), seconds)
        return self._mark

    # -- rings and sweeps --------------------------------------------------------------------------

    def ring(self) -> None:
        """A doorbell rings."""
        with self._changed:
            self.rung += 1
            self._changed.notify_all()

    def take_rings(self) -> int:
        """How often a doorbell rang; the poll that follows answers it."""
        with self._changed:
            rung, self.rung = self.rung, 0
            return rung

    def want_sweep(self) -> None:
        """Poll soon."""
        with self._changed:
            self._sweep_wanted = True
            self._changed.notify_all()

    def take_sweep(self) -> bool:
        """Whether a sweep was asked for; the one that follows covers it."""
        with self._changed:
            wanted, self._sweep_wanted = self._sweep_wanted, False
            return wanted

    # -- the Supervisor of indexing ----------------------------------------------------------------

    def fenced(self) -> None:
        """Writes are refused: a new session must begin."""
        with self._changed:
            self.is_fenced = True
            self._changed.notify_all()

    def unfence(self) -> None:
        """Forget the refusals so far: they were of the generation before."""
        self.is_fenced = False

    def unmapped(self, kind: int, watch: str, reason: str) -> None:
        """A mapping file failed on rows: which documents they belong to is unknown, so all of the
        kind are compared. The first failure is told, and written down."""
        told = f"{watch}: its mapping_file failed: {reason}"
        alias = self._aliases[kind]
        if self.put_off_unmapped(self._aliases.index(alias), told):
            # the watermark must not pass them
            self._keeper.want_reconcile(alias, unguarded=False, outlives_load=True)
            self._observe(events.MappingFailed(alias, watch, reason))

    def put_off_unmapped(self, document: int, reason: str) -> bool:
        """Documents of this entry of `documents` must be compared for this reason; True the first
        time."""
        with self._changed:
            news = document not in self._unmapped
            self._unmapped.setdefault(document, reason)
            return news

    @property
    def some_unmapped(self) -> bool:
        """Whether any documents must be compared for it."""
        return bool(self._unmapped)

    def take_unmapped(self) -> dict[int, str]:
        """By entry of `documents`, why they must be compared; the caller compares them."""
        with self._changed:
            taken, self._unmapped = self._unmapped, {}
            return taken

    # -- ticks -------------------------------------------------------------------------------------

    def ticked(self) -> None:
        """One more tick is complete."""
        with self._changed:
            self.ticks += 1
            self._changed.notify_all()

    def wait_for_tick(self, check: Check) -> None:
        """Ask for sweeps until a tick that began after now is complete. Raises what the Check
        raises."""
        with self._changed:
            ticks = self.ticks + 2  # the one that runs may have begun before
            while self.ticks < ticks:
                self._sweep_wanted = True
                self._changed.notify_all()
                self._changed.wait(0.02)
                check.check()

    # -- waiting -----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let all that wait look again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true that may change here."""
        with self._changed:
            return self._changed.wait_for(until, seconds)

    def wait_for_session(self, seconds: float) -> None:
        """Wait for a LISTEN connection."""
        self.wait(lambda: self.session > 0 or self._stop.requested, seconds)

    def wait_for_work(self, session: int, seconds: float, *, rings: bool) -> bool:
        """Wait for a sweep's request, a fence or another session; at most `seconds`.

        `rings`: or until a doorbell rings. Returns whether anything but a ring has come.
        """

        def work() -> bool:
            return self._sweep_wanted or self.is_fenced or self._is_over(session)

        self.wait(lambda: work() or (rings and self.rung > 0), seconds)
        return work()

    def _is_over(self, session: int) -> bool:
        return self.session != session or self._stop.requested
