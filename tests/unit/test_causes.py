"""Refusals that are alike are one cause, with a count, some ids and the line that mends it."""

from __future__ import annotations

from typing import Any

import pytest

from listener.documents.causes import Causes

STRICT = (
    "strict_dynamic_mapping_exception: [1:52] mapping set to strict, dynamic introduction of "
    "[{}] within [{}] is not allowed"
)
PARSING = "document_parsing_exception: [1:{}] failed to parse field [rating] of type [float]"


def test_what_is_alike_is_one() -> None:
    """Places and numbers do not tell causes apart; the most frequent comes first."""
    causes = Causes()
    causes.add("x", STRICT.format("length", "_doc"))
    for number in range(300):
        value = f"about {number}" if number else chr(0x4E00 + number)
        reason = f"{PARSING.format(number)}. Preview of field's value: '{value}'"
        causes.add(str(number), reason, document={"rating": value} if number else None)
    first, second = causes.all()
    assert causes.count == 301
    assert (first.count, first.ids) == (300, ["0", "1", "2", "3", "4"])
    assert (
        first.reason == "document_parsing_exception: failed to parse field [rating] of type [float]"
    )
    assert first.example == "\u4e00"
    assert second.count == 1


SERVERS = {
    "a preview of the value": f"{PARSING.format(7)}. Preview of field's value: '{{}}'",
    "a preview that was cut": f"{PARSING.format(7)}. Preview of field's value: 'it's \"{{}}",
    "a value in brackets": "parsing: Failed to parse value [{}] as only [true] or [false]",
    "a date": "document_parsing_exception: failed to parse date field [{}] with format [strict]",
    "a value in single quotes": "illegal_argument_exception: '{}' is not an IP string literal.",
    "a value in double quotes": 'invalid input syntax for type integer: "{}" (SQLSTATE 22P02)',
    "a range": 'value "{}" is out of range for type integer (SQLSTATE 22003)',
}


@pytest.mark.parametrize("reason", SERVERS.values(), ids=list(SERVERS))
def test_words_of_a_document_tell_nothing_apart(reason: str) -> None:
    """Each document has other words, at the place where either server repeats a value."""
    causes = Causes()
    for number in range(100):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        causes.add(str(number), reason.replace("{}", f"the {word} of it's {word * 9}"))
    assert [one.count for one in causes.all()] == [100]


def test_names_tell_causes_apart() -> None:
    """Of fields, types, columns: they are no values."""
    causes = Causes()
    for name in ("title", "born"):
        causes.add("1", STRICT.format(name, "_doc"))
        causes.add("1", STRICT.format("x", name))
        causes.add("1", f"failed to parse field [{name}] of type [float]")
        causes.add("1", f"failed to parse field [x] of type [{name}]")
        causes.add("1", f'null value in column "{name}" (SQLSTATE 23502)')
        causes.add("1", f'Document contains an immense term in field="{name}", prefix [6, 7]')
    assert len(causes.all()) == 12


def test_so_many_causes_are_told_apart_and_no_more() -> None:
    """Whatever the reasons are: memory is bounded, and none is lost."""
    causes = Causes()
    for number in range(1000):
        causes.add(str(number), f"reason {chr(0x4E00 + number)}")
    assert len(causes.all()) == 201
    assert causes.count == 1000
    assert causes.all()[0].reason == "other reasons"


@pytest.mark.parametrize(
    ("field", "within", "document", "mend"),
    [
        ("n", "_doc", {"n": 90}, 'mappings.properties: "n": {"type": "long"}'),
        ("n", "_doc", {"n": True}, 'mappings.properties: "n": {"type": "boolean"}'),
        ("n", "_doc", {"n": [1.5]}, 'mappings.properties: "n": {"type": "double"}'),
        ("n", "_doc", {"n": "2026-01-31"}, 'mappings.properties: "n": {"type": "date"}'),
        ("n", "_doc", {"n": "two words"}, 'mappings.properties: "n": {"type": "text"}'),
        ("n", "_doc", {}, 'mappings.properties: "n": {"type": "keyword"}'),
        (
            "born",
            "actors.of",
            {"actors": [{"of": {}}, {"of": {"born": 1970}}]},
            'mappings.properties.actors.properties.of.properties: "born": {"type": "long"}',
        ),
    ],
)
def test_the_line_for_a_field_that_is_missing(
    field: str, within: str, document: Any, mend: str
) -> None:
    """With its place in the mapping, and a type that takes the value."""
    causes = Causes()
    causes.add("1", STRICT.format(field, within), document=document)
    [cause] = causes.all()
    assert cause.mend.startswith(f"{mend}; or leave it out")


def test_the_line_for_a_field_of_a_wrong_type() -> None:
    """Both ways out: the query or the mapping."""
    causes = Causes()
    causes.add("1", PARSING.format(7), document={"rating": "n/a"})
    [cause] = causes.all()
    assert cause.mend == (
        'let the query give a value of the type float; or in the mapping: "rating": '
        '{"type": "keyword"}'
    )


def test_a_field_has_one_line_that_mends_it() -> None:
    """It takes the values of all refused documents, whichever comes first and for whichever reason:
    two lines would mend one half each."""
    causes = Causes()
    for number, one in enumerate([None, 90, 1.5, None]):
        causes.add(f"a{number}", STRICT.format("n", "_doc"), document={"n": one})
    for number, (value, reason) in enumerate(
        [(1.5, "out of range"), ("2026-01-31", "no number"), (7, "no"), ("a b", "not that")]
    ):
        told = f"{reason}: failed to parse field [year] of type [long]"
        causes.add(f"b{number}", told, document={"year": value})
    strict, *typed = causes.all()
    assert strict.mend.startswith('mappings.properties: "n": {"type": "double"}; ')
    assert {cause.mend for cause in typed} == {
        'let the query give a value of the type long; or in the mapping: "year": {"type": "text"}'
    }


@pytest.mark.parametrize(
    ("kind", "value", "others", "mend"),
    [
        ("float", 10**400, [], ""),
        ("boolean", 2.8, [None, 1], '; or in the mapping: "f": {"type": "double"}'),
        ("date", 5, ["2026-01-31"], '; or in the mapping: "f": {"type": "keyword"}'),
        ("long", [1, 1.5], [7], '; or in the mapping: "f": {"type": "double"}'),
        ("keyword", {"a": 1}, ["x"], ""),
        (
            "keyword",
            {"a": 1},
            [{"b": True}],
            '; or in the mapping: "f": {"properties": {"a": {"type": "long"}, "b": {"type": '
            '"boolean"}}}',
        ),
    ],
)
def test_a_mapping_takes_what_is_not_refused_too(
    kind: str, value: Any, others: list[Any], mend: str
) -> None:
    """A type for the refused value alone would refuse the others. Where none takes both, the query
    alone mends it."""
    causes = Causes()
    causes.add("1", f"failed to parse field [f] of type [{kind}]", document={"f": value})
    for one in others:
        causes.saw({"f": one})
    query = f"let the query give a value of the type {kind}"
    assert [one.mend for one in causes.all()] == [query + mend]


def test_the_value_in_an_array_that_is_refused() -> None:
    """It is the one that the server shows, not the first."""
    causes = Causes()
    reason = f"{PARSING.format(7)}. Preview of field's value: '{'x' * 60}…'"
    causes.add("1", reason, document={"rating": ["7", "x" * 500]})
    assert causes.all()[0].example == "x" * 500


def test_an_object_here_and_a_value_there() -> None:
    """No mapping takes both."""
    causes = Causes()
    for value in ({"a": 1}, 5):
        causes.add("1", STRICT.format("studio", "_doc"), document={"studio": value})
    [cause] = causes.all()
    assert cause.mend.startswith("let the query give either an object or a value for studio ")
