"""A reader of one document kind without servers: each step is noted, and can be made to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

from listener.changes import Key, Route
from listener.documents.reading import Faulty, Unflushed
from listener.indexing.batch import Batch, Limits, Settled
from listener.indexing.ledger import Wait
from listener.indexing.queue import Job, Jobs
from listener.indexing.reader import Reader
from listener.indexing.senders import Senders
from listener.search.bulk import Document
from listener.search.verdicts import Verdict
from listener.search.write_aliases import Target
from listener.sql import files
from tests.kit.indexing import DONE, OneKind, sent

_STATEMENTS: Final = {
    files.load(f"documents/{name}"): name for name in ("one_snapshot", "flushed", "flush")
}


class Reading(OneKind):
    """`steps`: what was done, in order. Each request that is handed over is one of `requests`."""

    def __init__(self, room: int = 10_000_000, parked: int = 10) -> None:
        """`room`: bytes of a request. `parked`: so many documents at most."""
        super().__init__(Limits(documents=4, bytes=room, pending=100, parked=parked))
        self.steps: list[str] = []
        self.fails: dict[str, Exception] = {}
        """What a step raises, once."""
        self.meanwhile: dict[str, Callable[[], None]] = {}
        """What happens beside a step."""
        self.requests: list[Batch] = []
        self.rows: dict[str, bytes | None] = {}
        """Documents by their ids, where they are not `{}`. None: there is none."""
        self.faults: dict[str, str] = {}
        """Ids on which the query fails, and why."""
        self.unflushed: Unflushed | None = None
        """What must be on disk before it may be sent."""
        self.flushed = False
        """Whether it is on disk by itself when that is asked."""
        self.asked: list[Sequence[Key]] = []
        """The keys of each read."""
        self.source.read_through = self._read_through
        self.connections = 0
        """How many are open."""
        connections: Any = SimpleNamespace(open=self._open)
        parked_sync: Any = SimpleNamespace(
            read=lambda _: self.step("parked read"), write=lambda _: self.step("parked written")
        )
        senders: Any = SimpleNamespace(
            dispatch=self._dispatch,
            stop=lambda: self.step("senders stopped"),
            refresh_when_idle=self._refresh_when_idle,
        )
        self.senders: Senders = senders
        self.reader = Reader(
            connections=connections,
            sources=self.sources,
            ledger=self.ledger,
            size=self.size,
            parked=parked_sync,
            senders=senders,
            observe=self.seen.append,
        )

    def step(self, name: str) -> None:
        """Note it; then it may fail."""
        self.steps.append(name)
        if name in self.meanwhile:
            self.meanwhile[name]()
        if name in self.fails:
            raise self.fails.pop(name)

    def note(self, *names: str) -> None:
        """Notifications name these."""
        self.ledger.add("w", [(name,) for name in names], (Route(0, mapped=False),))

    def batch(self, *names: str) -> tuple[Batch, Job]:
        """A batch of these ids, in flight, and the job that waits for them."""
        job = Job()
        job.add(len(names))
        job.seal()
        items: dict[Key, Jobs] = {(name,): (job,) for name in names}
        self.work.flying.update(items)
        return Batch(0, items, Target("a.w1"), self.gate.draw()), job

    def answer(self, batch: Batch, *verdicts: Verdict, lost: bool = False) -> Settled:
        """A request is answered; without verdicts, all of it was taken."""
        answer = sent(*(verdicts or [DONE] * len(batch.documents)), lost=lost)
        return self.ledger.answered(batch, answer)

    # -- the fakes ---------------------------------------------------------------------------------

    def _open(self, _name: str, *, timed: bool) -> Any:
        assert timed
        self.step("connected")
        self.connections += 1
        return SimpleNamespace(execute=self._execute, close=self._close)

    def _close(self) -> None:
        self.steps.append("closed")
        self.connections -= 1

    def _execute(self, statement: str, _values: object = None) -> Any:
        self.step(_STATEMENTS[statement])
        return SimpleNamespace(fetchone=lambda: (self.flushed,))

    def _read_through(
        self, _connection: object, keys: Sequence[Key]
    ) -> tuple[list[Document | Faulty], Unflushed | None]:
        self.asked.append(keys)
        self.step("read")
        found: list[Document | Faulty] = []
        for key in keys:
            name = key[0]
            if name in self.faults:
                found.append(Faulty(key, self.faults[name]))
            else:
                found.append(Document(key, name, self.rows.get(name, b"{}")))
        return found, self.unflushed

    def _dispatch(self, batch: Batch) -> None:
        self.ledger.sent(0)
        self.requests.append(batch)
        self.step("sent")

    def _refresh_when_idle(self) -> Wait:
        self.step("nothing to do")
        return Wait(None)
