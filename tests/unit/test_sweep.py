"""A sweep keeps what it has looked at only where it came to its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from listener.capture.journal import Row
from listener.capture.sweep import Sweep, SweptPage
from listener.capture.watermark import Draw
from listener.changes import Watch
from listener.sql import files
from tests.kit.session import NOW

FILM = Watch("public", "film", ("id",), updated_at="updated_at", notify="off")
LOUD = Watch("public", "genre", ("id",), updated_at="updated_at", notify="rows")
SINCE = NOW - timedelta(minutes=10)
AHEAD = NOW + timedelta(hours=1)


class Tables:
    """A database whose tables have these rows. Its clock goes on by a minute at each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: dict[str, list[tuple[str, str, str]]] = {"film": [], "genre": []}
        """By table: stamp, xmin and key."""
        self.journal: list[Row] = []
        self.end = 100
        """The first id of a transaction that has not begun."""
        self.looks = 0
        self.fails: str | None = None
        """The table that cannot be read, once; with `ahead`, what of it lies in the future."""
        self.asked: list[str] = []
        """Each statement that reads a table."""
        self.journal_since: list[datetime] = []
        monkeypatch.setattr("listener.capture.watermark.draw", self._draw)
        monkeypatch.setattr("listener.capture.watermark.now", lambda _: (NOW, "0/30"))
        monkeypatch.setattr("listener.capture.journal.pages", self._pages)

    @property
    def connection(self) -> Any:
        """One that answers."""
        return self

    def execute(self, statement: Any, *, prepare: bool | None = None) -> Any:  # noqa: ARG002
        """Rows, whatever their stamps are: the sweep's memory is looked at here."""
        text = statement.as_string() if isinstance(statement, sql.Composable) else statement
        if text == files.load("watermark/snapshot"):
            return SimpleNamespace(fetchone=lambda: ([],))
        if text == files.load("sweep/snapshot"):
            return SimpleNamespace(fetchone=lambda: (NOW, str(self.end), []))
        [table] = [one for one in self.rows if f'"public"."{one}"' in text]
        later = "t.updated_at <" not in text.replace('"', "")
        self._fail(table, later)
        self.asked.append(text)
        rows = [one for one in self.rows[table] if (one[0] >= str(NOW)) == later]
        return SimpleNamespace(fetchall=lambda: rows)

    def _fail(self, table: str, ahead: bool) -> None:
        if self.fails == (f"{table} ahead" if ahead else table):
            self.fails = None
            raise psycopg.OperationalError("gone")

    def _draw(self, _connection: object) -> Draw:
        self.looks += 1
        return Draw(NOW + timedelta(minutes=self.looks), 1, "0/30")

    def _pages(
        self, _connection: object, _schema: str, since: datetime, until: datetime | None, *_: object
    ) -> Iterator[list[Row]]:
        self._fail("journal", until is None)
        self.journal_since.append(since)
        yield self.journal


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    """One film of now, and one that is stamped in the future."""
    tables = Tables(monkeypatch)
    tables.rows["film"] = [(str(NOW - timedelta(seconds=5)), "90", "1"), (str(AHEAD), "101", "2")]
    return tables


@pytest.fixture
def sweep() -> Sweep:
    """Of one session."""
    types = {FILM.id: ("bigint",), LOUD.id: ("bigint",)}
    return Sweep([FILM, LOUD], types, {FILM.id: False, LOUD.id: False}, "listener")  # type: ignore[arg-type]


def found(pages: Iterator[SweptPage]) -> list[str]:
    """The keys that are handed on."""
    return [key[0] for page in pages for change in page.changes for key in change.keys]


def test_nothing_is_handed_on_twice(tables: Tables, sweep: Sweep) -> None:
    """Not by a second sweep, and not by a second look ahead."""
    assert found(sweep.pages(tables.connection, SINCE, ahead=True)) == ["1", "2"]
    assert found(sweep.pages(tables.connection, SINCE)) == []
    assert found(sweep.ahead_again(tables.connection, None)) == []


def test_only_what_can_be_new_is_read(tables: Tables, sweep: Sweep) -> None:
    """Since the last look, where that was complete."""
    found(sweep.pages(tables.connection, SINCE))
    found(sweep.pages(tables.connection, SINCE, recent=timedelta(seconds=2)))
    last = NOW + timedelta(minutes=2)  # two looks for each sweep
    assert tables.journal_since == [SINCE, last - timedelta(minutes=1, seconds=2)]


def test_a_silent_sweep_says_nothing_of_the_others(tables: Tables, sweep: Sweep) -> None:
    """Tables that send their keys were not read by it: what is new in them is not known."""
    found(sweep.pages(tables.connection, SINCE, silent=True))
    found(sweep.pages(tables.connection, SINCE, recent=timedelta(0)))
    assert tables.journal_since == [SINCE, SINCE]


@pytest.mark.parametrize("table", ["film", "genre", "journal"])
def test_an_incomplete_sweep_forgets_its_look(tables: Tables, sweep: Sweep, table: str) -> None:
    """What came since then was not handed on, or not all of it: the next one reads from its
    beginning, and not only what can be new."""
    found(sweep.pages(tables.connection, SINCE))
    tables.fails = table
    with pytest.raises(psycopg.OperationalError):
        found(sweep.pages(tables.connection, SINCE, recent=timedelta(0)))
    found(sweep.pages(tables.connection, SINCE, recent=timedelta(0)))
    assert tables.journal_since[-1] == SINCE
    found(sweep.pages(tables.connection, SINCE, recent=timedelta(0)))
    assert tables.journal_since[-1] > SINCE


def test_a_sweep_that_is_left_forgets_its_look(tables: Tables, sweep: Sweep) -> None:
    """As where the pipeline has no room for a page."""
    found(sweep.pages(tables.connection, SINCE))
    tables.rows["film"].append((str(NOW - timedelta(seconds=1)), "95", "3"))
    pages = sweep.pages(tables.connection, SINCE, recent=timedelta(0))
    next(pages)
    pages.close()
    found(sweep.pages(tables.connection, SINCE, recent=timedelta(0)))
    assert tables.journal_since[-1] == SINCE


def test_a_failed_silent_sweep_leaves_the_others_alone(tables: Tables, sweep: Sweep) -> None:
    """What the tables say that send their keys was looked at by another look."""
    found(sweep.pages(tables.connection, SINCE))
    tables.fails = "journal"
    with pytest.raises(psycopg.OperationalError):
        found(sweep.pages(tables.connection, SINCE, silent=True, recent=timedelta(0)))
    assert sweep._silent_look.looked is None
    assert sweep._look.looked is not None


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("table", ["genre ahead", "journal ahead"])
def test_an_incomplete_look_ahead(tables: Tables, sweep: Sweep, table: str, first: bool) -> None:
    """What it met was not handed on, though it was met: all of it is, by the next one."""
    if not first:
        assert found(sweep.pages(tables.connection, SINCE, ahead=True)) == ["1", "2"]
        tables.rows["film"].append((str(AHEAD), "102", "3"))
    look = (
        sweep.pages(tables.connection, SINCE, ahead=True)
        if first
        else sweep.ahead_again(tables.connection, None)
    )
    tables.fails = table
    with pytest.raises(psycopg.OperationalError):
        found(look)
    assert found(sweep.ahead_again(tables.connection, None)) == (["2"] if first else ["2", "3"])


def test_a_look_ahead_goes_on_from_the_last_complete_one(tables: Tables, sweep: Sweep) -> None:
    """It asks for transactions that had not begun then: where one look failed, for those of the
    one before."""
    connection = tables.connection
    found(sweep.pages(connection, SINCE, ahead=True))
    tables.end = 200
    tables.fails = "journal ahead"
    with pytest.raises(psycopg.OperationalError):
        found(sweep.ahead_again(connection, None))
    for end, asked in ((300, 100), (400, 300)):
        tables.end = end
        found(sweep.ahead_again(connection, None))
        assert f"::text::bigint - {asked}) &" in tables.asked[-1]


def test_a_silent_look_ahead_is_one_of_its_own(tables: Tables, sweep: Sweep) -> None:
    """The tables that send their keys were not read: they alone are asked for older ones."""
    connection = tables.connection
    found(sweep.pages(connection, SINCE, ahead=True))
    tables.end = 200
    found(sweep.ahead_again(connection, None, silent=True))
    tables.asked.clear()
    found(sweep.ahead_again(connection, None, silent=True))
    assert [("genre" in one, " - 200) &" in one) for one in tables.asked] == [(False, True)]
    tables.asked.clear()
    found(sweep.ahead_again(connection, None))
    assert [("genre" in one, " - 100) &" in one) for one in tables.asked] == [
        *((False, False), (True, True)),
    ]
