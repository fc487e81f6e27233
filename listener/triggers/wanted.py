"""The functions and triggers that should exist, as plain values: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from psycopg import sql

from listener import sqlfiles
from listener.changes import PAYLOAD_VERSION, KeyType, Watch
from listener.triggers.catalog import Member, Watched

Event = Literal["insert", "update", "delete", "truncate"]

PAYLOAD_BYTES: Final = 7999
"""PostgreSQL's limit: one byte more aborts the transaction that sends it."""

MOST_KEYS: Final = 10_000
"""More distinct keys in one statement are told as one sweep."""

_ROW, _BEFORE = 1, 2
_EVENTS: Final[dict[Event, int]] = {"insert": 4, "delete": 8, "update": 16, "truncate": 32}
_TEXT_WIDTHS: Final[dict[KeyType, int]] = {
    "smallint": 6,
    "integer": 11,
    "bigint": 20,
    "uuid": 36,
}
_PATH: Final = ("search_path=pg_catalog, pg_temp",)
_EXACT: Final = (*_PATH, "extra_float_digits=1", "DateStyle=iso", "IntervalStyle=postgres")
"""For functions that compare text: these settings of the session would hide a change."""

_NOW: Final = sql.SQL(
    "CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END"
)


@dataclass(frozen=True, slots=True)
class Function:
    """A trigger function of ours: `body` is what pg_proc.prosrc must hold, `settings` proconfig."""

    name: str
    body: str
    definer: bool
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of ours on one table.

    `kind` is pg_trigger.tgtype. `old` and `new`: whether it has these transition tables. `column`:
    the column that its WHEN clause names. `clone`: PostgreSQL makes it, from the parent's.
    """

    name: str
    member: Member
    function: str
    events: tuple[Event, ...]
    kind: int
    old: bool
    new: bool
    column: str | None
    clone: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of ours that belongs to one table and its parts."""

    functions: tuple[Function, ...]
    triggers: tuple[Trigger, ...]


def digest(*parts: str) -> str:
    """Twelve hexadecimal digits for a name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def stamp_trigger(schema: str, label: str) -> str:
    """Name of the stamp trigger of a table: `~` sorts after all of ASCII."""
    return f"~listener_stamp_{digest(schema, label)}"


def index_prefix(schema: str) -> str:
    """How the names of the indexes begin that one pipeline made."""
    return f"listener_at_{digest(schema)}_"


def index_name(schema: str, member: Member) -> str:
    """Name of our index on the stamp column of a table."""
    return index_prefix(schema) + digest(member.schema, member.name)


def one_line(text: str) -> str:
    """Text that may stand in an SQL comment: names may hold newlines."""
    return " ".join(text.split())


def wanted(group: Sequence[Watched], schema: str) -> Wanted:
    """What belongs to one table: `group` holds all watches of it."""
    functions: list[Function] = []
    triggers: list[Trigger] = []
    first = group[0]
    if first.stamp is not None:
        stamp = _stamp_function(group, schema)
        functions.append(stamp)
        name = stamp_trigger(schema, first.label)
        column = first.watch.updated_at
        for member in first.members:
            triggers.append(
                Trigger(
                    name=name,
                    member=member,
                    function=stamp.name,
                    events=("insert", "update"),
                    kind=_ROW | _BEFORE | _EVENTS["insert"] | _EVENTS["update"],
                    old=False,
                    new=False,
                    column=None if member.partition else column,  # clones lean on the root's
                    clone=member.partition,
                )
            )
    for one in group:
        for event in _events(one):
            function = _change_function(one, event, schema)
            functions.append(function)
            triggers.extend(_change_triggers(one, event, function))
    return Wanted(tuple(functions), tuple(triggers))


def _events(one: Watched) -> tuple[Event, ...]:
    """A stamped row that was inserted is found by polling: nothing is to be done without NOTIFY."""
    if one.stamp is not None and one.watch.notify == "off":
        return ("update", "delete", "truncate")
    return ("insert", "update", "delete", "truncate")


def _change_triggers(one: Watched, event: Event, function: Function) -> Iterator[Trigger]:
    row = one.row_level and event != "truncate"
    for member in one.members:
        yield Trigger(
            name=function.name,
            member=member,
            function=function.name,
            events=(event,),
            kind=_EVENTS[event] | (_ROW if row else 0),
            old=not row and event in ("update", "delete"),
            new=not row and event in ("update", "insert"),
            column=None,
            clone=row and member.partition,
        )


# -- bodies ----------------------------------------------------------------------------------------


def _body(name: str, **parts: sql.Composable) -> str:
    return sql.SQL(sqlfiles.load(f"triggers/{name}")).format(**parts).as_string(None)


def _text(text: str) -> sql.Composable:
    return sql.SQL(one_line(text))


def _stamp_function(group: Sequence[Watched], schema: str) -> Function:
    first = group[0]
    assert first.watch.updated_at is not None
    now = _NOW if first.stamp == "timestamptz" else _NOW + sql.SQL(" AT TIME ZONE 'UTC'")
    name = f"listener_{digest(schema, first.label)}_stamp"
    column = sql.Identifier(first.watch.updated_at)
    compared = _compared(group)
    if compared is None:
        return Function(
            name, _body("stamp", table=_text(first.label), column=column, now=now), False
        )
    body = _body(
        "stamp_columns",
        table=_text(first.label),
        column=column,
        now=now,
        old=_fields("OLD", compared),
        new=_fields("NEW", compared),
    )
    return Function(name, body, False)


def _compared(group: Sequence[Watched]) -> tuple[str, ...] | None:
    """The columns of which one must change; None: any. Key and primary key always count.

    The primary key makes the comparison one of rows: without it, two rows that swap their keys in
    one statement would look as if nothing had changed.
    """
    names: dict[str, None] = {}
    for one in group:
        if one.watch.columns is None:
            return None
        names.update(dict.fromkeys((*one.identity, *one.watch.key, *one.watch.columns)))
    return tuple(names)


def _fields(alias: str, names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL(alias + ".{}").format(sql.Identifier(name)) for name in names)


def _json(watch: Watch, **fields: bool) -> str:
    value = {"v": PAYLOAD_VERSION, "w": watch.id, **fields}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _change_function(one: Watched, event: Event, schema: str) -> Function:
    watch = one.watch
    head = _json(watch)[:-1] + ',"k":'
    room = PAYLOAD_BYTES - len(head.encode()) - 1
    common: dict[str, sql.Composable] = {
        "schema": sql.Identifier(schema),
        "watch": sql.Literal(watch.id),
        "notify": sql.Literal(watch.notify),
        "channel": sql.Literal(schema),
        "reconcile": sql.Literal(_json(watch, reconcile=True)),
        "now": _NOW,
    }
    common["lost"] = _strip_comment("lost", **common)
    name = f"listener_{digest(schema, watch.id)}_{event}"
    table = _text(watch.id)
    if event == "truncate":
        return Function(name, _body("truncate", table=table, **common), True, _PATH)
    body = _body(
        "changed",
        table=table,
        event=_text(event.upper()),
        room=sql.Literal(room),
        chunk=_chunk(one, room),
        piece=_piece(len(watch.key)),
        changed=_changed(one, event),
        most=sql.Literal(MOST_KEYS),
        head=sql.Literal(head),
        sweep=sql.Literal(_json(watch, sweep=True)),
        **common,
    )
    exact = event == "update" and watch.columns is not None
    return Function(name, body, True, _EXACT if exact else _PATH)


def _strip_comment(name: str, **parts: sql.Composable) -> sql.Composable:
    """A fragment without its first line, which says what the file is for."""
    return sql.SQL(_body(name, **parts).partition("\n")[2].rstrip())


def _piece(parts: int) -> sql.Composable:
    """The JSON text of one key."""
    if parts == 1:
        return sql.SQL("to_json(c.k1::text)::text")
    names = sql.SQL(", ").join(sql.SQL(f"c.k{i}::text") for i in range(1, parts + 1))
    return sql.SQL("json_build_array({})::text").format(names)


def _chunk(one: Watched, room: int) -> sql.Composable:
    """The number of the chunk that a piece goes into, so that no chunk is larger than `room`.

    Pieces and their commas are counted up; every `step` bytes begins a new chunk, which can then
    be `step` and one piece large. Where pieces have no largest size, those larger than half of the
    room travel alone.
    """
    space = room - 2 + 1  # between the brackets; each piece counts a comma, the last one has none
    running = "sum(octet_length(k.piece) + 1) OVER (ROWS UNBOUNDED PRECEDING)"
    widths = [_TEXT_WIDTHS.get(kind) for kind in one.types]
    if None in widths:
        widest = space // 2
        return sql.SQL(
            f"CASE WHEN octet_length(k.piece) + 1 > {widest} THEN -(row_number() OVER ()) "
            f"ELSE {running} / {space - widest + 1} END"
        )
    # quotes, ", " between parts, brackets, the comma behind
    widest = sum(width + 2 for width in widths if width is not None) + 2 * len(widths) + 1
    return sql.SQL(f"{running} / {space - widest + 1}")


# -- which keys ------------------------------------------------------------------------------------


def _side(one: Watched, event: Event, side: Literal["old", "new"], *more: str) -> sql.Composable:
    """The rows of one side: key columns as k1, k2 ..., the stamp so that its loss is noticed."""
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
    compared = _compared([one]) if event == "update" else None
    if compared is not None:
        columns.append(sql.SQL("ROW({})::text AS content").format(_fields("r", compared)))
    return sql.SQL("SELECT {} FROM " + source).format(sql.SQL(", ").join(columns))


def _changed(one: Watched, event: Event) -> sql.Composable:
    """Selects k1, k2 ... and `journaled`: the distinct keys of a statement.

    The journal takes what polling cannot see: in a stamped table deleted keys, and the OLD keys
    that no stamped NEW row carries.
    """
    keys = ", ".join(f"s.k{i}" for i in range(1, len(one.watch.key) + 1))
    present = " AND ".join(f"s.k{i} IS NOT NULL" for i in range(1, len(one.watch.key) + 1))
    journal_all = one.stamp is None or event == "delete"
    limit = {"rows": MOST_KEYS + 1, "doorbell": 1, "off": 0}[one.watch.notify]
    if event != "update":
        text = f"SELECT {keys}, {str(journal_all).lower()} AS journaled FROM ({{}}) AS s "
        text += f"WHERE {present} GROUP BY {keys}"
        if not journal_all:
            text += f" LIMIT {limit}"
        return sql.SQL(text).format(_side(one, event, "old" if event == "delete" else "new"))
    both: sql.Composable = sql.SQL("{} UNION ALL {}").format(
        _side(one, event, "old", "-1 AS side"), _side(one, event, "new", "1 AS side")
    )
    if one.watch.columns is not None:
        # EXCEPT ALL both ways, in one pass
        both = sql.SQL(
            f"SELECT {keys}, sum(s.side) AS side FROM ({{}}) AS s "
            f"GROUP BY {keys}, s.content HAVING sum(s.side) <> 0"
        ).format(both)
    if journal_all:
        text = f"SELECT {keys}, true AS journaled FROM ({{}}) AS s WHERE {present} GROUP BY {keys}"
        return sql.SQL(text).format(both)
    inner = (
        f"SELECT {keys}, max(s.side) < 0 AS journaled, row_number() OVER () AS nth "
        f"FROM ({{}}) AS s WHERE {present} GROUP BY {keys}"
    )
    outer = f"SELECT {keys}, s.journaled FROM ({inner}) AS s WHERE s.journaled OR s.nth <= {limit}"
    return sql.SQL(outer).format(both)
