"""The text of our trigger functions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from listener import sqlfiles
from listener.changes import PAYLOAD_VERSION, Watch
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

_SEAL: Final = re.compile(r"-- Written by listener, do not edit \(([0-9a-f]{12})\)\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class Function:
    """A trigger function of ours: `body` is what pg_proc.prosrc must hold, `settings` proconfig."""

    name: str
    body: str
    definer: bool
    settings: tuple[str, ...] = ()


def stamp(group: Sequence[Watched], schema: str) -> Function:
    """The function that stamps a row. `group`: all watches of the table."""
    watch, kind = group[0].watch, group[0].stamp
    assert watch.updated_at is not None
    parts: dict[str, sql.Composable] = {
        "table": _comment(group[0].label),
        "column": sql.Identifier(watch.updated_at),
        "now": _NOW if kind == "timestamptz" else _NOW + sql.SQL(" AT TIME ZONE 'UTC'"),
    }
    compared: dict[str, None] = {}
    for one in group:
        if one.watch.columns is None:
            body = _sealed(_fill("stamp", **parts))
            break
        compared.update(dict.fromkeys(keys.compared(one)))
    else:
        parts["old"] = keys.fields("OLD", tuple(compared))
        parts["new"] = keys.fields("NEW", tuple(compared))
        body = _sealed(_fill("stamp_columns", **parts))
    return Function(names.stamp_function(schema, watch), body, definer=False)


def change(one: Watched, event: keys.Event, schema: str) -> Function:
    """The function that records and tells what one event changed."""
    watch = one.watch
    head = _json(watch)[:-1] + ',"k":'
    room = PAYLOAD_BYTES - len(head.encode()) - len("}")
    parts: dict[str, sql.Composable] = {
        "event": _comment(event.upper()),
        "table": _comment(watch.id),
        "schema": sql.Identifier(schema),
        "watch": sql.Literal(watch.id),
        "notify": sql.Literal(watch.notify),
        "channel": sql.Literal(schema),
        "reconcile": sql.Literal(_json(watch, reconcile=True)),
        "now": _NOW,
        "count": sql.Literal(sql.Identifier(schema, "lost").as_string(None)),
    }
    parts["lost"] = sql.SQL(_fill("lost", **parts).partition("\n")[2].rstrip())
    name = names.change_function(schema, one, event)
    if event == "truncate":
        return Function(name, _sealed(_fill("truncate", **parts)), definer=True, settings=_PATH)
    parts["unheard"] = (
        sql.SQL("false")
        if watch.notify == "off"
        else sql.SQL("pg_notification_queue_usage() >= 0.5")
    )
    everything = keys.everything(one, event)
    short = _fill("one_journaled" if everything else "one", only=keys.only(one, event), **parts)
    parts["one"] = sql.SQL(short.partition("\n")[2].rstrip())
    body = _fill(
        "changed",
        room=sql.Literal(room),
        chunk=keys.chunk(one, room),
        piece=keys.piece(one),
        everything=sql.Literal(everything),
        quiet=sql.Literal(keys.quiet(one, event)),
        moved=keys.moved(one, event),
        changed=keys.changed(one, event),
        most=sql.Literal(keys.MOST),
        head=sql.Literal(head),
        sweep=sql.Literal(_json(watch, sweep=True)),
        rung=sql.Literal(f"listener.rung_{names.digest(schema)}"),
        bell=sql.Literal(names.bell(schema)),
        **parts,
    )
    compares = event == "update" and watch.columns is not None
    return Function(name, _sealed(body), definer=True, settings=_EXACT if compares else _PATH)


def authentic(body: str) -> bool:
    """Whether a body is as some version of listener wrote it.

    Another version's body has recorded all changes; an edited one may have missed some.
    """
    seal = _SEAL.match(body)
    return seal is not None and seal[1] == names.digest(body[seal.end() :])


def _sealed(body: str) -> str:
    return f"-- Written by listener, do not edit ({names.digest(body)})\n{body}"


def _fill(name: str, **parts: sql.Composable) -> str:
    return sql.SQL(sqlfiles.load(f"triggers/{name}")).format(**parts).as_string(None)


def _comment(text: str) -> sql.Composable:
    return sql.SQL(names.one_line(text))


def _json(watch: Watch, **fields: bool) -> str:
    value = {"v": PAYLOAD_VERSION, "w": watch.id, **fields}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
