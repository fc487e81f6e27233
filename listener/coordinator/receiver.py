"""The receiver of notifications: hands keys to the pipeline, and leaves all else in the mailbox."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from listener.changes import Change, KeyType, PayloadError, canonical_keys
from listener.coordinator.mailbox import Mailbox
from listener.failures import Failure
from listener.indexing.pipeline import Pipeline


class Receiver:
    """As of capture.notifications: its methods are called by the LISTEN thread."""

    def __init__(
        self,
        types: Mapping[str, Sequence[KeyType]],
        doorbells: Collection[str],
        pipeline: Pipeline,
        mailbox: Mailbox,
    ) -> None:
        """`types`: key types by watch id. `doorbells`: watches that ring and tell no keys."""
        self._types = types
        self._doorbells = doorbells
        self._pipeline = pipeline
        self._mailbox = mailbox

    def on_session(self, session: int) -> None:
        """LISTEN is in force."""
        self._mailbox.listening(session)

    def on_standby(self) -> None:
        """Another daemon holds the lock."""
        self._mailbox.stands_by()

    def on_lost(self) -> None:
        """The LISTEN connection is gone."""
        self._mailbox.lost()

    def on_refused(self, failure: Failure, *, passes: bool) -> None:
        """There is no connection for this. Not `passes`: a person must mend it before."""
        self._mailbox.refuse(failure, passes=passes)

    def on_change(self, change: Change) -> None:
        """Hand changed keys to the pipeline; anything larger asks for a sweep.

        `reconcile` too: a payload may be forged, but the journal row that goes with it is not.
        Raises PayloadError where the watch is not one of this pipeline, or a key cannot be one of
        its table.
        """
        kinds = self._types.get(change.watch)
        if kinds is None:
            raise PayloadError("a table that this pipeline does not watch")
        if change.kind == "keys":
            keys = canonical_keys(change.keys, kinds)
            if self._pipeline.add(change.watch, keys):
                return
        if change.kind == "sweep" and change.watch in self._doorbells:
            self._mailbox.ring()
            return
        self._mailbox.want_sweep()

    def on_barrier(self, nonce: str) -> None:
        """Everything that was queued before this barrier has been handed to the pipeline.

        Raises PayloadError where it is not awaited.
        """
        if not self._mailbox.awaits(nonce):  # it may be forged: no mark is made for it
            raise PayloadError("a barrier that is not awaited")
        self._mailbox.barrier(nonce, self._pipeline.mark())
