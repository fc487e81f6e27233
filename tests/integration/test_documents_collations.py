"""Ids are compared by bytes, whatever the collation of the columns that they come from."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from listener.changes import Key
from listener.checks import Statement, check_statements, sample
from listener.config import DocumentConfig
from listener.documents.source import DocumentSource
from listener.documents.statements import Statements
from listener.postgres import Connection
from playground.postgres import PostgresServer
from tests.kit.definitions import defined, sql_file

IDS = ["abc", "ABC", "Abc", "ábc", "a bc", "a-bc", "zz", "ZZ", "é", "e\u0301", "ß", "ss", "SS"]
"""Of which a collation that ignores case, accents or punctuation takes many for one."""
BY_BYTES = sorted(IDS, key=str.encode)
QUERY = "SELECT id, '{}'::json AS document FROM thing WHERE id = ANY(%(ids)s)"
MAPPINGS = {
    "nondeterministic": "SELECT loose AS id FROM link WHERE owner = ANY(%(keys)s)",
    "varchar": "SELECT loose_varchar AS id FROM link WHERE owner = ANY(%(keys)s)",
    "cast": "SELECT loose::text AS id FROM link WHERE owner = ANY(%(keys)s)",
    "two that differ": "SELECT loose AS id FROM link WHERE owner = ANY(%(keys)s) UNION ALL "
    "SELECT strict FROM link WHERE owner = ANY(%(keys)s)",
    "citext": "SELECT strict::citext AS id FROM link WHERE owner = ANY(%(keys)s)",
    "domain": "SELECT strict::loose_text AS id FROM link WHERE owner = ANY(%(keys)s)",
    "deterministic, of a language": 'SELECT strict COLLATE "en-x-icu" AS id FROM link '
    "WHERE owner = ANY(%(keys)s)",
}


@pytest.fixture(scope="module", params=["libc", "icu"])
def connection(icu_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A database, by either provider of its own collation, with ids in columns of each kind."""
    name = f"test_{secrets.token_hex(5)}"
    provider = (
        "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'" if request.param == "icu" else ""
    )
    icu_server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {provider}")
    with psycopg.connect(icu_server.dsn(name), autocommit=True) as connection:
        connection.execute(
            """
            CREATE EXTENSION citext;
            CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1-ka-shifted',
                                    deterministic = false);
            CREATE DOMAIN loose_text AS text COLLATE loose;
            CREATE TABLE thing (id text PRIMARY KEY);
            CREATE TABLE link (owner integer, strict text, loose text COLLATE loose,
                               loose_varchar varchar(40) COLLATE loose);
            CREATE VIEW merged AS SELECT DISTINCT loose FROM link;
            CREATE VIEW over_merged AS SELECT loose AS item FROM merged;
            CREATE MATERIALIZED VIEW kept AS SELECT loose, min(owner) FROM link GROUP BY loose;
            CREATE VIEW first_ones AS SELECT * FROM (
                SELECT loose, row_number() OVER (PARTITION BY loose) AS n FROM link) AS q
                WHERE n = 1;
            CREATE VIEW plain AS SELECT loose FROM link;
            CREATE VIEW merged_by_bytes AS SELECT DISTINCT loose COLLATE "C" AS loose FROM link;
            CREATE VIEW merged_owners AS SELECT DISTINCT owner FROM link;
            CREATE FUNCTION inlined() RETURNS SETOF text LANGUAGE sql STABLE
                AS 'SELECT DISTINCT loose::text FROM link';
            CREATE FUNCTION opaque() RETURNS SETOF text LANGUAGE plpgsql STABLE
                AS 'BEGIN RETURN QUERY SELECT m.loose FROM merged AS m; END';
            """
        )
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO thing VALUES (%s)", [(one,) for one in IDS])
            cursor.executemany(
                "INSERT INTO link VALUES (1, %s, %s, %s), (2, NULL, NULL, NULL)",
                [(one,) * 3 for one in IDS],
            )
        yield connection
    icu_server.drop_database(name)


def the_config(folder: Path) -> DocumentConfig:
    """Of documents whose ids are texts."""
    return DocumentConfig.model_validate(
        {
            "index": "test",
            "index_config_file": folder / "index.json",
            "query_file": folder / "query.sql",
            "table": "thing",
            "key": "id",
            "watch": [{"table": "link", "key": "owner", "mapping_file": folder / "mapping.sql"}],
        }
    )


def the_source(folder: Path, mapping: str) -> DocumentSource:
    """Documents whose ids are texts."""
    (folder / "index.json").write_text('{"mappings": {}}')
    (folder / "query.sql").write_text(QUERY)
    (folder / "mapping.sql").write_text(mapping)
    return DocumentSource(
        Statements(
            defined(the_config(folder)),
            ("text",),
            {"w": ("integer",)},
            {"w": sql_file(folder / "mapping.sql")},
        )
    )


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_mapped_ids_are_told_apart(
    connection: Connection, tmp_path: Path, mapping: str, size: int
) -> None:
    """Each once and whole, however small the pages are."""
    source = the_source(tmp_path, MAPPINGS[mapping])
    for keys in ([("1",)], [("1",), ("2",)]):
        seen: list[Key] = []
        after: str | None = None
        while True:
            page, after = source.mapped_page(connection, "w", keys, after, size)
            seen += page
            if after is None:
                break
        assert [key[0] for key in seen] == BY_BYTES


def test_a_load_pages_by_the_column_s_own_order(connection: Connection, tmp_path: Path) -> None:
    """Keys are deterministic (others are refused), so no two are one; and the order of the primary
    key's index is the one that is asked for: no page sorts the table."""
    source = the_source(tmp_path, MAPPINGS["nondeterministic"])
    seen: list[Key] = []
    after: Key | None = None
    while page := source.id_page(connection, after, 2):
        seen += page
        after = page[-1]
    assert sorted(seen) == sorted((one,) for one in IDS)
    assert len(seen) == len(IDS)
    existing = source.existing(connection, [*seen, ("aBC",), ("ÉE",)])
    assert existing == set(seen)


KEYS = "1 = ANY(%(keys)s)"


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ("SELECT DISTINCT loose AS id FROM link WHERE owner = ANY(%(keys)s)", True),
        ("SELECT loose AS id FROM link WHERE owner = ANY(%(keys)s) GROUP BY 1", True),
        ("SELECT DISTINCT strict::citext AS id FROM link WHERE owner = ANY(%(keys)s)", True),
        ("SELECT DISTINCT strict AS id FROM link WHERE owner = ANY(%(keys)s)", False),
        ("SELECT DISTINCT owner AS id FROM link WHERE owner = ANY(%(keys)s)", False),
        ("SELECT loose AS id FROM link WHERE owner = ANY(%(keys)s)", False),
        ('SELECT DISTINCT loose COLLATE "C" AS id FROM link WHERE owner = ANY(%(keys)s)', False),
        (f"SELECT loose AS id FROM merged WHERE {KEYS}", True),
        (f"SELECT item AS id FROM over_merged WHERE {KEYS}", True),
        (f"SELECT loose AS id FROM kept WHERE {KEYS}", True),
        (f"SELECT loose AS id FROM first_ones WHERE {KEYS}", True),
        (f'SELECT loose COLLATE "C" AS id FROM merged WHERE {KEYS}', True),
        (f"SELECT x COLLATE loose AS id FROM inlined() AS x WHERE {KEYS}", True),
        (f"SELECT x COLLATE loose AS id FROM opaque() AS x WHERE {KEYS}", True),
        (f"SELECT loose AS id FROM plain WHERE {KEYS}", False),
        (f"SELECT loose AS id FROM merged_by_bytes WHERE {KEYS}", False),
        (f"SELECT owner AS id FROM merged_owners WHERE {KEYS}", False),
    ],
)
def test_a_mapping_that_may_lose_ids_itself_is_told(
    connection: Connection, tmp_path: Path, mapping: str, told: bool
) -> None:
    """What it does with ids before we see them nobody can mend but who wrote it."""
    source = the_source(tmp_path, mapping)
    statement = Statement(
        "mapping",
        tmp_path / "mapping.sql",
        source.statements.rendered_mappings["w"],
        sample("keys", ("integer",), array=True),
    )
    found = check_statements(connection, the_config(tmp_path), [statement])
    warned = [one for one in found if "nondeterministic" in one.what]
    assert bool(warned) is told, found
    assert all(one.severity == "warning" and 'COLLATE "C"' in one.mend for one in warned)
