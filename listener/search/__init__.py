"""Elasticsearch and OpenSearch: the client, indexes, and bulk requests."""

from listener.search.client import (
    AS_SENT,
    Client,
    Error,
    Unreadable,
    Unusable,
    connect,
    describe,
    is_blocked,
    is_passing,
)

__all__ = [
    "AS_SENT",
    "Client",
    "Error",
    "Unreadable",
    "Unusable",
    "connect",
    "describe",
    "is_blocked",
    "is_passing",
]
