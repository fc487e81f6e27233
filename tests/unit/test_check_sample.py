"""The sample that `check` draws: what is wrong with a query or a mapping, in which words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener import search
from listener.checks.finding import Finding
from listener.checks.sample import SIZE, check_samples
from listener.config import DocumentConfig
from listener.documents import sampling
from listener.documents.files import QueryFileError
from listener.documents.reading import Faulty
from listener.documents.trial import RefusedDocument
from listener.search.bulk import Document
from tests.kit.previewing import FakeTrial, Previewing

MODULE = sys.modules["listener.checks.sample"]
"""The package has a function of this name, too."""
Read = list[Document | Faulty]
DOCUMENT = DocumentConfig.model_validate(
    {
        "index": "films",
        "index_config_file": "index.json",
        "query_file": "film.sql",
        "table": "film",
        "key": "id",
        "watch": [{"table": "film", "key": "id"}],
    }
)


class Checked(Previewing):
    """Films of which a sample is checked. Checks that follow it are noted, and find nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch, 10)
        self.monkeypatch = monkeypatch
        self.mappings: dict[str, Any] = {}
        self.share: float | None = None
        """What the check of keys was told."""
        self.key: object = None
        """What the check of lookups was told."""
        monkeypatch.setattr(MODULE, "ScratchTrial", lambda *_: FakeTrial(self))
        monkeypatch.setattr(MODULE, "check_keys", self._check_keys)
        monkeypatch.setattr(MODULE, "check_lookups", self._check_lookups)
        monkeypatch.setattr(MODULE, "check_stamps", self._check_stamps)

    def check(self, *, denied: bool = False, told: Sequence[str] = ()) -> list[Finding]:
        """What is found."""
        config: Any = SimpleNamespace(mappings=self.mappings)
        kind = SimpleNamespace(index="films", source=self.source, config=config)
        parts: Any = SimpleNamespace(files=(kind,), watches=())
        owner: Any = None
        self.steps.clear()
        return check_samples(
            self.connection,
            self.client,
            owner,
            [DOCUMENT],
            parts,
            stop=self.stop,
            denied=denied,
            told=told,
        )

    def reads(self, changed: Callable[[Read], Read]) -> None:
        """From now on a read returns this instead of what it found."""
        read = self.source.read
        self.source.read = lambda connection, keys: changed(read(connection, keys))

    def breaks(self, error: Exception) -> None:
        """From now on each read raises this."""

        def fail(*_: object) -> Read:
            raise error

        self.source.read = fail

    def _execute(self, statement: object) -> Any:
        assert statement == "SET default_transaction_read_only = on"
        self.step("made read only")

    def _check_keys(self, *given: Any, **_: object) -> list[Finding]:
        self.step("keys")
        self.share = given[-1]
        return []

    def _check_lookups(self, *given: object) -> list[Finding]:
        self.step("lookups")
        self.key = given[-1]
        return []

    def _check_stamps(self, *_: object) -> list[Finding]:
        self.step("stamps")
        return []


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Ten films, with which nothing is wrong."""
    return Checked(monkeypatch)


def only(found: list[Finding]) -> Finding:
    """The one thing that was found."""
    assert len(found) == 1, found
    return found[0]


def test_nothing_is_wrong(checked: Checked) -> None:
    """Nothing can be written from the start on. The last two are read alone, too, and the index
    goes before other checks begin."""
    checked.filtered.add("11")
    assert checked.check() == []
    everything = ",".join(checked.rows)
    assert checked.steps == [
        "made read only",
        f"read {everything},11",
        "read 11",
        "read 9",
        f"read {everything}",
        "read 9",
        "read 10",
        f"read {everything}",
        "read 10",
        "scratch index made",
        "scratch index removed",
        "keys",
        "lookups",
        "stamps",
    ]
    assert checked.sampled == [SIZE]
    assert checked.tried == list(checked.rows)
    assert (checked.share, checked.key) == (10 / 11, ("1",))


def test_an_empty_table(checked: Checked) -> None:
    """There is nothing to try, and no key to look up."""
    checked.rows.clear()
    assert checked.check() == []
    assert checked.steps == ["made read only", "read ", "stamps"]


# -- the query -------------------------------------------------------------------------------------


def test_rows_for_which_the_query_fails(checked: Checked) -> None:
    """Some are a warning: they would be parked. What could be read is tried all the same."""
    checked.faulty |= {"3", "4"}
    one = only(checked.check())
    assert (one.severity, one.what) == (
        "warning",
        "films: film.sql: of 10 documents 2 would be refused: division by zero (3, 4)",
    )
    assert "NULLIF(…, 0)" in one.mend
    assert checked.tried == ["1", "2", "5", "6", "7", "8", "9", "10"]


def test_most_rows(checked: Checked) -> None:
    """Then the files are wrong, and not some rows. So many ids are not named."""
    checked.faulty |= set(list(checked.rows)[:6])
    one = only(checked.check())
    assert one.severity == "error"
    assert one.what.endswith("6 would be refused: division by zero (1, 2, 3, 4, 5, …)")


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        ("the query returned two rows for this id", "DISTINCT ON (id)"),
        ("the query returned JSON that is no object", "json_build_object(…) AS document"),
        ("the query returned NULL as the document", "which is never NULL"),
    ],
)
def test_a_query_that_breaks_its_contract(checked: Checked, reason: str, mend: str) -> None:
    """That is an error, however few rows show it."""
    checked.reads(
        lambda read: [Faulty(one.key, reason) if one.key == ("3",) else one for one in read]
    )
    one = only(checked.check())
    assert (one.severity, reason in one.what) == ("error", True)
    assert mend in one.mend


def test_a_query_with_a_limit(checked: Checked) -> None:
    """All but some documents would be deleted: an error, whatever else is told."""
    checked.reads(
        lambda read: [
            one if place < 4 else Document(one.key, one.key[0], None)
            for place, one in enumerate(read)
        ]
    )
    one = only(checked.check())
    assert one.severity == "error"
    assert "it returns 5, 6, 7, 8, 9 when asked for alone, and not among 10 ids" in one.what
    assert "no LIMIT" in one.mend


@pytest.mark.parametrize(
    ("with_documents", "without", "severity", "said"),
    [
        (0, 6, "error", "it returns no document for any of 6 ids of film: it would empty the"),
        (0, 5, "warning", "it returns no document for any of 5 ids of film: it would empty the"),
        (4, 5, "warning", "of 9 ids of film 5 have no document"),
        (5, 5, None, ""),
    ],
)
def test_ids_without_a_document(
    checked: Checked, with_documents: int, without: int, severity: str | None, said: str
) -> None:
    """A filter may leave out many. All of a few is chance; all of more would empty the index."""
    checked.rows = {str(one): "{}" for one in range(with_documents)}
    checked.filtered = {str(100 + one) for one in range(without)}
    found = checked.check()
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all(said in one.what and "look at its WHERE" in one.mend for one in found)
    assert checked.share == with_documents / (with_documents + without)


def test_a_document_that_depends_on_others(checked: Checked) -> None:
    """An aggregate over all ids that are asked for: each batch would make another document."""
    checked.reads(
        lambda read: [Document(one.key, one.key[0], b'{"n":%d}' % len(read)) for one in read]
    )
    one = only(checked.check())
    assert one.severity == "error"
    assert "the document of 9 is another one when other ids are asked for, too" in one.what
    assert "PARTITION BY" in one.mend


def test_a_document_that_changes_meanwhile(checked: Checked) -> None:
    """A writer is at work: the query is not to blame."""
    checked.reads(
        lambda read: [
            Document(one.key, one.key[0], b'{"n":%d}' % len(checked.steps)) for one in read
        ]
    )
    assert checked.check() == []


def test_a_row_that_goes_meanwhile(checked: Checked) -> None:
    """Nor is it where the row is deleted, or fails, between two reads."""
    checked.meanwhile["read 9"] = lambda: checked.rows.pop("9")
    checked.meanwhile["read 10"] = lambda: checked.faulty.add("10")
    assert checked.check() == []


# -- errors of the database ------------------------------------------------------------------------


def test_an_answer_that_is_none(checked: Checked) -> None:
    """Each problem is told, with the name of the index once."""
    checked.breaks(QueryFileError("films: film.sql: NULL as id", "film.sql: another"))
    assert [(one.severity, one.what) for one in checked.check()] == [
        ("error", "films: film.sql: NULL as id"),
        ("error", "films: film.sql: another"),
    ]
    assert "scratch index made" not in checked.steps


def test_a_query_that_writes(checked: Checked) -> None:
    """It cannot be tried here; that is no error, since the daemon may write."""
    checked.breaks(psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"))
    one = only(checked.check())
    assert one.severity == "warning"
    assert "cannot execute INSERT: the query, or a function that it calls, writes" in one.what
    assert "scratch index made" not in checked.steps


@pytest.mark.parametrize(
    ("error", "told", "said"),
    [
        (psycopg.errors.UndefinedColumn("no column x"), [], ["films: no column x"]),
        (psycopg.errors.UndefinedColumn("no column x"), ["films: film.sql"], []),
        (
            psycopg.errors.UndefinedColumn("no column x"),
            ["persons: film.sql"],
            ["films: no column x"],
        ),
        (psycopg.errors.InsufficientPrivilege("denied"), [], []),
    ],
    ids=["told", "told already", "told of another index", "a right that is missing"],
)
def test_a_query_that_fails(
    checked: Checked, error: Exception, told: list[str], said: list[str]
) -> None:
    """It is told once. Its keys are asked nothing: whatever the query is asked for fails."""
    checked.breaks(error)
    assert [one.what for one in checked.check(told=told)] == said
    assert checked.steps == ["made read only", "stamps"]


def test_a_server_that_goes_away(checked: Checked) -> None:
    """That is no finding."""
    checked.breaks(psycopg.errors.AdminShutdown("ending"))
    with pytest.raises(psycopg.errors.AdminShutdown):
        checked.check()


def test_a_sample_that_cannot_be_drawn(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an ids file that fails."""

    def fail(*_: object) -> Any:
        raise psycopg.errors.UndefinedTable("no table ids")

    monkeypatch.setattr(sampling, "sample", fail)
    assert only(checked.check()).what == "films: no table ids"


# -- the mapping -----------------------------------------------------------------------------------


def refuse(checked: Checked, reasons: dict[str, str], *, held: bool = False) -> None:
    """The mapping refuses these documents."""

    def documents(_: object, documents: Sequence[Document]) -> list[RefusedDocument]:
        return [
            RefusedDocument(one.key, one.id, reasons[one.id], held)
            for one in documents
            if one.id in reasons
        ]

    checked.monkeypatch.setattr(FakeTrial, "documents", documents)


STRICT = (
    "strict_dynamic_mapping_exception: mapping set to strict, dynamic introduction of [{}] within "
    "[_doc] is not allowed"
)
NUMBER = "failed to parse field [title] of type [long]"


def test_some_documents_that_the_mapping_refuses(checked: Checked) -> None:
    """A warning, with a type that takes the documents that were not refused, too."""
    checked.rows |= dict.fromkeys(checked.rows, '{"title":"x"}')
    checked.rows["1"] = '{"title":1.5}'
    reason = "failed to parse field [title] of type [boolean]"
    refuse(checked, {"1": reason})
    one = only(checked.check())
    assert one.severity == "warning"
    assert one.what == (
        f"films: index.json: of 10 documents 1 would be refused: {reason}, as 1.5 (1)"
    )
    assert '"title": {"type": "keyword"}' in one.mend


def test_documents_that_would_hold_the_daemon(checked: Checked) -> None:
    """An error: nothing would be indexed any more."""
    refuse(checked, {"1": "cluster_block_exception: index read-only"}, held=True)
    one = only(checked.check())
    assert (one.severity, "1 would be held: cluster_block" in one.what) == ("error", True)


def test_one_field_that_a_strict_mapping_lacks(checked: Checked) -> None:
    """An error, though few documents have it: the mapping is not of these documents."""
    checked.mappings = {"dynamic": "strict", "properties": {}}
    checked.rows["1"] = '{"year":1999}'
    checked.rows |= dict.fromkeys(list(checked.rows)[1:], "{}")
    refuse(checked, {"1": STRICT.format("year")})
    one = only(checked.check())
    assert (one.severity, one.what.count("[year]")) == ("error", 1)
    assert one.mend == 'mappings.properties: "year": {"type": "long"}; or leave it out of the query'


def test_all_fields_that_a_strict_mapping_lacks(checked: Checked) -> None:
    """The server names the first of each document. All are told at once, with lines to copy; other
    reasons are told beside."""
    checked.mappings = {"dynamic": "strict", "properties": {"title": {"type": "long"}}}
    checked.rows |= dict.fromkeys(checked.rows, '{"year":1999,"seen":true}')
    checked.rows["1"] = '{"title":"x"}'
    reasons = {one: STRICT.format("year") for one in checked.rows}
    refuse(checked, {**reasons, "2": STRICT.format("seen"), "1": NUMBER})
    first, second = checked.check()
    assert "of 10 documents 9 would be refused" in first.what
    assert "the mapping lacks the fields year, seen (" in first.what
    assert first.what.endswith(", …)")
    assert first.mend == (
        'mappings.properties: "year": {"type": "long"}, "seen": {"type": "boolean"}\n'
        "or leave them out of the query"
    )
    assert (second.severity, NUMBER in second.what) == ("warning", True)


def test_no_right_to_make_an_index(checked: Checked) -> None:
    """An error with the rights that are missing, unless they are told already. The rest goes on."""
    denied = forbidden("security_exception")
    checked.fails = denied
    one = only(checked.check())
    assert (one.severity, "may not make a scratch index of films" in one.what) == ("error", True)
    assert one.mend == "give its role the privileges read, write, manage on films.*"
    assert "keys" in checked.steps
    assert checked.check(denied=True) == []


def test_an_index_that_is_blocked(checked: Checked) -> None:
    """No right is missing: it passes through."""
    checked.fails = forbidden("cluster_block_exception")
    with pytest.raises(search.Forbidden):
        checked.check()


def forbidden(kind: str) -> search.Forbidden:
    """An answer of status 403."""
    meta: Any = SimpleNamespace(status=403)
    return search.Forbidden(kind, meta, {"error": {"type": kind, "reason": "no"}})
