"""The part of a trigger function that reads a statement's keys from its transition tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from psycopg import sql

from listener.changes import KeyType
from listener.triggers import names
from listener.triggers.catalog import Watched

Event = Literal["insert", "update", "delete", "truncate"]

MOST: Final = 10_000
"""More distinct keys in one statement are told as one sweep."""

_ARRAY: Final = 1_000_000

_WIDTHS: Final[dict[KeyType, int]] = {"smallint": 6, "integer": 11, "bigint": 20, "uuid": 36}
"""Longest texts. Types that are not here have none."""


def compared(one: Watched) -> tuple[str, ...]:
    """The columns of which one must change, where `columns` are listed.

    The key always counts, and so does the primary key, which makes the comparison one of rows:
    without it, two rows that swap their keys in one statement would look as if nothing changed.
    """
    return tuple(dict.fromkeys((*one.identity, *one.watch.key, *(one.watch.columns or ()))))


def read(group: Sequence[Watched], columns: Sequence[str]) -> str:
    """The types of columns that a function reads of OLD and NEW, for a comment in its body.

    A session keeps the plans of such expressions for as long as the function's row in the catalog
    stays: where a column is retyped they fail with 42804, until the session ends. Another
    body replaces the function, and every session compiles it anew. Types stand by their OID: a
    dropped type may have left its name to another one.
    """
    types = sorted((name, one.oids.get(name, 0)) for one in group for name in columns)
    return names.one_line(", ".join(f"{name} {oid}" for name, oid in dict(types).items()))


def fields(alias: str, columns: Sequence[str]) -> sql.Composable:
    """Columns of OLD, NEW or a transition table."""
    parts = [sql.SQL(alias + ".{}").format(sql.Identifier(name)) for name in columns]
    return sql.SQL(", ").join(parts)


def piece(one: Watched) -> sql.Composable:
    """The JSON text of one key."""
    parts = len(one.watch.key)
    if parts == 1 and one.types[0] in _WIDTHS:  # nothing to escape
        return sql.SQL("'\"' || c.k1::text || '\"'")
    if parts == 1:
        return sql.SQL("to_json(c.k1::text)::text")
    texts = ", ".join(f"c.k{i}::text" for i in range(1, parts + 1))
    return sql.SQL(f"json_build_array({texts})::text")


def chunk(one: Watched, room: int) -> sql.Composable:
    """The number of the chunk that a piece goes into, so that no chunk is larger than `room`.

    Where pieces have a largest size, each chunk takes the same number of them, which is cheaper
    to count. Otherwise pieces and their commas are added up, every `step` bytes begin a new chunk,
    which can then hold `step` bytes and one piece; pieces of more than half the room go alone.
    """
    space = room - 2 + 1  # between the brackets; each piece counts a comma, the last one has none
    widths = [_WIDTHS.get(kind) for kind in one.types]
    if None not in widths:
        piece = sum(width + 2 for width in widths if width is not None) + 1
        if len(widths) > 1:
            piece += 2 + 2 * (len(widths) - 1)
        return sql.SQL(f"row_number() OVER () / {space // piece}")
    half = space // 2
    return sql.SQL(
        f"CASE WHEN octet_length(k.piece) + 1 > {half} THEN -(row_number() OVER ()) ELSE "
        f"sum(octet_length(k.piece) + 1) OVER (ROWS UNBOUNDED PRECEDING) / {space - half + 1} END"
    )


def _side(one: Watched, event: Event, side: Literal["old", "new"], *more: str) -> sql.Composable:
    """The rows of one side: key columns as k1, k2 ..., and the stamp, so that a dropped column is
    noticed."""
    if one.row_level:
        source = "(SELECT OLD.*) AS r" if side == "old" else "(SELECT NEW.*) AS r"
    else:
        source = f"{side}_rows AS r"
    columns: list[sql.Composable] = [
        sql.SQL("r.{} AS " + f"k{i}").format(sql.Identifier(name))
        for i, name in enumerate(one.watch.key, 1)
    ]
    if one.watch.updated_at is not None and event != "delete":
        columns.append(sql.SQL("r.{} AS stamp").format(sql.Identifier(one.watch.updated_at)))
    columns.extend(sql.SQL(text) for text in more)
    if event == "update" and one.watch.columns is not None:
        columns.append(sql.SQL("ROW({})::text AS content").format(fields("r", compared(one))))
    return sql.SQL("SELECT {} FROM " + source).format(sql.SQL(", ").join(columns))


def only(one: Watched, event: Event) -> sql.Composable:
    """Selects `same`: whether the statement changed one row, which keeps its key; and `keys`: that
    key as a payload's list, NULL where it belongs to no document or nothing listed changed.

    There is no row where the statement changed none.
    """
    side: Literal["old", "new"] = "old" if event == "delete" else "new"
    numbers = range(1, len(one.watch.key) + 1)
    present = " AND ".join(f"c.k{i} IS NOT NULL" for i in numbers)
    same = "true" if one.row_level else f"NOT EXISTS (SELECT FROM {side}_rows OFFSET 1)"
    # an INSERT or DELETE compares with itself: a new type without equality must not go unnoticed
    other = "o" if event == "update" else "c"
    same += "".join(f" AND {other}.k{i} IS NOT DISTINCT FROM c.k{i}" for i in numbers)
    sources = [sql.SQL("({}) AS c").format(_side(one, event, side))]
    if event == "update":
        sources.append(sql.SQL("({}) AS o").format(_side(one, event, "old")))
        if one.watch.columns is not None:
            present += " AND o.content IS DISTINCT FROM c.content"
    told: sql.Composable = sql.SQL(f"CASE WHEN {present} THEN '[' || {{}} || ']' END").format(
        piece(one)
    )
    if quiet(one, event):
        told = sql.SQL("NULL")
    # by plpgsql.extra_errors of the session a second row may be an error
    return sql.SQL(f"SELECT {same} AS same, {{}} AS keys FROM {{}} LIMIT 1").format(
        told, sql.SQL(", ").join(sources)
    )


def everything(one: Watched, event: Event) -> bool:
    """Whether the journal takes all keys: polling does not see them."""
    return one.stamp is None or event == "delete"


def stamped_only(one: Watched) -> bool:
    """Whether the stamp says it all: polling sees every row that was inserted or updated, no NOTIFY
    names it, and the stamp sees where a key moves. A generated key it does not see.
    """
    return _stamp_is_enough(one) and not one.generated_key


def _stamp_is_enough(one: Watched) -> bool:
    return one.stamp is not None and one.watch.polled_each_tick and one.watch.columns is None


def quiet(one: Watched, event: Event) -> bool:
    """Whether there is nothing to do where no key moved."""
    return event == "update" and _stamp_is_enough(one) and not one.watch.notifies


def same(group: Sequence[Watched]) -> sql.Composable:
    """Whether OLD and NEW carry the same keys, in the stamp's function; NULL where a part is NULL.

    Texts are compared by their bytes, whatever their collation; of the other types no equal values
    are printed differently.
    """
    parts: dict[str, sql.Composable] = {}
    for one in group:
        for name, kind in zip(one.watch.key, one.types, strict=True):
            texts = kind in ("text", "varchar")
            side = '({}.{}::pg_catalog.text COLLATE pg_catalog."C")' if texts else "{}.{}"
            parts[name] = sql.SQL(" OPERATOR(pg_catalog.=) ").join(
                sql.SQL(side).format(sql.SQL(row), sql.Identifier(name)) for row in ("OLD", "NEW")
            )
    return sql.SQL(" AND ").join(parts.values())


def old_present(one: Watched) -> sql.Composable:
    """Whether OLD has a key, in the stamp's function: with a NULL part it has none."""
    return sql.SQL(" AND ").join(
        sql.SQL("OLD.{} IS NOT NULL").format(sql.Identifier(name)) for name in one.watch.key
    )


def old_list(one: Watched) -> sql.Composable:
    """The key of OLD as a payload's list, in the stamp's function: all names qualified."""
    texts = sql.SQL(", ").join(
        sql.SQL("OLD.{}::pg_catalog.text").format(sql.Identifier(name)) for name in one.watch.key
    )
    make = "to_json" if len(one.watch.key) == 1 else "json_build_array"
    return sql.SQL(f"pg_catalog.concat('[', pg_catalog.{make}({{}}), ']')").format(texts)


def moved(one: Watched, event: Event) -> sql.Composable:
    """Whether an OLD key may be missing among the NEW ones: false saves the search for it.

    PostgreSQL fills both transition tables row by row, so keys that stay make equal arrays, which
    are cheaper to compare than sets. Not for texts, and not for more than a million rows: arrays
    end at a gigabyte.
    """
    if event != "update" or one.row_level or one.types[0] not in _WIDTHS or len(one.types) > 1:
        return sql.SQL("true")
    array = f"(SELECT array_agg(s.k1) AS keys FROM ({{}} LIMIT {_ARRAY + 1}) AS s)"
    return sql.SQL(
        f"(SELECT o.keys IS DISTINCT FROM n.keys OR cardinality(n.keys) > {_ARRAY} "
        f"FROM {array} AS o, {array} AS n)"
    ).format(_side(one, event, "old"), _side(one, event, "new"))


def changed(one: Watched, event: Event) -> sql.Composable:
    """Selects k1, k2 ... and `journaled`: the keys of a statement.

    The journal takes what polling cannot see: in a stamped table deleted keys, and the OLD keys
    that no stamped NEW row carries. Keys come once each; where the key holds the primary key they
    do so by themselves.
    """
    all_of_them = everything(one, event)
    if event == "update" and one.watch.columns is not None:
        return _changed_content(one, all_of_them)
    keys = _keys(one)
    side: Literal["old", "new"] = "old" if event == "delete" else "new"
    now = f"SELECT {keys}, {str(all_of_them).lower()} AS journaled FROM ({{}}) AS s {_present(one)}"
    if not one.identity or not set(one.identity) <= set(one.watch.key):
        now += f" GROUP BY {keys}"
    if not all_of_them:
        now += f" LIMIT {_limit(one)}"
    told = sql.SQL(now).format(_side(one, event, side))
    if event != "update":
        return told
    gone = sql.SQL(
        f"SELECT {keys}, true AS journaled FROM (SELECT {keys} FROM ({{}}) AS s "
        f"EXCEPT SELECT {keys} FROM ({{}}) AS s) AS s {_present(one)} AND v_moved"
    ).format(_side(one, event, "old"), _side(one, event, "new"))
    if quiet(one, event):
        return gone
    return sql.SQL("({}) UNION ALL ({})").format(gone, told)


def _changed_content(one: Watched, all_of_them: bool) -> sql.Composable:
    """As `changed`, for an UPDATE where only some columns count (`columns`): the keys of rows that
    differ in them. Equal to EXCEPT ALL in both directions, in one pass.
    """
    keys = _keys(one)
    differing = sql.SQL(
        f"SELECT {keys}, sum(s.side) AS side FROM ({{}} UNION ALL {{}}) AS s "
        f"GROUP BY {keys}, s.content HAVING sum(s.side) <> 0"
    ).format(_side(one, "update", "old", "-1 AS side"), _side(one, "update", "new", "1 AS side"))
    journaled = "true" if all_of_them else "max(s.side) < 0"
    inner = (
        f"SELECT {keys}, {journaled} AS journaled, row_number() OVER () AS nth "
        f"FROM ({{}}) AS s {_present(one)} GROUP BY {keys}"
    )
    outer = f"SELECT {keys}, s.journaled FROM ({inner}) AS s"
    if not all_of_them:
        outer += f" WHERE s.journaled OR s.nth <= {_limit(one)}"
    return sql.SQL(outer).format(differing)


def _keys(one: Watched) -> str:
    return ", ".join(f"s.k{i}" for i in range(1, len(one.watch.key) + 1))


def _present(one: Watched) -> str:
    """A key with a NULL part belongs to no document."""
    return "WHERE " + " AND ".join(f"s.k{i} IS NOT NULL" for i in range(1, len(one.watch.key) + 1))


def _limit(one: Watched) -> int:
    """How many keys that are only told are worth looking at: one more makes it a sweep."""
    if one.watch.sends_keys:
        return MOST + 1
    return 1 if one.watch.rings else 0
