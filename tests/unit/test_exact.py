"""JSON is compared as it was written."""

from __future__ import annotations

import pytest

from listener.search.exact_json import UnreadableJson, depth, document, only_source, read, same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a": 1e400}', b'{"a": 1e401}'),
        (b'{"a": 1.0000000000000000000001}', b'{"a": 1.0}'),
        (b'{"a": ' + b"9" * 5000 + b"}", b'{"a": ' + b"9" * 5001 + b"}"),
        (b"[" * 3000 + b"1" + b"]" * 3000, b"[" * 3000 + b"2" + b"]" * 3000),
        (b'{"a": "1"}', b'{"a": 1}'),
        (b'{"a": true}', b'{"a": "true"}'),
        (b'{"a": true}', b'{"a": 1}'),
        (b'{"a": [{"b": ["x", 0.0]}]}', b'{"a": [{"b": ["x", false]}]}'),
    ],
)
def test_what_differs_differs(one: bytes, other: bytes) -> None:
    """Where Python's own reading makes it the same, or gives up."""
    assert same(document(one), document(one))
    assert not same(document(one), document(other))
    assert not same(document(other), document(one))


def test_what_is_the_same_is_the_same() -> None:
    """White space and the order of names are no content."""
    assert same(document(b'{"a": 1.10, "b": [1, true]}'), document(b'{"b":[1,true],"a":1.1}'))
    deep = b"[" * 3000 + b"]" * 3000
    assert same(document(deep), document(b" " + deep + b"\n"))


@pytest.mark.parametrize("text", [b"{", b"[" * 3000, b"\xff", b"1e99999999999999999999999999"])
def test_unreadable(text: bytes) -> None:
    """Told as such, and by nothing else."""
    with pytest.raises(UnreadableJson):
        read(text)


def test_the_source_of_one_document() -> None:
    """As it was sent, also where the id or the source say the same words."""
    source = b'{"raw" : {"_source":1e400}}'
    answer = b'{"docs":[{"_index":"t","_id":"\\"_source\\":","found":true,"_source":%s}]}' % source
    assert only_source(answer) == source
    assert only_source(b'{"docs":[{"_index":"t","_id":"a","found":false}]}') is None


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (b"1", 0),
        (b'{"a": [], "b": {"c": [1]}}', 3),
        (b'{"[[[": "\\"{{{", "\\\\": ["]"]}', 2),
        (b"[" * 100_000 + b"]" * 100_000, 100_000),
    ],
)
def test_depth(text: bytes, levels: int) -> None:
    """By brackets outside of strings."""
    assert depth(text) == levels
