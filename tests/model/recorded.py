"""What the real pipeline does, step by step: its own functions, written down as they are called."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from listener.changes import Key
from listener.documents.source import DocumentSource
from listener.indexing.ledger import Ledger
from listener.indexing.senders import Senders
from listener.search.sink import send
from listener.search.versions import Versions


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ids that were taken, read, sent or answered; `lost`: without an answer; `by`: which
    function took them."""

    name: str
    keys: frozenset[Key] = frozenset()
    version: int = 0
    document: int = 0
    lost: bool = False
    by: str = ""


@dataclass
class Record:
    """All calls, in their order; `changed` is told of each."""

    calls: list[Call] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    at_send: Callable[[], object] | None = None
    """Called once, right before the next request for documents."""

    def note(self, call: Call) -> None:
        """One more."""
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def wait_for(self, wanted: Callable[[Call], bool], after: int = 0, seconds: float = 30) -> None:
        """Wait for a call; on failure the last ones are shown."""
        with self.changed:
            if not self.changed.wait_for(lambda: any(map(wanted, self.calls[after:])), seconds):
                pytest.fail(f"it did not come; the last calls: {self.calls[-30:]}")


def record(patch: pytest.MonkeyPatch) -> Record:
    """Write down what every pipeline of this process does from now on."""
    made = Record()
    _taking(made, patch, "take", items=1)
    _taking(made, patch, "add_page", items=2)
    _taking(made, patch, "take_suspects", items=1)
    _taking(made, patch, "take_witness", items=1)
    draw, begin, read = Versions.draw, Versions.begin, DocumentSource.read_through
    answered = Senders._answered

    def drawing(self: Versions) -> int:
        version = draw(self)
        made.note(Call("Versions.draw", version=version))
        return version

    def beginning(self: Versions, generation: int) -> None:
        begin(self, generation)
        made.note(Call("Versions.begin", version=generation))

    def reading(self: DocumentSource, connection: Any, keys: Any) -> Any:
        if threading.current_thread().name == "pipeline":
            made.note(Call("Reader.read", frozenset(keys)))
        return read(self, connection, keys)

    def sending(client: Any, documents: Any, targets: Any, version: int, **more: Any) -> Any:
        keys = frozenset(one.key for one in documents)
        fault, made.at_send = made.at_send, None
        if fault is not None:
            fault()
        made.note(Call("sink.send", keys, version))
        return send(client, documents, targets, version, **more)

    def answering(self: Senders, batch: Any, sent: Any) -> None:
        # before the ids are free: the worker may take them at once
        keys = frozenset(one.key for one in batch.documents)
        made.note(Call("Senders._answered", keys, batch.version, batch.kind, sent.lost))
        answered(self, batch, sent)

    patch.setattr(Versions, "draw", drawing)
    patch.setattr(Versions, "begin", beginning)
    patch.setattr(DocumentSource, "read_through", reading)
    patch.setattr("listener.indexing.senders.send", sending)
    patch.setattr(Senders, "_answered", answering)
    return made


def _taking(made: Record, patch: pytest.MonkeyPatch, name: str, *, items: int) -> None:
    """Note which ids a function of Ledger adds to the batch; `items`: which argument that is."""
    take = getattr(Ledger, name)

    def taking(self: Ledger, *arguments: Any, **more: Any) -> Any:
        batch = arguments[items]
        before = set(batch)
        result = take(self, *arguments, **more)
        if set(batch) != before:
            made.note(Call("Ledger.take", frozenset(set(batch) - before), by=name))
        return result

    patch.setattr(Ledger, name, taking)
