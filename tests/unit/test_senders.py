"""A batch that was read too long ago is not sent: its ids are read again."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import elastic
from listener.backoff import Backoff
from listener.batches import Batch, Limits, Shared
from listener.bulk import Document
from listener.config import ElasticsearchConfig
from listener.observations import Indexed, Observation
from listener.outages import Outage
from listener.pending import Job
from listener.senders import BATCH_AGE, Senders
from listener.sink import Target, Versions


@pytest.mark.parametrize("age", [0.0, BATCH_AGE + 1])
def test_a_batch_has_an_age_limit(age: float) -> None:
    """A quarter of gc_deletes after the read. Nobody listens at the port: if a request is made, it
    has no answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = elastic.connect(
        ElasticsearchConfig.model_validate({"urls": [f"http://127.0.0.1:{port}"]})
    )
    shared = Shared(1, Limits(documents=10, bytes=1_000_000, pending=100, parked=10))
    versions = Versions()
    versions.begin(1)
    seen: list[Observation] = []
    senders = Senders(
        shared=shared,
        sources=cast(Any, [SimpleNamespace(name="a")]),
        client=client,
        versions=versions,
        outage=Outage("Elasticsearch", Backoff(1, 2, 10), seen.append),
        observe=seen.append,
        on_fenced=lambda: None,
        fatal=lambda error: pytest.fail(repr(error)),
    )
    job = Job()
    job.add()
    with shared.lock:
        shared.flying[0].add(("1",))
        senders.dispatch(
            Batch(
                0,
                {("1",): (job,)},
                (Target("a.w1"),),
                versions.draw(),
                live=True,
                read_at=time.monotonic() - age,
                documents=[Document(("1",), "1", b"{}")],
            )
        )
    senders.stop()
    client.close()
    assert shared.lost == (age == 0)  # whether it was sent
    assert list(shared.pending.ids[0].waiting) == [("1",)]
    assert not shared.flying[0]
    assert not job.finished
    [indexed] = [one for one in seen if isinstance(one, Indexed)]
    assert (indexed.written, indexed.retried) == (0, 1)
