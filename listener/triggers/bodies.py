"""The bodies of listener's trigger functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from listener.changes import PAYLOAD_VERSION, Watch
from listener.sql import files
from listener.triggers import keys, names
from listener.triggers.catalog import Watched

PAYLOAD_BYTES: Final = 7999
"""PostgreSQL's limit: one byte more aborts the transaction that sends it."""

_PATH: Final = ("search_path=pg_catalog, pg_temp",)
_EXACT: Final = (*_PATH, "extra_float_digits=1", "DateStyle=iso", "IntervalStyle=postgres")
"""For functions that compare text: other settings of the session could hide a change."""

_NOW: Final = sql.SQL(
    "CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END"
)
"""First the transaction's id, then the clock, in one expression that PL/pgSQL evaluates without a
query."""

_SLOT: Final = sql.SQL(
    "((pg_catalog.date_part('epoch', pg_catalog.now()) OPERATOR(pg_catalog.*) 20)"
    "::bigint OPERATOR(pg_catalog.%) 2147483647)::integer"
)
"""The number of the 50 ms in which the transaction began: one transaction rings in each. `extract`
would be numeric, which costs half a microsecond more."""

_MOMENT: Final = sql.SQL(
    "pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), "
    "'YYMMDDHH24MISSUS')::bigint"
)
"""The clock in microseconds: a value that the sequence has not had yet. Not `nextval`: lastval() of
the application would return it. No operator is in it, and no cast that is a function: the last
handler of errors must not need the right to call one."""

_ALLOWED: Final = sql.SQL(
    "pg_catalog.has_function_privilege("
    "'pg_catalog.pg_notify(text,text)'::pg_catalog.regprocedure, 'EXECUTE')"
)
"""Asked before NOTIFY, which is sent where no error is caught."""

SEAL: Final = "-- Written by listener, do not edit ("
"""How each body begins."""
_SEAL: Final = re.compile(rf"{re.escape(SEAL)}([0-9a-f]{{12}})\)\n", re.ASCII)
_TYPES: Final = re.compile(r"^-- types: .*\n\Z", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Function:
    """A trigger function: `body` is what pg_proc.prosrc must hold, `settings` proconfig.
    It runs with the rights of its owner.

    `mild`: where the function that is there differs in nothing but the types in its last line,
    nothing is missed. Sessions that were open before stamp more rows than they need to.
    """

    name: str
    body: str
    settings: tuple[str, ...] = ()
    mild: bool = False


def stamp(group: Sequence[Watched], schema: str) -> Function:
    """The function that stamps a row. `group`: all watches of the table.

    It runs with the rights of its owner: what it calls may be forbidden to the writer's role.
    """
    watch, kind = group[0].watch, group[0].stamp
    assert watch.updated_at is not None
    parts = _common(group[0].label, schema) | {
        "table_text": sql.Literal(group[0].label),
        "column": sql.Identifier(watch.updated_at),
        "watches": sql.Literal([one.watch.id for one in group]),
    }
    parts["failed"] = _part("stamp_failed", **parts)
    sole = [one for one in group if keys.stamped_only(one)]
    parts["moved"] = _moved(sole, parts)
    read = [name for one in sole for name in one.watch.key]
    if kind != "timestamptz":
        parts["now"] = _NOW + sql.SQL(" AT TIME ZONE 'UTC'")
    compared: dict[str, None] = {}
    for one in group:
        if one.watch.columns is None:
            mild = False
            body = _sealed(_fill("stamp", **parts) + _read(group, read))
            break
        compared.update(dict.fromkeys(keys.compared(one)))
    else:
        parts["old"] = keys.fields("OLD", tuple(compared))
        parts["new"] = keys.fields("NEW", tuple(compared))
        mild = True
        body = _sealed(_fill("stamp_columns", **parts) + _read(group, tuple(compared)))
    return Function(names.stamp_function(schema, watch), body, mild=mild)


def _read(group: Sequence[Watched], columns: Sequence[str]) -> str:
    """A comment at the end of a body that reads OLD or NEW: it changes with the columns' types."""
    return f"-- types: {keys.read(group, columns)}\n" if columns else ""


def _moved(group: Sequence[Watched], parts: Mapping[str, sql.Composable]) -> sql.Composable:
    """The part that records keys that moved, for watches that need no trigger but the stamp's."""
    if not group:
        return sql.SQL("")
    each = [
        _part(
            "stamp_moved_one",
            **{
                **parts,
                "watch": sql.Literal(one.watch.id),
                "present": keys.old_present(one),
                "same": keys.same([one]),
                "keys": keys.old_list(one),
            },
        )
        for one in group
    ]
    return _part("stamp_moved", same=keys.same(group), each=sql.Composed(each))


def _ring(watch: Watch, schema: str) -> sql.Composable:
    return _part(
        "ring",
        sweep=sql.Literal(_json(watch, sweep=True)),
        bell=sql.Literal(names.bell(schema)),
        slot=_SLOT,
        allowed=_ALLOWED,
    )


def _common(table: str, schema: str) -> dict[str, sql.Composable]:
    """What the bodies of stamps and of changes have in common. `table`: for people."""
    return {
        "table": _comment(table),
        "schema": sql.Identifier(schema),
        "count": sql.Literal(sql.Identifier(schema, "lost").as_string(None)),
        "moment": _MOMENT,
        "now": _NOW,
    }


def ringing(one: Watched, event: keys.Event, schema: str) -> Function:
    """The function that rings the bell for stamped rows. It reads no row."""
    body = _fill(
        "ringing",
        event=_comment(event.upper()),
        table=_comment(one.label),
        ring=_ring(one.watch, schema),
        tell_one=_part("tell_one", channel=sql.Literal(schema)),
    )
    return Function(names.change_function(schema, one, event), _sealed(body))


def change(one: Watched, event: keys.Event, schema: str) -> Function:
    """The function that records and tells what one event changed."""
    watch = one.watch
    head = _json(watch)[:-1] + ',"k":'
    room = PAYLOAD_BYTES - len(head.encode()) - len("}")
    parts = _common(watch.id, schema) | {
        "event": _comment(event.upper()),
        "watch": sql.Literal(watch.id),
        "silent": sql.Literal(not watch.notifies),
        "rows": sql.Literal(watch.sends_keys),
        "channel": sql.Literal(schema),
        "sweep": sql.Literal(_json(watch, sweep=True)),
        "ring": _ring(watch, schema) if watch.rings else sql.SQL("\nNULL;"),
        "reconcile": sql.Literal(_json(watch, reconcile=True)),
        "allowed": _ALLOWED,
    }
    parts["lost"] = _part("lost", **parts)
    parts["tell_one"] = _part("tell_one", **parts)
    parts["tell"] = _part("tell", **parts) if watch.sends_keys else parts["tell_one"]
    name = names.change_function(schema, one, event)
    if event == "truncate":
        return Function(name, _sealed(_fill("truncate", **parts)), settings=_PATH)
    # asked for where keys are sent: all else is polled at every tick
    parts["unheard"] = sql.SQL(
        "pg_notification_queue_usage() >= 0.5" if watch.sends_keys else "false"
    )
    told = {"most": sql.Literal(keys.MOST), "head": sql.Literal(head)}
    everything = keys.everything(one, event)
    short = "one"
    if everything:
        short = "one_journaled" if watch.sends_keys else "one_kept"
    parts["one"] = _part(short, only=keys.only(one, event), **parts)
    body = _fill(
        "changed",
        room=sql.Literal(room),
        chunk=keys.chunk(one, room),
        piece=keys.piece(one),
        everything=sql.Literal(everything),
        quiet=sql.Literal(keys.quiet(one, event)),
        moved=keys.moved(one, event),
        changed=keys.changed(one, event),
        told=_part("told", **told) if watch.sends_keys else sql.SQL("NULL"),
        **told,
        **parts,
    )
    compares = event == "update" and watch.columns is not None
    if one.row_level:
        body += _read([one], keys.compared(one) if compares else watch.key)
    return Function(name, _sealed(body), settings=_EXACT if compares else _PATH)


def authentic(body: str) -> bool:
    """Whether a body is as some version of listener wrote it.

    Another version's body has recorded all changes; an edited one may have missed some.
    """
    seal = _SEAL.match(body)
    return seal is not None and seal[1] == names.digest(body[seal.end() :])


def same_but_types(one: str, other: str) -> bool:
    """Whether two bodies differ in nothing but the types of the columns that they read."""
    first, second = (_TYPES.sub("", _SEAL.sub("", body, count=1)) for body in (one, other))
    return authentic(one) and first == second


def _sealed(body: str) -> str:
    return f"{SEAL}{names.digest(body)})\n{body}"


def _fill(name: str, **parts: sql.Composable) -> str:
    return sql.SQL(files.load(f"triggers/{name}")).format(**parts).as_string(None)


def _part(name: str, **parts: sql.Composable) -> sql.Composable:
    """A fragment, on lines of its own; the comment that begins its file stays there."""
    return sql.SQL("\n" + _fill(name, **parts).partition("\n")[2].rstrip())


def _comment(text: str) -> sql.Composable:
    return sql.SQL(names.one_line(text))


def _json(watch: Watch, **fields: bool) -> str:
    value = {"v": PAYLOAD_VERSION, "w": watch.id, **fields}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
