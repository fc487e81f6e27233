"""Senders of bulk requests whose server gives no answer."""

from __future__ import annotations

import socket
import time
from typing import Any, cast

from listener import search
from listener.config import ElasticsearchConfig
from listener.indexing.answers import Answers
from listener.indexing.batch import Batch, Limits
from listener.indexing.outage import Outage
from listener.indexing.queue import Job
from listener.indexing.refresher import Refresher
from listener.indexing.senders import Senders
from listener.observations.events import ServerName
from listener.runtime.backoff import Backoff
from listener.search.bulk import Document
from listener.search.write_aliases import Target
from tests.kit.indexing import FailingLife, Noted, OneKind


class Sending(OneKind):
    """Senders to a port where no server listens: a request has no answer."""

    def __init__(self) -> None:
        super().__init__(Limits(documents=10, bytes=1_000_000, pending=100, parked=10))
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.client = search.connect(
            ElasticsearchConfig.model_validate({"urls": [f"http://127.0.0.1:{port}"]})
        )
        self.outages.elasticsearch = self.outage = Outage(
            ServerName.ELASTICSEARCH, Backoff(1, 2, 10), self.seen.append
        )
        self.supervisor = Noted()
        self.senders = Senders(
            ledger=self.ledger,
            refresher=Refresher(
                ledger=self.ledger,
                gate=self.gate,
                client=self.client,
                observe=self.seen.append,
                life=FailingLife(),
            ),
            sources=self.sources,
            client=self.client,
            answers=Answers(self.gate, self.ledger, cast(Any, None), self.outages, self.supervisor),
            observe=self.seen.append,
            life=FailingLife(),
        )

    def send(self, body: bytes, *, age: float = 0.0) -> Job:
        """One document that was read so many seconds ago; waits until it is settled."""
        job = Job()
        job.add()
        self.work.flying.add(("1",))
        self.senders.dispatch(
            Batch(
                0,
                {("1",): (job,)},
                Target("a.w1"),
                self.gate.draw(),
                read_at=time.monotonic() - age,
                documents=[Document(("1",), "1", body)],
            )
        )
        self.senders.stop()
        self.client.close()
        return job
