"""The check of watched keys: which must lead to documents, and what is told where none do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener.changes import Key
from listener.checks.finding import Finding
from listener.checks.keys import check_keys
from listener.config import DocumentConfig
from listener.documents.files import QueryFileError
from listener.documents.sampling import KeyTable

KEYS: list[Key] = [("7",), ("8",), ("9",)]


class Watched:
    """Films that watch one more table. `keys`: of that table; `ids`: what its mapping file makes of
    them; `documents`: which of both are ids of documents."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys = list(KEYS)
        self.ids: list[Key] = [("1",), ("2",), ("3",)]
        self.documents: set[Key] = set()
        self.fails: Exception | None = None
        """What a read of the keys raises."""
        self.asked: list[list[Key]] = []
        """Keys of which it was asked whether they are of documents."""
        monkeypatch.setattr(KeyTable, "some", self._some)

    def check(
        self, watch: dict[str, Any], share: float = 1.0, told: tuple[str, ...] = ()
    ) -> list[Finding]:
        """What is found."""
        source = SimpleNamespace(mapped_page=self._mapped_page, existing=self._existing)
        kind: Any = SimpleNamespace(index="films", source=source)
        types = {"public.person(id)": ("bigint",), "public.film(id)": ("bigint",)}
        parts: Any = SimpleNamespace(types=types | {"public.film(person_id)": ("bigint",)})
        document = DocumentConfig.model_validate(
            {
                "index": "films",
                "index_config_file": "index.json",
                "query_file": "film.sql",
                "table": "film",
                "key": "id",
                "watch": [watch],
            }
        )
        connection: Any = None
        return list(check_keys(connection, document, kind, parts, share, told=told))

    def _some(self, _connection: object, size: int) -> list[Key]:
        assert size == 100
        if self.fails is not None:
            raise self.fails
        return self.keys

    def _mapped_page(
        self, _connection: object, watch: str, keys: list[Key], after: object, limit: int
    ) -> tuple[list[Key], None]:
        assert (watch, keys, after, limit) == ("public.person(id)", self.keys, None, 1000)
        return self.ids, None

    def _existing(self, _connection: object, keys: list[Key]) -> set[Key]:
        self.asked.append(keys)
        return self.documents & set(keys)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Three persons, none of whose keys is the id of a film."""
    return Watched(monkeypatch)


PLAIN = {"table": "person", "key": "id"}
MAPPED = {**PLAIN, "mapping_file": Path("person.sql")}


def test_a_forgotten_mapping_file(watched: Watched) -> None:
    """Its changes would reach no document. The lines to add are told."""
    [one] = watched.check(PLAIN)
    assert (one.severity, one.what) == (
        "error",
        "films: none of 3 keys of person (id) is the id of a document: its changes would reach "
        "none",
    )
    assert one.mend.splitlines()[:3] == ["watch:", "  - table: public.person", "    key: id"]
    assert "mapping_file: FILE.sql # keys to ids of films" in one.mend
    assert watched.asked == [KEYS]


def test_one_key_of_a_document_is_enough(watched: Watched) -> None:
    """Others may be of rows that have none."""
    watched.documents = {("9",)}
    assert watched.check(PLAIN) == []


def test_a_mapping_to_ids_of_something_else(watched: Watched) -> None:
    """What it returns is looked for, and not the keys."""
    watched.documents = {("7",)}
    [one] = watched.check(MAPPED)
    assert (one.severity, one.what) == (
        "error",
        "films: person.sql: none of the 3 ids that it returns for 3 keys of person (id) is the id "
        "of a document",
    )
    assert one.mend == "return ids of films as the column id"
    assert watched.asked == [watched.ids]


def test_a_mapping_to_documents(watched: Watched) -> None:
    """All is well."""
    watched.documents = {("2",)}
    assert watched.check(MAPPED) == []


def test_a_mapping_that_returns_nothing(watched: Watched) -> None:
    """A warning: persons may be in no film yet."""
    watched.ids = []
    [one] = watched.check(MAPPED)
    assert one.severity == "warning"
    assert one.what == "films: person.sql: it returns no id for any of 3 keys of person"
    assert watched.asked == []


@pytest.mark.parametrize(
    ("share", "keys", "said"),
    [(1.0, 3, True), (1.0, 2, False), (0.5, 6, False), (0.5, 7, True), (0.0, 100, False)],
)
def test_by_chance(watched: Watched, share: float, keys: int, said: bool) -> None:
    """The query may leave documents out: few keys that lead to none prove nothing then. Nor does a
    query that makes no document at all."""
    watched.keys = [(str(one),) for one in range(keys)]
    assert bool(watched.check(PLAIN, share)) == said
    assert bool(watched.asked) == said


def test_a_table_without_rows(watched: Watched) -> None:
    """It proves nothing."""
    watched.keys = []
    assert watched.check(MAPPED) == []


@pytest.mark.parametrize(
    ("watch", "looked_at"),
    [
        ({"table": "film", "key": "id"}, False),
        ({"table": "public.film", "key": "id"}, False),
        ({"table": "film", "key": "person_id"}, True),
    ],
)
def test_the_table_of_the_documents(watched: Watched, watch: Any, looked_at: bool) -> None:
    """Its own key was looked at by the sample of documents; another column of it was not."""
    assert bool(watched.check(watch)) == looked_at


@pytest.mark.parametrize(
    ("error", "told", "said"),
    [
        (psycopg.errors.UndefinedFunction("no f"), (), ["films: person.sql: no f"]),
        (psycopg.errors.UndefinedFunction("no f"), ("films: person.sql",), []),
        (psycopg.errors.InsufficientPrivilege("denied"), (), []),
        (QueryFileError("films: person.sql: no id"), (), ["films: person.sql: no id"]),
    ],
    ids=["told", "told already", "a right that is missing", "an id that is none"],
)
def test_a_mapping_that_fails(
    watched: Watched, error: Exception, told: tuple[str, ...], said: list[str]
) -> None:
    """It is told once, and missing rights by another check."""
    watched.fails = error
    assert [(one.severity, one.what) for one in watched.check(MAPPED, told=told)] == [
        ("error", one) for one in said
    ]


def test_keys_that_cannot_be_read(watched: Watched) -> None:
    """There is no file to name: the table is."""
    watched.fails = psycopg.errors.UndefinedColumn("no id")
    [one] = watched.check(PLAIN)
    assert one.what == "films: the keys of person: no id"


def test_a_server_that_goes_away(watched: Watched) -> None:
    """That is no finding."""
    watched.fails = psycopg.errors.AdminShutdown("ending")
    with pytest.raises(psycopg.errors.AdminShutdown):
        watched.check(MAPPED)
