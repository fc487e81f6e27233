"""Two documents field by field."""

from __future__ import annotations

import pytest

from listener.resync.fields import SHOWN, cut, differences, text_of
from listener.search.exact_json import document


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (b'{"a": 1}', b'{"a": 1.0}', []),
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', []),
        (b'{"a": true}', b'{"a": 1}', ["~ a: true → 1"]),
        (b'{"a": [0]}', b'{"a": [false]}', ["~ a[0]: 0 → false"]),
        (b'{"a": null}', b"{}", ["- a: null"]),
        (b"{}", b'{"a": null}', ["+ a: null"]),
        (b'{"a": {"b": 1, "c": 2}}', b'{"a": {"b": 3}}', ["~ a.b: 1 → 3", "- a.c: 2"]),
        (b'{"a": ["x"]}', b'{"a": ["x", {"b": "y"}]}', ['+ a[1]: {"b": "y"}']),
        (b'{"a": ["x", "y"]}', b'{"a": ["z"]}', ['~ a[0]: "x" → "z"', '- a[1]: "y"']),
        (b'{"a": [1]}', b'{"a": {"b": 1}}', ['~ a: [1] → {"b": 1}']),
        (b'{"a.b": 1, "": 2}', b'{"a.b": 3, "": 2}', ['~ ["a.b"]: 1 → 3']),
        (b'{"a": 1e400}', b'{"a": 1e401}', ['~ a: "1E+400" → "1E+401"']),
        (b'{"a": "x\\u001b[1m"}', b"{}", ['- a: "x\\u001b[1m"']),
    ],
)
def test_each_field_is_told(before: bytes, after: bytes, lines: list[str]) -> None:
    """With its path, and what it was and is; nothing where the JSON means the same."""
    assert [one.line() for one in differences(document(before), document(after))] == lines


def test_what_python_cannot_read() -> None:
    """Is one difference; deep nesting is no error."""
    deep = b'{"a": ' + b"[" * 3000 + b"1" + b"]" * 3000 + b"}"
    assert list(differences(document(deep), document(deep))) == []
    [found] = differences(document(deep), document(b'{"a": 1}'))
    assert (found.path, found.sort) == ("", "changed")
    assert found.line().startswith("~ the whole document: ")
    nested = [document(b'{"a":' * 300 + one + b"}" * 300) for one in (b"1", b"true")]
    [found] = differences(*nested)
    assert found.sort == "changed"


def test_one_name_for_all_documents() -> None:
    """Places in arrays are left out of it."""
    [found] = differences(document(b'{"a": [{"b": [1]}]}'), document(b'{"a": [{"b": [2]}]}'))
    assert (found.path, found.of_all) == ("a[0].b[0]", "a[].b[]")


def test_values_are_cut() -> None:
    """For people; not for programs."""
    long = "x" * 500
    assert cut(long) == f'"{"x" * (SHOWN - 1)}… (502 characters)'
    assert text_of(long) == f'"{long}"'
