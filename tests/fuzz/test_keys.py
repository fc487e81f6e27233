"""Keys and ids: no two keys have one id, and each id leads back to its key."""

from __future__ import annotations

from hypothesis import strategies as st

from listener.changes import (
    Key,
    KeyType,
    PayloadError,
    canonical_key,
    document_id,
    key_of_id,
    sendable,
)
from tests.fuzz.kit import TYPES, fuzz
from tests.fuzz.shapes import ANY_TEXT, JSON, typed_keys

Typed = tuple[tuple[KeyType, ...], tuple[Key, ...]]


@fuzz(typed_keys())
def test_ids_are_injective(typed: Typed) -> None:
    """Equal ids exactly where the keys are equal; and the way back."""
    types, (first, second) = typed
    ids = [document_id(key, types) for key in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)
    for key, doc_id in zip((first, second), ids, strict=True):
        assert key_of_id(doc_id, types) == key
        assert canonical_key(key, types) == key
        assert sendable(doc_id) == (1 <= len(doc_id.encode()) <= 512)


@fuzz(ANY_TEXT | JSON.map(repr), st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
def test_any_text_as_id(text: str, types: list[KeyType]) -> None:
    """Ids found in an index may be anything: a key, or a PayloadError."""
    try:
        key = key_of_id(text, types)
    except PayloadError:
        return
    assert key_of_id(document_id(key, types), types) == key
