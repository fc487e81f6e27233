"""All fields that a strict mapping lacks are told at once, with lines that take them."""

from __future__ import annotations

from typing import Any

import pytest

from listener.documents.lacking import lacking, mends

_LEAF = {"type": "keyword"}


def test_all_fields_are_named_with_their_places() -> None:
    """Of all documents, in arrays and objects too; an object that is lacking is one field."""
    mappings = {
        "dynamic": "strict",
        "properties": {"id": _LEAF, "actors": {"properties": {"name": _LEAF}}},
    }
    found = lacking(
        mappings,
        [
            {"id": 1, "length": None, "actors": [{"name": "a"}, {"born": 1970, "name": "b"}]},
            {"id": 2, "length": 90, "studio": {"name": "x", "at": ["2026-01-31"]}},
        ],
    )
    assert mends(found) == [
        'mappings.properties: "length": {"type": "long"}, "studio": {"properties": {"name": '
        '{"type": "keyword"}, "at": {"type": "date"}}}',
        'mappings.properties.actors.properties: "born": {"type": "long"}',
    ]


@pytest.mark.parametrize(
    ("mappings", "document", "fields"),
    [
        ({"dynamic": True}, {"a": 1}, []),
        ({"dynamic": "strict", "properties": {"a": {"dynamic": True}}}, {"a": {"b": 1}}, []),
        ({"properties": {"a": {"dynamic": "strict"}}}, {"a": {"b": 1}, "c": 1}, ["a.b"]),
        ({"dynamic": "strict", "properties": {"a": {"type": "flattened"}}}, {"a": {"b": 1}}, []),
        ({"dynamic": "strict", "properties": {"a": {"enabled": False}}}, {"a": {"b": 1}}, []),
        (
            {"dynamic": "strict", "properties": {"a": {"type": "nested"}}},
            {"a": [{"b": 1}]},
            ["a.b"],
        ),
        ({"dynamic": "strict", "properties": {"a": {"properties": {"b": _LEAF}}}}, {"a.b": 1}, []),
        (
            {"dynamic": "strict", "properties": {"a": {"properties": {"b": _LEAF}}}},
            {"a.c": 1},
            ["a.c"],
        ),
        ({"dynamic": "strict", "properties": {"a.b": _LEAF}}, {"a.b": 1}, []),
    ],
)
def test_only_what_is_strict(mappings: Any, document: Any, fields: list[str]) -> None:
    """A place inherits it; types that take any content, and fields with dots, are no lack."""
    assert [".".join(path) for path in lacking(mappings, [document])] == fields


def test_a_field_takes_all_of_its_values() -> None:
    """In whichever order they come; an object of some has the fields of all."""
    values: list[Any] = [
        {"n": 90, "s": {"a": 1}, "m": {"a": 1}, "d": "2026-01-31", "b": True},
        {"n": 1.5, "s": [{"b": None}, {"a": "x y"}], "m": 5, "d": None, "b": 7},
    ]
    for documents in (values, values[::-1]):
        lines = mends(lacking({"dynamic": "strict", "properties": {}}, documents))
        assert lines[0].startswith("let the query give either an object or a value for m ")
        for line in (
            '"n": {"type": "double"}',
            '"d": {"type": "date"}',
            '"b": {"type": "keyword"}',
            '"a": {"type": "text"}',
        ):
            assert line in lines[1], lines
