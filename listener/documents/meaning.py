"""Meaning: what a query's result depends on besides the rows of watched tables.

A view that is replaced, a function, a search_path of the role: the query's text is the same and
its documents are others, and no trigger fires. So each audit reads the state of everything that
the SQL files of a document kind can mean, by the names in them: the objects of these names, what
these are made of, and what the bodies of functions name in turn.

It goes by names, and not by what the server makes of the statements. To ask the server would take a
view of listener's each minute (rights, and event triggers of others), or locks on the user's
relations, behind which an audit would wait; and it knows nothing of what functions do inside. Too
much is found at times (an unread table with the name of an alias), which costs a comparison when it
is altered.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

import psycopg
from psycopg import errors

from listener import postgres
from listener.changes import Watch
from listener.documents.candidates import FUNCTION, RELATION, TYPE, Candidate, Known, choices
from listener.documents.constants import texts_of
from listener.documents.session_settings import SETTINGS
from listener.postgres import Connection
from listener.sql import files

_TOLD: Final = ("search_path", "default_text_search_config")
"""Those of SETTINGS that are told by name."""

_EXTENSION: Final = 3079
_SERVER: Final = 1417
_LEVELS: Final = 20
"""Functions that call functions; deeper ones are not looked for."""
_NAMED: Final = 3
_DOTTED: Final = re.compile(r"[^\W\d][\w$]*(?:\.[^\W\d][\w$]*)+")
"""What may be the name of a setting that is an extension's, or the user's own."""
_CONFLICT: Final = "plpgsql.variable_conflict"
"""Any function in PL/pgSQL reads it, and names it nowhere."""
_NO_FILE: Final = "58P01"
_CANCELED: Final = "57014"
_TOLD_FIRST: Final = ("view ", "materialized view ", "function ", "aggregate ")

Meaning = Mapping[str, str]
"""What a document's SQL files depend on -> a hash of its state."""

_deadly: set[int] = set()
"""Extensions with a library that ends a session which loads it."""


def read(
    connection: Connection, watches: Sequence[Watch], texts: Mapping[str, Sequence[str]]
) -> dict[str, Meaning]:
    """By index, the meaning of its SQL texts for this session now. Raises psycopg.Error.

    Takes no lock on anything of the user's.
    """
    around = connection.execute(
        files.load("meaning/around"), {"settings": list(SETTINGS)}
    ).fetchall()
    tables = {
        "schemas": [watch.schema for watch in watches],
        "tables": [watch.table for watch in watches],
    }
    return {
        index: _meaning(connection, tables, around, statements)
        for index, statements in texts.items()
    }


def reached(connection: Connection, texts: Sequence[str]) -> dict[int, list[int]]:
    """By their catalog, the OIDs of what these SQL texts can mean. Raises psycopg.Error."""
    parts: dict[int, list[int]] = {}
    for kind, oid in sorted(_known(connection, {"schemas": [], "tables": []}, texts).reached):
        parts.setdefault(kind, []).append(oid)
    return parts


def altered(before: Meaning, now: Meaning) -> str | None:
    """What differs, in words; None: nothing."""
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if not names:
        return None
    # what a view was made of is not reached any more where that is gone: the view comes first
    names.sort(
        key=lambda name: (not (name in before and name in now), not name.startswith(_TOLD_FIRST))
    )
    told = [
        name if name in before and name in now else f"{name} ({'new' if name in now else 'gone'})"
        for name in names[:_NAMED]
    ]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"altered: {', '.join(told)}{more}"


def distrusted(before: Meaning, now: Meaning) -> Meaning:
    """The former meaning, of which what differs now will differ from anything."""
    differs = {name: "altered" for name in {*before, *now} if before.get(name) != now.get(name)}
    return {**before, **differs}


def _known(
    connection: Connection, tables: Mapping[str, Sequence[str]], texts: Sequence[str]
) -> Known:
    """What the names in these texts lead to, and those in the bodies of functions."""
    known = Known()
    for text in texts:
        known.add_text(text)
    _follow(connection, tables, known)
    return known


def _follow(connection: Connection, tables: Mapping[str, Sequence[str]], known: Known) -> None:
    for _ in range(_LEVELS):
        new = known.names.all - known.asked
        if new:
            known.asked |= new
            rows = connection.execute(
                files.load("meaning/named"), {"names": sorted(new)}
            ).fetchall()
            seen = set(known.candidates)
            known.candidates += [one for row in rows if (one := Candidate(*row)) not in seen]
        if not _reach(connection, tables, known):
            break


def _meaning(
    connection: Connection,
    tables: Mapping[str, Sequence[str]],
    around: Sequence[tuple[str, str, str | None]],
    texts: Sequence[str],
) -> Meaning:
    defaults = {name: value for what, name, value in around if what == "now"}
    # to_tsvector(…) without a configuration means this one
    known = _known(connection, tables, [*texts, defaults.get("default_text_search_config") or ""])
    # what a setting of the user's own holds may become a name
    dotted: dict[str, str] = {}
    held = [
        str(value).partition("=")[2]
        for what, name, value in around
        if what == "role" and "." in name
    ]
    for _ in range(_LEVELS):
        if held:
            known.add_constants(held)
            _follow(connection, tables, known)
        before, dotted = dotted, _dotted(connection, known)
        if dotted == before:
            break
        held = list(dotted.values())
    states = dict(known.states)
    states |= choices([one for one in known.candidates if one.name and known.means(one)])
    states |= dotted
    states |= _users(connection, known)
    words = " ".join(known.texts).lower()
    for what, name, value in around:
        if what == "role":
            # one with a dot is of an extension or the user's own: whatever reads it, it may count.
            # As whom a query runs stands in no text
            if name in (*SETTINGS, "role") or "." in name or name.lower() in words:
                states[f"{name} of role or database"] = (
                    states.get(f"{name} of role or database", "") + f"{value};"
                )
        elif what == "now" and name not in _TOLD:
            states["settings"] = f"{states.get('settings', '')}{name}={value};"
        elif what == "now":
            states[name] = str(value)
        else:
            states[f"{what} {name}"] = str(value)
    return {name: _hash(state) for name, state in sorted(states.items())}


def _dotted(connection: Connection, known: Known) -> dict[str, str]:
    """The settings of extensions and of the user that the query may read, as they are now.

    No list has them all: not those that a server's configuration has for a library that is not
    loaded yet. So it takes the libraries, and the names in all texts.
    """
    extensions = sorted(known.extensions)
    for extension in extensions:
        if extension not in _deadly:
            _load(connection, extension, known.extensions[extension])
    names = {name for text in known.texts for name in _DOTTED.findall(text)} | {_CONFLICT}
    rows = _settings(connection, sorted(names), extensions)
    return {f"setting {name}": str(value) for name, value in rows}


def _settings(
    connection: Connection, names: Sequence[str], extensions: Sequence[int]
) -> list[tuple[str, str]]:
    """The settings of these names and extensions, without those that only superusers are shown: one
    of them makes the server refuse the statement, so the names are asked in halves then."""
    try:
        with connection.transaction():
            return connection.execute(
                files.load("meaning/settings"), {"names": names, "extensions": extensions}
            ).fetchall()
    except errors.InsufficientPrivilege:
        if not names:
            raise
    found = _settings(connection, [], extensions)
    middle = len(names) // 2
    for half in (names[:middle], names[middle:]) if middle else ():
        found += _settings(connection, half, [])
    return found


def _users(connection: Connection, known: Known) -> dict[str, str]:
    """As whom the foreign servers that were reached are asked, where we may see it."""
    servers = sorted(oid for kind, oid in known.reached if kind == _SERVER)
    if not servers:
        return {}
    try:
        with connection.transaction():
            rows = connection.execute(files.load("meaning/users"), {"servers": servers}).fetchall()
    except errors.InsufficientPrivilege:  # the view may be hidden from all, which is no fault
        return {}
    return {f"user mappings of the foreign server {name}": str(value) for name, value in rows}


def _load(connection: Connection, extension: int, name: str) -> None:
    """Load the libraries of an extension. Where one cannot be loaded the query's own sessions
    cannot load it either: only what passes by itself must not change the answer.
    """
    try:
        with connection.transaction():
            connection.execute(files.load("meaning/load"), {"extension": extension})
    except psycopg.Error as error:
        passing = error.sqlstate is not None and postgres.is_passing(error)
        if connection.closed and not passing:
            # one that must be preloaded may end the session: once is enough
            _deadly.add(extension)
            error.add_note(
                f"the session ended when it loaded the library of the {name}: it is "
                "left alone from now on. Where it must be preloaded, name it in "
                "shared_preload_libraries or drop the extension"
            )
        passing = passing or error.sqlstate == _CANCELED
        if connection.closed or (passing and error.sqlstate != _NO_FILE):
            raise


def _reach(connection: Connection, tables: Mapping[str, Sequence[str]], known: Known) -> bool:
    """Follow what the names lead to; whether that brought new texts or names."""
    meant = [one for one in known.candidates if known.means(one)]
    new = [(one.kind, one.oid) for one in meant if (one.kind, one.oid) not in known.reached]
    if not new:
        return False
    rows = connection.execute(
        files.load("meaning/reached"),
        {
            "classes": [kind for kind, _ in new],
            "objects": [oid for _, oid in new],
            **{name: list(values) for name, values in tables.items()},
        },
    ).fetchall()
    parts: dict[int, list[int]] = {}
    for kind, oid, label, state, text, config in rows:
        if (kind, oid) not in known.reached:
            parts.setdefault(kind, []).append(oid)
        known.reached.add((kind, oid))
        known.states[label] = state
        if kind == _EXTENSION:
            known.extensions[oid] = label
        for setting in config or ():
            name, _, value = setting.partition("=")
            known.add_path(value)
            known.add_constants([value] if "." in name else [])
        if text is not None:
            known.add_text(text)
    known.reached.update(new)
    constants = connection.execute(
        files.load("meaning/constants"),
        {
            "classes": parts.get(RELATION, []),
            "functions": parts.get(FUNCTION, []),
            "types": parts.get(TYPE, []),
        },
    ).fetchall()
    known.add_constants(
        one
        for row in constants
        for one in ([row[2]] if row[1] is None else texts_of(row[0], row[1]))
    )
    return True


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()[:12]
