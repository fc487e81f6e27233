"""After a request without an answer: what is told where no new generation could be taken."""

from __future__ import annotations

from typing import Any, cast

from listener.indexing.batch import Limits
from listener.indexing.pipeline import Pipeline
from listener.observations.events import Observation, Waiting
from listener.runtime.backoff import Backoff
from listener.search.versions import Versions


def test_the_reason_is_told_as_it_is() -> None:
    told: list[Observation] = []
    pipeline = Pipeline(
        sources=[],
        routes={},
        limits=Limits(2000, 5_000_000, 30_000, 1000),
        client=cast(Any, None),
        versions=Versions(),
        connect=cast(Any, None),
        parked=cast(Any, None),
        backoff=lambda: Backoff(1, 2, 30),
        observe=told.append,
        on_fenced=lambda: None,
        renew_fence=lambda: "the alias movies.w1 leads to two indexes",
        on_unmapped=lambda *_: None,
        fatal=cast(Any, None),
    )
    pipeline._shut_out_late_requests()
    [waiting] = [one for one in told if isinstance(one, Waiting)]
    assert waiting.reason == "the alias movies.w1 leads to two indexes"
    pipeline.stop()
