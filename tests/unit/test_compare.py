"""Comparisons: answers of which a part is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import search
from listener.resync.compare import Comparison


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"_shards": {"failed": 1, "failures": [{"reason": {"reason": "no context"}}]}}, "context"),
        ({"_shards": {"failed": 0}, "timed_out": True}, "in time"),
    ],
)
def test_shards_that_do_not_answer(odd: dict[str, Any], why: str) -> None:
    """What they hold is not taken for missing from the index: the comparison is tried again."""
    first = {"_scroll_id": "s", "_shards": {"failed": 0}, "hits": {"hits": [{"_id": "1"}]}}
    client: Any = SimpleNamespace(
        indices=SimpleNamespace(refresh=lambda **_: None),
        search=lambda **_: SimpleNamespace(body=first),
        scroll=lambda **_: SimpleNamespace(body={**first, **odd}),
        options=lambda **_: SimpleNamespace(clear_scroll=lambda **_: None),
    )
    hits = Comparison(cast(Any, None), client, "films", frozenset())._hits()
    assert next(hits) == [{"_id": "1"}]
    with pytest.raises(search.Unreadable, match=why):
        next(hits)
