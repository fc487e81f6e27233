"""Elasticsearch and OpenSearch: the client, its errors, indexes, and bulk requests."""

from listener.search.client import AS_SENT, Client, connect
from listener.search.errors import (
    Away,
    BadRequest,
    Conflict,
    Error,
    Forbidden,
    NotElasticsearch,
    NotFound,
    Refused,
    Unreadable,
    Unusable,
    describe,
    explain,
    is_blocked,
    is_passing,
)

__all__ = [
    "AS_SENT",
    "Away",
    "BadRequest",
    "Client",
    "Conflict",
    "Error",
    "Forbidden",
    "NotElasticsearch",
    "NotFound",
    "Refused",
    "Unreadable",
    "Unusable",
    "connect",
    "describe",
    "explain",
    "is_blocked",
    "is_passing",
]
