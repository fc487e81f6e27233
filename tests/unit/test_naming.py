"""Names in SQL texts: where they stand, how they are spelled, and what is no name at all."""

from __future__ import annotations

import pytest

from listener.documents.naming import names_of


@pytest.mark.parametrize(
    ("text", "relations"),
    [
        ("SELECT 1 FROM film", {(None, "film")}),
        ("SELECT 1 FROM App.Film AS f", {("app", "film")}),
        ('SELECT 1 FROM "App" . "Fi""lm"', {("App", 'Fi"lm')}),
        ("SELECT 1 FROM a x, b y JOIN ONLY c ON true", {(None, "a"), (None, "b"), (None, "c")}),
        ("SELECT 1 FROM /* from /* old */ gone */ a -- from gone\n", {(None, "a")}),
        ("SELECT NULL::film", {(None, "film")}),
        ("DECLARE x film%ROWTYPE", {(None, "film")}),
        ("EXECUTE 'SELECT 1 FROM film WHERE a = ''FROM x'''", {(None, "film"), (None, "x")}),
        ("AS $f$ SELECT $$FROM film$$ $f$", {(None, "film")}),
        ('SELECT 1 FROM U&"f\\0069lm"', {(None, "film")}),
        ("SELECT 1 FROM U&\"f!0069lm\" UESCAPE '!'", {(None, "film")}),
        ("SELECT 1 FROM U&\"f!0069lm\" -- x\n uescape '!'", {(None, "film")}),
        ("EXECUTE U&'FROM f\\005Film'", {(None, "f_ilm")}),
        (
            r"EXECUTE E'FROM\n\x66ilm, \146oo, f\u005Fx'",
            {(None, "film"), (None, "foo"), (None, "f_x")},
        ),
        ("EXECUTE 'SELECT 1 FROM fi'\n  'lm'", {(None, "film")}),
        ("SELECT 1 FROM ÉTAT", {(None, "\u00c9tat")}),
        ("SELECT 1 FROM film WHERE id = ANY(%(film_ids)s)", {(None, "film")}),
        ("SELECT t.title AS country FROM film t", {("t", "title"), (None, "film")}),
    ],
)
def test_relations(text: str, relations: set[tuple[str | None, str]]) -> None:
    """They stand where one can stand; more may be found, none is missed."""
    found = names_of(text).relations
    assert found >= relations
    assert not found & {(None, "gone"), (None, "country"), (None, "film_ids")}


def test_calls_and_columns() -> None:
    """A function stands before a bracket, or behind a dot."""
    found = names_of("SELECT app.shown (f.id), f.stars, lower\n(x) FROM film f")
    assert found.calls >= {("app", "shown"), (None, "lower")}
    assert {"stars", "id"} <= found.attributes
    assert names_of("SELECT (f).stars, $1.title, a[1].b, 1.5").attributes >= {"stars", "title", "b"}
    assert (None, "film") not in found.calls


@pytest.mark.parametrize(
    "text", ["'", '"', "$a$ x", "/* /* */", "E'\\'", "\0", "$", "a.", "::", r"E'\uD83D \x0'"]
)
def test_odd_texts(text: str) -> None:
    """What is no SQL does no harm."""
    names_of(text)


def test_literals_are_names_where_they_become_some() -> None:
    """`'app.film'::regclass`, and what EXECUTE puts together."""
    found = names_of("SELECT 'app.film'::regclass, 'no name', 'App'")
    assert found.dynamic
    assert found.literals >= {"app", "film", "App"}
    assert "no" not in found.literals
    assert not names_of("SELECT 'film'").dynamic


@pytest.mark.parametrize("text", [r'FROM U&"\D83D"', r"EXECUTE E'\uD83D \x0'"])
def test_no_name_that_a_server_does_not_take(text: str) -> None:
    """Half of a pair of surrogates, or a zero."""
    for name in names_of(text).all:
        name.encode()
