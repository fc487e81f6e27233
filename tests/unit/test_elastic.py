"""The client's set-up, without a server."""

from __future__ import annotations

from listener import search
from listener.config import ElasticsearchConfig


def test_a_bulk_body_is_not_copied() -> None:
    client = search.connect(ElasticsearchConfig())
    body = b'{"delete":{"_id":"1"}}\n'
    assert client.transport.serializers.dumps(body, "application/x-ndjson") is body
    assert client.transport.serializers.dumps([{"a": 1}], "application/x-ndjson") == b'{"a":1}\n'
