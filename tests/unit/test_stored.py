"""The answer to `_mget`, compared as bytes before anything is parsed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from listener import search
from listener.search.stored import Stored

A, B = b'{"_source":{"x": "_source"}}', b'{"b": "\\"_source\\":{"}'


def stored(answer: bytes, *ids: str) -> Stored:
    """An answer of the server."""
    client = SimpleNamespace(perform_request=lambda *_, **__: SimpleNamespace(body=answer))
    return Stored(cast(search.Client, client), "films-1", ids)


def answered(*sources: bytes | None) -> bytes:
    """What Elasticsearch answers. None: there is no such document."""
    docs = [
        b'{"_index":"films-1","_id":"%d","found":false}' % number
        if one is None
        else b'{"_index":"films-1","_id":"%d","_version":1,"found":true,"_source":%s}'
        % (number, one)
        for number, one in enumerate(sources)
    ]
    return b'{"docs":[' + b",".join(docs) + b"]}"


@pytest.mark.parametrize(
    ("sources", "bodies", "same"),
    [
        ([A, B], [A, B], True),
        ([B], [B], True),
        ([A, B], [B, A], False),
        ([A, None], [A, B], False),
        ([None, B], [A, B], False),
        ([A], [A[:-1]], False),
        ([b'{"a":1}'], [b'{"a": 1}'], False),
        ([A, B], [A], False),
        ([None], [A], False),
    ],
)
def test_the_same_bytes(sources: list[bytes | None], bodies: list[bytes], same: bool) -> None:
    """True only where each document is there with these bytes, whatever stands in it."""
    ids = [str(number) for number in range(len(sources))]
    assert stored(answered(*sources), *ids).are(bodies) is same


def test_what_is_there() -> None:
    """By id; what is not there is left out."""
    assert stored(answered(A, None, b"{}"), "0", "1", "2").sources() == {
        "0": {"_source": {"x": "_source"}},
        "2": {},
    }
