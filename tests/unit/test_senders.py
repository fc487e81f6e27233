"""A batch that was read too long ago is not sent: its ids are read again. Memory is given back."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.indexing.batch import Batch, Limits
from listener.indexing.ledger import Shared
from listener.indexing.outage import Outage
from listener.indexing.queue import Job
from listener.indexing.senders import BATCH_AGE, Senders
from listener.observations.events import Indexed, Observation
from listener.runtime import memory
from listener.runtime.backoff import Backoff
from listener.search.bulk import Document
from listener.search.versions import Versions
from listener.search.write_aliases import Target


class Sending:
    """Senders to a port where nobody listens: a request has no answer."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.client = search.connect(
            ElasticsearchConfig.model_validate({"urls": [f"http://127.0.0.1:{port}"]})
        )
        self.shared = Shared(1, Limits(documents=10, bytes=1_000_000, pending=100, parked=10))
        self.versions = Versions()
        self.versions.begin(1)
        self.seen: list[Observation] = []
        self.senders = Senders(
            shared=self.shared,
            sources=cast(Any, [SimpleNamespace(name="a")]),
            client=self.client,
            versions=self.versions,
            outage=Outage("Elasticsearch", Backoff(1, 2, 10), self.seen.append),
            observe=self.seen.append,
            on_fenced=lambda: None,
            fatal=lambda error: pytest.fail(repr(error)),
        )

    def send(self, body: bytes, *, age: float = 0.0) -> Job:
        """One document that was read so many seconds ago; waits until it is settled."""
        job = Job()
        job.add()
        with self.shared.lock:
            self.shared.flying[0].add(("1",))
            self.senders.dispatch(
                Batch(
                    0,
                    {("1",): (job,)},
                    (Target("a.w1"),),
                    self.versions.draw(),
                    live=True,
                    read_at=time.monotonic() - age,
                    documents=[Document(("1",), "1", body)],
                )
            )
        self.senders.stop()
        self.client.close()
        return job


@pytest.mark.parametrize("age", [0.0, BATCH_AGE + 1])
def test_a_batch_has_an_age_limit(age: float) -> None:
    """A quarter of gc_deletes after the read."""
    sending = Sending()
    job = sending.send(b"{}", age=age)
    assert sending.shared.lost == (age == 0)  # whether it was sent
    assert list(sending.shared.pending.ids[0].waiting) == [("1",)]
    assert not sending.shared.flying[0]
    assert not job.finished
    [indexed] = [one for one in sending.seen if isinstance(one, Indexed)]
    assert (indexed.written, indexed.retried) == (0, 1)


@pytest.mark.parametrize(("size", "times"), [(1_000, 0), (9_000_000, 1)])
def test_memory_is_given_back_after_a_storm(
    size: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after each edit: it takes some milliseconds."""
    calls: list[None] = []
    monkeypatch.setattr(memory, "give_back", lambda: calls.append(None))
    Sending().send(b'{"a": "%s"}' % (b"x" * size))
    assert len(calls) == times


def test_giving_back_is_harmless() -> None:
    """Also where the C library has no such function."""
    memory.give_back()
