"""The SQL files of a user: a percent sign is SQL, and what is wrong is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

from listener.documents.definition import SqlFile, _hashed
from listener.documents.files import QueryFileError, doubled, faults, read
from listener.documents.placeholders import line_of, plain, sent
from listener.documents.queries import render

FILE = Path("film.sql")
CAST = "%(ids)s::text[]::uuid[]"


def rendered(text: str) -> str:
    """A query file of a key of one uuid."""
    return render(text, "ids", ("uuid",), array=True, path=FILE)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 WHERE t LIKE '%a%' AND id = ANY(%(ids)s)",
        "SELECT n % 7, n %% 7, n % (7), n %(7) FROM t WHERE id = ANY(%(ids)s)",
        "SELECT '50%', '50%%', '%(ids)s', '%s', E'\\'%(ids)s' FROM t WHERE id = ANY(%(ids)s)",
        'SELECT "%(ids)s" FROM t -- of %(ids)s, 100% and %(what)s\nWHERE id = ANY(%(ids)s)',
        "SELECT $q$ %(ids)s 100% $q$ /* %(ids)s /* % */ %(x)s */ FROM t WHERE id = ANY(%(ids)s)",
        "SELECT t <% 'a', t %> 'a', t <<% 'b', n %%(ids)s FROM t WHERE id = ANY(%(ids)s)",
        "SELECT n %(m)set, format('%s %I %%', n) FROM t WHERE id = ANY(%(ids)s)",
        "\n\n  SELECT 1 FROM t WHERE id = ANY(%(ids)s) ; -- done; 100%\n ; /* ; */",
    ],
)
def test_a_percent_sign_is_sql(text: str) -> None:
    """What PostgreSQL gets is the file, with a parameter where a placeholder is code."""
    query = PostgresQuery(Transformer())
    query.convert(rendered(text), {"ids": ["x"]})
    got = query.query.decode()
    assert got == sent(rendered(text))
    assert "$1::text[]::uuid[]" in got
    assert got.count("$1") == (2 if "n %%(ids)s" in text else 1)
    head = text[: text.rindex("%(ids)s")].replace("n %%(ids)s", "n %$1::text[]::uuid[]")
    assert got.startswith(head)
    assert plain(rendered(text)).count(CAST) == got.count("$1")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", None, "it is empty"),
        (" -- nothing\n/* %(ids)s */ ;", None, "it is empty"),
        ("\n-- nothing\n", None, "it is empty"),
        ("SELECT 1", None, "it does not use %(ids)s"),
        ("SELECT 1\nFROM t\nWHERE id = ANY(%(id)s)", 3, "%(id)s; did you mean %(ids)s?"),
        ("SELECT 1\nWHERE id = ANY(%(keys)s)", 2, "unknown placeholder %(keys)s; it takes %(ids)s"),
        ("SELECT 1\nWHERE id = ANY(%(limit)s)", 2, "unknown placeholder %(limit)s"),
        ("SELECT 1\nWHERE id = ANY('%(ids)s')", 2, "it stands in quotes here, where it is text"),
        ("SELECT 1 -- x\n-- %(ids)s", 2, "it does not use %(ids)s, but in a comment"),
        ("/* %(ids)s\n b */SELECT 1\nWHERE id = ANY(%(ids))", 3, "write that instead of %(ids)"),
        ("SELECT 1\nWHERE id = ANY(%s)", 2, "write that instead of %s"),
        ("SELECT 1\nWHERE id = ANY(:ids)", 2, "write that instead of :ids"),
        ("SELECT 1\nWHERE id = ANY($1)", 2, "write that instead of $1"),
        ("SELECT %(ids)s;\n-- x\nDELETE FROM t;", 3, "a second statement begins here"),
    ],
)
def test_what_is_wrong_has_its_line(text: str, line: int | None, told: str) -> None:
    """And says what to write instead."""
    found = faults(text, "ids", 1, array=True)
    assert [one.line for one in found] == [line]
    assert told in found[0].what
    with pytest.raises(QueryFileError, match=r"^film\.sql: (line \d+: )?") as caught:
        rendered(text)
    assert told in caught.value.problems[0]


def test_all_that_is_wrong_is_told() -> None:
    """In the order of the lines; a composite key names all of its placeholders."""
    text = "SELECT %(ids)s\nFROM t WHERE a = ANY(%(ids_3)s);\nSELECT 2"
    found = faults(text, "ids", 2, array=True)
    assert [one.line for one in found] == [1, 2, 3]
    assert "it takes %(ids_1)s and %(ids_2)s" in found[0].what
    ids = "SELECT id FROM t WHERE id > %(after)s LIMIT %(limit)s"
    assert faults(ids, "after", 1, array=False) == []


def test_a_position_of_postgresql_is_a_line_of_the_file() -> None:
    """It counts what was sent: parameters are shorter there, and something stands around it."""
    text = "\nSELECT '%', %(ids)s, %(ids)s\n  , titel\nFROM t;"
    statement = f"SELECT NULL\nUNION ALL\nSELECT q.id FROM (\n{rendered(text)}\n) AS q WHERE 1=1"
    whole = sent(statement)
    assert line_of(whole.index("titel") + 1, statement, rendered(text)) == 3
    assert line_of(whole.index("q.id") + 1, statement, rendered(text)) is None
    assert line_of(whole.index("WHERE") + 1, statement, rendered(text)) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 'a'", None),
        ("SELECT %(ids)s", None),
        ("SELECT %(ids)s\nWHERE t LIKE 'a%%'", 2),
        ("SELECT %(ids)s WHERE t LIKE 'a%'", None),
        ("SELECT format('%s%%', n)", None),
        ("SELECT format('%%s%%%%', n)", 1),
    ],
)
def test_files_of_former_versions(text: str, line: int | None) -> None:
    """These doubled every percent sign: what else has one is no such file."""
    assert doubled(text) == line


def test_what_a_former_version_loaded_is_loaded_anew() -> None:
    """Where it read `%%` as one sign, its documents may not be what the file says: another hash."""
    for text, same in (("SELECT '50%%'", False), ("SELECT '50%'", True), ("SELECT 1", True)):
        assert (_hashed(SqlFile(FILE, text)) == text) is same


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (b"SELECT 1\nWHERE a = '\xe4'", "line 2: it is not UTF-8 (byte 0xe4): save it so"),
        ("SELECT 1".encode("utf-16"), "it is UTF-16"),
        ("SELECT\n1".encode("utf-16-le"), "line 1: it has a NUL"),
        (None, "cannot read it: No such file or directory; did you mean films.sql?"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, held: bytes | None, told: str) -> None:
    """A file of the same name but for a letter is named."""
    (tmp_path / "films.sql").write_bytes(b"")
    path = tmp_path / "film.sql"
    if held is not None:
        path.write_bytes(held)
    with pytest.raises(QueryFileError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors on Windows write one; their ends of lines count as one, too."""
    (tmp_path / "film.sql").write_bytes(b"\xef\xbb\xbfSELECT 1\r\nFROM t")
    assert read(tmp_path / "film.sql") == "SELECT 1\nFROM t"
