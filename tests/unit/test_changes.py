"""Payloads, keys and ids: what is ours, what is not, and that ids never collide."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.changes import (
    BarrierPayload,
    Change,
    KeyType,
    Notify,
    PayloadError,
    Watch,
    canonical_key,
    decode_payload,
    document_id,
    key_of_id,
    merge_watches,
    sendable,
)
from listener.config import documents as configured

TEXT: tuple[KeyType, ...] = ("text",)
PAIR: tuple[KeyType, ...] = ("integer", "text")

# what PostgreSQL can hold as text: no NUL, no surrogates
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def test_each_kind_of_payload() -> None:
    """The four payloads that the triggers and the coordinator send."""
    assert decode_payload('{"v":1,"w":"a.b(id)","k":["1","2"]}') == Change(
        "a.b(id)", "keys", (("1",), ("2",))
    )
    assert decode_payload('{"v":1,"w":"a.b(x,y)","k":[["1","q"]]}') == Change(
        "a.b(x,y)", "keys", (("1", "q"),)
    )
    assert decode_payload('{"v":1,"w":"a.b(id)","sweep":true}') == Change("a.b(id)", "sweep")
    assert decode_payload('{"v":1,"w":"a.b(id)","reconcile":true}') == Change(
        "a.b(id)", "reconcile"
    )
    assert decode_payload('{"v":1,"barrier":"n"}') == BarrierPayload("n")


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "hello",
        "[]",
        "1" * 5000,
        '{"v":2,"w":"a.b(id)","k":["1"]}',
        '{"v":true,"w":"a.b(id)","k":["1"]}',
        '{"v":1,"w":"a.b(id)","k":[1]}',
        '{"v":1,"w":"a.b(id)","k":[[]]}',
        '{"v":1,"w":"a.b(id)","k":[["a",null]]}',
        '{"v":1,"w":"a.b(id)","k":["1"],"more":1}',
        '{"v":1,"w":"a.b(id)","sweep":1}',
        '{"v":1,"w":7,"k":["1"]}',
        '{"v":1,"barrier":"' + "x" * 65 + '"}',
        "[" * 3000,
    ],
)
def test_what_is_not_ours_is_refused(payload: str) -> None:
    """A payload of somebody else is an error, never an exception of another kind."""
    with pytest.raises(PayloadError):
        decode_payload(payload)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_payload_crashes_the_decoder(payload: str) -> None:
    """Whatever arrives: a value of ours, or PayloadError."""
    try:
        value = decode_payload(payload)
    except PayloadError:
        return
    assert isinstance(value, Change | BarrierPayload)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("32768", "smallint"),
        ("2147483648", "integer"),
        ("9223372036854775808", "bigint"),
        ("01", "integer"),
        ("+1", "integer"),
        ("1 ", "integer"),
        ("\u0661", "integer"),
        ("", "integer"),
        ("1_000", "integer"),
        ("not-a-uuid", "uuid"),
        ("{12140240-3ad7-5b74-b874-582a326c9c44}", "uuid"),
        ("a\0b", "text"),
        ("\ud800", "text"),
    ],
)
def test_keys_of_another_type_are_refused(text: str, kind: KeyType) -> None:
    """A key that the column could never hold changes nothing."""
    with pytest.raises(PayloadError):
        canonical_key((text,), (kind,))


def test_keys_are_spelled_as_postgresql_spells_them() -> None:
    """One row has one key, however a payload writes it."""
    assert canonical_key(("-0",), ("bigint",)) == ("0",)
    assert canonical_key(("12140240-3AD7-5B74-B874-582A326C9C44",), ("uuid",)) == (
        "12140240-3ad7-5b74-b874-582a326c9c44",
    )
    with pytest.raises(PayloadError):
        canonical_key(("1",), PAIR)


@given(texts)
def test_a_single_key_is_its_own_id(text: str) -> None:
    """The id of a single key is the key's text, and back."""
    assert document_id((text,), TEXT) == text
    assert key_of_id(text, TEXT) == (text,)


@given(
    st.tuples(st.integers(-(2**31), 2**31 - 1), texts),
    st.tuples(st.integers(-(2**31), 2**31 - 1), texts),
)
def test_ids_of_composite_keys_are_injective(one: tuple[int, str], two: tuple[int, str]) -> None:
    """Two keys never share an id, and each id gives its key back."""
    first, second = (str(one[0]), one[1]), (str(two[0]), two[1])
    ids = document_id(first, PAIR), document_id(second, PAIR)
    assert (ids[0] == ids[1]) == (first == second)
    assert key_of_id(ids[0], PAIR) == first


@pytest.mark.parametrize("text", ["", "[", "1", "[1]", '[1,"a",2]', "[true,1]", "[null,1]", "{}"])
def test_ids_that_are_no_composite_key(text: str) -> None:
    """What a query returns as id is checked."""
    with pytest.raises(PayloadError):
        key_of_id(text, PAIR)


def test_ids_that_elasticsearch_takes() -> None:
    """512 bytes, not characters; never empty."""
    assert sendable("a")
    assert sendable("é" * 256)
    assert not sendable("é" * 256 + "a")
    assert not sendable("")


def watch(**more: Any) -> Watch:
    """A watch of one table."""
    return Watch("s", "t", ("id",), **more)


def test_watches_of_one_table_and_key_become_one() -> None:
    """Columns are united; no list on one side means any column."""
    merged = merge_watches([watch(columns=("a", "b")), watch(columns=("b", "c"))])
    assert merged == (watch(columns=("a", "b", "c")),)
    assert merge_watches([watch(columns=("a",)), watch()]) == (watch(),)
    other = Watch("s", "t", ("other",))
    assert merge_watches([watch(), other]) == (watch(), other)


@pytest.mark.parametrize(
    ("notify", "sends_keys", "rings", "notifies"),
    [("rows", True, False, True), ("doorbell", False, True, True), ("off", False, False, False)],
)
def test_what_each_way_to_notify_means(
    notify: Notify, sends_keys: bool, rings: bool, notifies: bool
) -> None:
    """What does not send its keys is polled."""
    one = watch(notify=notify)
    assert (one.sends_keys, one.rings, one.notifies) == (sends_keys, rings, notifies)
    assert one.polled_each_tick == (not sends_keys)


def test_the_configuration_has_the_same_ways_to_notify() -> None:
    """It stands on the same floor, and so has the words once more."""
    assert get_args(Notify) == get_args(configured.Notify)
