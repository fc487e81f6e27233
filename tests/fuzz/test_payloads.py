"""Payloads: whatever arrives is a change, a barrier, or a PayloadError."""

from __future__ import annotations

import json
from contextlib import suppress
from uuid import UUID

from hypothesis import strategies as st

from listener.changes import (
    BarrierPayload,
    Change,
    Key,
    KeyType,
    PayloadError,
    canonical_key,
    decode_payload,
)
from tests.fuzz.kit import TYPES, fuzz
from tests.fuzz.shapes import ALMOST_PARTS, ANY_TEXT, JSON, KEY_TEXT, almost_payloads


def strictly(text: str) -> object:
    """The value as a reader sees it that forgives nothing: a list of pairs for each object."""

    def refuse(name: str) -> object:
        raise ValueError(name)

    return json.loads(text, object_pairs_hook=list, parse_constant=refuse)


def check(payload: str) -> None:
    """Nothing but PayloadError; and what is taken is plainly ours."""
    try:
        value = decode_payload(payload)
    except PayloadError:
        return
    pairs = strictly(payload)
    assert isinstance(pairs, list)
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names)
    members = dict(pairs)
    version = members.pop("v")
    assert (version, type(version)) == (1, int)
    if isinstance(value, BarrierPayload):
        assert members == {"barrier": value.nonce}
        assert len(value.nonce) <= 64
        return
    assert members.pop("w") == value.watch
    if value.kind != "keys":
        assert members == {value.kind: True}
        assert not value.keys
        return
    assert [[key] if isinstance(key, str) else key for key in members["k"]] == [
        list(key) for key in value.keys
    ]
    assert all(key and all(isinstance(part, str) for part in key) for key in value.keys)


@fuzz(ANY_TEXT)
def test_any_text_as_payload(payload: str) -> None:
    """Any text at all."""
    check(payload)


@fuzz(JSON)
def test_any_json_as_payload(value: object) -> None:
    """Any JSON, and what Python takes for it."""
    check(json.dumps(value))


@fuzz(almost_payloads())
def test_almost_a_payload(payload: str) -> None:
    """One of ours with something wrong."""
    check(payload)


@fuzz(
    ANY_TEXT,
    st.lists(KEY_TEXT | st.lists(KEY_TEXT, min_size=1, max_size=3), max_size=8),
    st.booleans(),
)
def test_payload_reads_back(watch: str, keys: list[str | list[str]], ascii_only: bool) -> None:
    """Whatever keys of whatever watch: they come out as they went in."""
    payload = json.dumps({"v": 1, "w": watch, "k": keys}, ensure_ascii=ascii_only)
    wanted = tuple((key,) if isinstance(key, str) else tuple(key) for key in keys)
    assert decode_payload(payload) == Change(watch, "keys", wanted)


@fuzz(
    st.lists(st.tuples(ALMOST_PARTS, st.sampled_from(TYPES)), min_size=1, max_size=2),
    st.sampled_from([[], [], [], [], [], ["one too many"]]),
)
def test_any_texts_as_key(typed: list[tuple[str, KeyType]], more: list[str]) -> None:
    """A key of its types, spelled in one way, or a PayloadError; never one that SQL refuses."""
    parts, types = [part for part, _ in typed] + more, [kind for _, kind in typed]
    key: Key | None = None
    with suppress(PayloadError):
        key = canonical_key(parts, types)
    if key is not None:
        assert canonical_key(key, types) == key
        assert "\0" not in "".join(key)
        "".join(key).encode()
        for part, kind in zip(key, types, strict=True):
            if kind in ("smallint", "integer", "bigint"):
                assert str(int(part)) == part
            elif kind == "uuid":
                assert str(UUID(part)) == part
            else:
                assert part in parts
