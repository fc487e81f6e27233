"""Payloads: PostgreSQL takes 7,999 bytes; one byte more would abort the user's transaction."""

from __future__ import annotations

import json

import pytest
from psycopg.types.json import Json

from listener.changes import Watch
from tests.kit.triggers import Bench, Told, open_bench

LIMIT = 7999
_AWKWARD = ['"', "\\", "\n", "\r", "\t", "\x01", "é", "😀", "\u2028", "</", "'", "%", "{}", "a"]


def overhead(watch: Watch) -> int:
    """Bytes of a payload with one key, without the key's own."""
    return len(json.dumps({"v": 1, "w": watch.id, "k": [""]}, separators=(",", ":")).encode())


def insert(bench: Bench, texts: list[str]) -> Told:
    """Write these keys in one statement."""
    return bench.told(
        lambda: bench.admin.execute(
            "INSERT INTO t (id) SELECT value FROM json_array_elements_text(%s)", [Json(texts)]
        )
    )


@pytest.fixture
def keyed(bench: Bench) -> Bench:
    """A table with a text key in the journal."""
    bench.run("CREATE TABLE t (id text)")
    bench.install(Watch("public", "t", ("id",)))
    return bench


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_one_key_up_to_the_last_byte(keyed: Bench, letter: str) -> None:
    """The largest key that fits is sent; one byte more is a sweep, and journaled all the same."""
    room = LIMIT - overhead(keyed.watches[0])
    width = len(letter.encode())
    fits = letter * (room // width) + "x" * (room % width)
    told = insert(keyed, [fits])
    assert len(told.payloads[0].encode()) == LIMIT
    assert (told.sent(), told.journaled()) == ({(fits,)}, {(fits,)})
    told = insert(keyed, [fits + "x"])
    assert (told.kinds(), told.journaled()) == (["sweep"], {(fits + "x",)})


@pytest.mark.parametrize("size", [1, 30, 500, 3000, 3960, 3970, 3990, 5000, 7000])
def test_chunks_never_grow_over_the_limit(keyed: Bench, size: int) -> None:
    """Keys of awkward characters, most of one size, mixed with small ones."""
    texts = []
    for number in range(60):
        letters = "".join(_AWKWARD[(number + i) % len(_AWKWARD)] for i in range(size // 2))
        texts.append(f"{number}{letters}"[: size if number % 3 else 3])
    told = insert(keyed, list(dict.fromkeys(texts)))
    expected = {(text,) for text in texts}
    assert told.journaled() == expected
    assert all(len(payload.encode()) <= LIMIT for payload in told.payloads)
    widest = max(len(json.dumps(text, ensure_ascii=False).encode()) for text in texts)
    if widest - len('""') > LIMIT - overhead(keyed.watches[0]):
        assert told.kinds() == ["sweep"], "one of them fits into no payload"
    else:
        assert told.sent() == expected


def test_keys_of_one_size_never_become_a_sweep(keyed: Bench) -> None:
    """However many of them share a payload, and wherever its end falls."""
    for width in (150, 400, 790, 1320, 1990, 2650, 2700, 2800, 3900):
        texts = [f"{number:02}{'x' * (width - 2)}" for number in range(60)]
        assert insert(keyed, texts).sent() == {(text,) for text in texts}


def test_sizes_around_the_half_of_a_payload(keyed: Bench) -> None:
    """Where chunks change from shared to single: every size, beside small keys."""
    for width in range(3940, 3990, 3):
        texts = [f"{n}{'x' * width}" for n in range(3)] + [f"s{n}" for n in range(20)]
        told = insert(keyed, texts)
        assert told.sent() == told.journaled() == {(text,) for text in texts}
        assert all(len(payload.encode()) <= LIMIT for payload in told.payloads)


@pytest.mark.parametrize("kinds", [("bigint",), ("uuid",), ("smallint", "uuid", "integer")])
def test_keys_of_bounded_size_fill_their_payloads(bench: Bench, kinds: tuple[str, ...]) -> None:
    """The longest texts of these types, in several payloads, each well filled."""
    columns = [f"k{i}" for i in range(len(kinds))]
    bench.run(f"CREATE TABLE t ({', '.join(map(' '.join, zip(columns, kinds, strict=True)))})")
    bench.install(Watch("public", "t", tuple(columns)))
    values = {
        "bigint": "-9223372036854775807 + n",
        "uuid": "md5(n::text)::uuid",
        "smallint": "-32768",
        "integer": "-2147483648",
    }
    select = ", ".join(values[kind] for kind in kinds)
    told = bench.told(f"INSERT INTO t SELECT {select} FROM generate_series(1, 2000) AS n")
    assert len(told.sent()) == 2000
    assert told.sent() == told.journaled()
    sizes = sorted(len(payload.encode()) for payload in told.payloads)
    assert sizes[-1] <= LIMIT
    assert sizes[1] > LIMIT * 0.9, f"only the last chunk may be small: {sizes}"


@pytest.mark.parametrize("updated_at", ["updated_at", None])
def test_more_than_ten_thousand_keys_are_a_sweep(bench: Bench, updated_at: str | None) -> None:
    """10,000 are told; with one more it is cheaper to poll. The journal holds all of them."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), updated_at))
    told = bench.told("INSERT INTO t SELECT generate_series(1, 10000)")
    assert len(told.sent()) == 10_000
    bench.run("TRUNCATE t")
    bench.told("SELECT 1")
    told = bench.told("INSERT INTO t SELECT generate_series(1, 10001)")
    assert told.kinds() == ["sweep"]
    assert len(told.journaled()) == (0 if updated_at else 10_001)
    told = bench.told("UPDATE t SET id = -id")
    assert told.kinds() == ["sweep"]
    assert len(told.journaled()) == (10_001 if updated_at else 20_002)
    told = bench.told("DELETE FROM t")
    assert told.kinds() == ["sweep"]
    assert len(told.journaled()) == 10_001


def test_rows_are_not_keys(bench: Bench) -> None:
    """Twenty thousand links of one film are one key."""
    bench.run("CREATE TABLE link (id integer PRIMARY KEY, film integer)")
    bench.install(Watch("public", "link", ("film",)))
    told = bench.told("INSERT INTO link SELECT n, 7 FROM generate_series(1, 20000) AS n")
    assert told.sent() == told.journaled() == {("7",)}
    assert bench.told("UPDATE link SET id = -id").sent() == {("7",)}
    assert bench.told("DELETE FROM link").sent() == {("7",)}


def test_a_long_name_leaves_less_room(bench: Bench) -> None:
    """Names of 63 bytes, all of them quotes, which JSON doubles."""
    column, table = "é" * 31, '"' * 63
    quoted = table.replace('"', '""')
    bench.run(f'CREATE TABLE "{quoted}" ("{column}" text)')
    bench.install(Watch("public", table, (column,)))
    texts = [f"{n}{'y' * 300}" for n in range(200)]
    told = bench.told(
        lambda: bench.admin.execute(
            f'INSERT INTO "{quoted}" SELECT value FROM json_array_elements_text(%s)'.encode(),
            [Json(texts)],
        )
    )
    assert told.sent() == {(text,) for text in texts}
    assert LIMIT * 0.4 < max(len(payload.encode()) for payload in told.payloads) <= LIMIT


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
def test_other_encodings(bench: Bench, encoding: str) -> None:
    """The limit counts bytes of the server's encoding; keys come out as they went in."""
    letter = {"LATIN1": "é", "EUC_JP": "日"}[encoding]
    name = f"{bench.name}_{encoding.lower()}"
    provider = "LOCALE_PROVIDER libc" if bench.version >= 15 else ""
    bench.run(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' {provider} "
        "LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        for other in open_bench(bench.server, name):
            other.run("CREATE TABLE t (id text)")
            other.install(Watch("public", "t", ("id",)))
            texts = [letter * n for n in (1, 300, 1900, 2600, 3990)]
            told = insert(other, texts)
            assert told.journaled() == {(text,) for text in texts}
            assert told.kinds() == ["sweep"] or told.sent() == told.journaled()
    finally:
        bench.server.drop_database(name)
