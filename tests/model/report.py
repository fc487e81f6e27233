"""A counterexample in words, one line a step."""

from __future__ import annotations

from tests.model.explore import Explored
from tests.model.states import (
    BULK,
    CURRENT,
    FREE,
    KEPT,
    LOADING,
    NOBODY,
    PUBLIC,
    RAISE,
    ROLES,
    SPAN,
    Alias,
    Daemon,
    Message,
    State,
    owner_of,
)

_LETTERS = {CURRENT: "w", LOADING: "l", KEPT: "f"}


def summary(found: Explored) -> str:
    """How much was seen, and what is wrong."""
    verdict = found.violation or "no violation"
    return (
        f"{found.states:,} states, {found.steps:,} steps, {found.quiet:,} quiet states, "
        f"{found.seconds:.1f} s: {verdict}"
    )


def told(found: Explored) -> str:
    """The summary, and the way to the violation."""
    width = max((len(name) for name, _ in found.trace), default=0)
    lines = [f"  {name:{width}}  {state(after)}" for name, after in found.trace]
    return "\n".join([summary(found), *lines])


def state(s: State) -> str:
    """What matters of a state."""
    parts = [f"database {s.base.content:+d}"]
    if s.asked.number:
        parts.append(f"asked to go back to {_index(s.asked.place)}")
    for place, index in enumerate(s.indexes):
        if not place or index.version or any(behind == place for _, behind in s.aliases):
            parts.append(f"{_index(place)} {index.content:+d} at {_version(index.version)}")
    parts.append("aliases " + ", ".join(_alias(one) for one in s.aliases))
    parts += [_daemon(letter, one) for letter, one in zip("AB", s.daemons, strict=False)]
    parts += [_message(one) for one in s.net]
    return "; ".join(parts)


def _index(place: int) -> str:
    return ("old", "new", "next")[place]


def _version(version: int) -> str:
    return f"v{version // SPAN}.{version % SPAN}"


def _alias(alias: Alias) -> str:
    name, place = alias
    if name == PUBLIC:
        return f"public->{_index(place)}"
    return f"{_LETTERS[name % ROLES]}{owner_of(name)}->{_index(place)}"


def _daemon(letter: str, d: Daemon) -> str:
    words = [f"{letter} generation {d.generation}"]
    words += [
        word
        for word, here in (
            ("waits", d.pending),
            ("flies", any(one != FREE for one in d.batches)),
            ("lost", d.lost),
            ("fenced", d.fenced),
            ("paused", d.paused),
            ("keeps " + _index(d.kept), d.kept != NOBODY),
            ("is to go back", d.due != NOBODY and not d.answered),
        )
        if here
    ]
    return " ".join(words)


def _message(one: Message) -> str:
    late = "late " if one.owner == NOBODY else ""
    if one.kind == BULK:
        to = f"{_LETTERS[one.role]}{one.alias}"
        return f"{late}bulk {one.content:+d} {_version(one.version)} for {to}"
    if one.kind == RAISE:
        return f"{late}raise to {one.version}"
    changes = [f"-{_alias(alias)}" for alias in one.removes]
    changes += [f"+{_alias(alias)}" for alias in one.adds]
    return f"{late}aliases {' '.join(changes)}"
