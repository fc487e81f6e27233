"""Senders of bulk requests whose server gives no answer."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.indexing.ledger import Batch, Limits, Shared
from listener.indexing.outage import Outage
from listener.indexing.queue import Job
from listener.indexing.senders import Senders
from listener.observations.events import Observation
from listener.runtime.backoff import Backoff
from listener.search.bulk import Document
from listener.search.sink import Target, Versions


class Sending:
    """Senders to a port where no server listens: a request has no answer."""

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
