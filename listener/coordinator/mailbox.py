"""What the LISTEN thread leaves for the coordinator, and what the coordinator waits on."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from listener.changes import Change, KeyType, PayloadError, canonical_keys
from listener.indexing.pipeline import Pipeline


class Inbox:
    """The receiver of notifications: hands keys to the pipeline, notes all else. Thread-safe."""

    def __init__(
        self,
        types: Mapping[str, Sequence[KeyType]],
        doorbells: Collection[str],
        pipeline: Pipeline,
    ) -> None:
        """`types`: key types by watch id. `doorbells`: watches that ring and tell no keys."""
        self._types = types
        self._doorbells = doorbells
        self._pipeline = pipeline
        self._changed = threading.Condition()
        self._nonce = ""
        self._mark: int | None = None
        self._sweep_wanted = False
        self._unmapped: dict[int, str] = {}
        self.rung = 0
        """How often a doorbell has rung since `take_rings`."""
        self.session = 0
        """Number of the LISTEN connection; 0: there is none."""
        self.standing_by = False
        """Whether another daemon holds the lock."""
        self.refused: str | None = None
        """Why there is no LISTEN connection before a person has mended something."""
        self.fenced = False
        """Whether our writes were refused since it was last set to False."""

    # -- called by the LISTEN thread -------------------------------------------------------------

    def on_session(self, session: int) -> None:
        """LISTEN is in force."""
        with self._changed:
            self.session = session
            self.standing_by = False
            self.refused = None
            self._changed.notify_all()

    def on_standby(self) -> None:
        """Another daemon holds the lock."""
        with self._changed:
            self.standing_by = True
            self.refused = None
            self._changed.notify_all()

    def on_lost(self) -> None:
        """The LISTEN connection is gone."""
        with self._changed:
            self.session = 0
            self._changed.notify_all()

    def on_refused(self, reason: str | None) -> None:
        """There will be none before a person has mended this; None: it may pass by itself."""
        self.refused = reason

    def on_change(self, change: Change) -> None:
        """Hand changed keys to the pipeline; anything larger asks for a sweep.

        `reconcile` too: a payload may be forged, but the journal row that goes with it is not.
        """
        kinds = self._types.get(change.watch)
        if kinds is None:
            raise PayloadError("a table that this pipeline does not watch")
        if change.kind == "keys":
            keys = canonical_keys(change.keys, kinds)
            if self._pipeline.add(change.watch, keys):
                return
        if change.kind == "sweep" and change.watch in self._doorbells:
            with self._changed:
                self.rung += 1
                self._changed.notify_all()
            return
        self.want_sweep()

    def on_barrier(self, nonce: str) -> None:
        """Everything that was queued before this barrier has been handed to the pipeline.

        Whoever listens sees the nonce, and may send it too; but our own barrier is queued by then,
        behind all that it speaks for, and the second one counts no more.
        """
        with self._changed:
            if nonce != self._nonce or self._mark is not None:
                raise PayloadError("a barrier that is not awaited")
            self._mark = self._pipeline.mark()
            self._changed.notify_all()

    # -- called by others ------------------------------------------------------------------------

    def on_fenced(self) -> None:
        """Our writes are refused. Called by a sender's thread."""
        with self._changed:
            self.fenced = True
            self._changed.notify_all()

    def on_unmapped(self, document: int, reason: str) -> bool:
        """Rows may concern documents of this kind, and none can tell which; whether that is news.
        Called by the pipeline's worker."""
        with self._changed:
            news = document not in self._unmapped
            self._unmapped.setdefault(document, reason)
            return news

    @property
    def unmapped(self) -> bool:
        """Whether documents wait to be compared for it."""
        return bool(self._unmapped)

    def take_unmapped(self) -> dict[int, str]:
        """Documents that must be compared for it, and why; whoever takes them does it."""
        with self._changed:
            taken, self._unmapped = self._unmapped, {}
            return taken

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

    def take_rings(self) -> int:
        """How often a doorbell rang; the poll that follows answers it."""
        with self._changed:
            rung, self.rung = self.rung, 0
            return rung

    def wake(self) -> None:
        """Let those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true that may change here."""
        with self._changed:
            return self._changed.wait_for(until, seconds)

    def wait_for_work(
        self, session: int, stopped: Callable[[], bool], seconds: float, *, rings: bool
    ) -> bool:
        """Wait for a sweep's request, a fence or another session; at most `seconds`.

        `rings`: or until the doorbell rings. Returns whether anything but a ring has come.
        """

        def work() -> bool:
            return stopped() or self._sweep_wanted or self.fenced or self.session != session

        self.wait(lambda: work() or (rings and self.rung > 0), seconds)
        return work()

    def new_nonce(self) -> str:
        """A nonce for the next barrier; the one before counts no more."""
        with self._changed:
            self._nonce, self._mark = secrets.token_hex(16), None
            return self._nonce

    def wait_barrier(self, session: int, stopped: Callable[[], bool], seconds: float) -> int | None:
        """Wait for the barrier of the last nonce; the pipeline's mark, None where it is missing."""
        self.wait(lambda: self._mark is not None or self.session != session or stopped(), seconds)
        return self._mark
