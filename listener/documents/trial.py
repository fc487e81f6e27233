"""Trials: documents are sent to a scratch index, to see whether the mapping takes them.

A scratch index lives as long as the command that made it, which holds an advisory lock of its name.
What a killed one has left is removed by the next command: nobody holds its lock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from listener import search
from listener.changes import Key, sendable
from listener.documents.kinds import Kind
from listener.observations.mends import with_mend
from listener.postgres import Connection
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop, Stopped
from listener.search import scratch, sink
from listener.search.bulk import Document
from listener.search.index_config import IndexError_
from listener.search.owners import Owner
from listener.search.verdicts import Outcome

TRIES: Final = 8
"""How often a document is sent while the server has no room."""
_VERSION: Final = 1
_PLACE: Final = re.compile(r" in document with id '[0-9]+'")
"""The id in the scratch index, which is not the document's."""
_TAKEN: Final = (Outcome.DONE, Outcome.CONFLICT)


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    """A document that cannot be indexed, and why.

    `held`: the daemon would not park it, but wait until a person has mended the index. `mend`: the
    command that does, where it is known.
    """

    key: Key
    id: str
    reason: str
    held: bool = False
    mend: str = ""


class ScratchTrial:
    """One scratch index, for the time of a `with`. Its documents are tried by one thread."""

    def __init__(
        self,
        connection: Connection,
        client: search.Client,
        owner: Owner,
        kind: Kind,
        stop: Stop,
    ) -> None:
        """`connection`: holds the lock; nothing else is asked of it while the trial lasts, unless
        by the thread that made it."""
        self._connection = connection
        self._client = client
        self._owner = owner
        self._kind = kind
        self._stop = stop
        self._name = scratch.new_name(kind.index)
        self._scratch: scratch.Scratch | None = None

    @property
    def scratch(self) -> scratch.Scratch:
        """The scratch index. Raises RuntimeError outside of the `with`."""
        if self._scratch is None:
            raise RuntimeError("no scratch index was made")
        return self._scratch

    def __enter__(self) -> Self:
        """Make it, and remove what killed commands have left. Raises IndexError_, also where the
        server does not take the index_config_file; errors of both clients pass through."""
        self._clear_away()
        _lock(self._connection, self._name)
        try:
            self._scratch = scratch.make(self._client, self._owner, self._name, self._kind.config)
        except search.BadRequest as error:
            self._give_up(error)
            path = self._kind.definition.index_config_file
            raise IndexError_(
                f"{self._kind.index}: {path}: no index can be made of it: {search.describe(error)}"
            ) from error
        except BaseException as error:
            self._give_up(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._remove()
        else:
            self._give_up(error)

    def documents(self, documents: Sequence[Document]) -> list[RefusedDocument]:
        """Which of these are refused. Each takes the place of one that was tried before, so the
        index does not grow.

        Raises Unusable where the scratch index is gone, Unreadable where the server has no room
        for long, Stopped.
        """
        found = [
            RefusedDocument(one.key, one.id, "the id is empty, or longer than 512 bytes")
            for one in documents
            if not sendable(one.id)
        ]
        waiting = [one for one in documents if sendable(one.id) and one.body is not None]
        backoff = Backoff(0.2, 2, 5)
        while waiting:
            sent = sink.send(
                self._client,
                [Document(one.key, str(place), one.body) for place, one in enumerate(waiting)],
                self.scratch.target,
                _VERSION,
            )
            again: list[Document] = []
            reason = ""
            for one, verdict in zip(waiting, sent.verdicts, strict=True):
                if verdict.outcome is Outcome.RETRY:
                    again.append(one)
                    reason = with_mend(verdict.reason, verdict.mend)
                elif verdict.outcome is Outcome.FENCED:
                    raise search.Unusable(f"the scratch index {self._name} was removed")
                elif verdict.outcome not in _TAKEN:
                    held = verdict.outcome is Outcome.HOLD
                    reason_of_it = _PLACE.sub("", verdict.reason)
                    found.append(RefusedDocument(one.key, one.id, reason_of_it, held, verdict.mend))
            waiting = again
            if waiting and (backoff.attempt + 1 >= TRIES or self._stop.wait(backoff.next_wait())):
                if self._stop.requested:
                    raise Stopped("stop was requested")
                raise search.Unreadable(f"{self._name} takes no documents: {reason}")
        return found

    def _clear_away(self) -> None:
        for name, _ in list(scratch.left(self._client, self._owner, self._kind.index)):
            if _lock(self._connection, name):
                try:
                    scratch.drop_left(self._client, name)
                finally:
                    _unlock(self._connection, name)

    def _give_up(self, error: BaseException) -> None:
        """Remove the index as far as that can be done. What has ended the trial is told, and not
        what its removal met: who may not make an index may not delete one, either."""
        try:
            self._remove()
        except search.Error as failed:
            error.add_note(f"{self._name} was not removed: {search.describe(failed)}")

    def _remove(self) -> None:
        """Remove the index. The lock goes with the session."""
        self._scratch = None
        scratch.drop(self._client, self._name)


def _lock(connection: Connection, name: str) -> bool:
    """Take the lock of a scratch index; False: the command that made it is at work."""
    row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", (_key(name),)).fetchone()
    return bool(row and row[0])


def _unlock(connection: Connection, name: str) -> None:
    connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (_key(name),))


def _key(name: str) -> int:
    digest = hashlib.sha256(f"listener scratch:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
