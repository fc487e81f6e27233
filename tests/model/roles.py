"""What each index is to its alias: as a session finds it, and as work on the fence leaves it."""

from __future__ import annotations

from tests.model.rules import Rules
from tests.model.states import (
    BACK,
    HELD,
    KEPT,
    NOBODY,
    PUBLIC,
    ROLES,
    SWAP,
    UNDER_WAY,
    Daemon,
    Roles,
    State,
)


def after(d: Daemon) -> tuple[int, int, int]:
    """The index in use, the one that a load fills and the former one, when its work is done."""
    assert d.work is not None
    if d.work.kind == SWAP:
        return d.kinds[-1], NOBODY, d.current if d.known is not None and d.sound else NOBODY
    if d.work.kind == BACK:
        return d.kept, d.loading, d.current
    return d.current, d.loading, d.kept


def found(s: State, d: Daemon, load: int, rules: Rules) -> Roles | None:
    """The roles that a session begins with: formers.as_they_are, formers.kept_of."""
    noted = s.noted if d.load == NOBODY else d.known
    if noted is None:
        return None
    (used, *_) = s.behind(PUBLIC)
    former = _former(s) if rules.sees_alias else noted.kept
    if used == noted.used:
        return noted if former == noted.kept else noted._replace(kept=NOBODY)
    # swapped, or gone back, but not written down
    back = used == noted.kept
    assert back or (load in (2, 3, HELD) and used == d.kinds[-1]), "nobody has made this one"
    kept = former if former == noted.used else NOBODY
    return Roles(used, kept, s.asked.number, noted.rolled or (back and load in UNDER_WAY))


def _former(s: State) -> int:
    """The index that the last write alias of a former one leads to: aliases.former."""
    name = max((name for name, _ in s.aliases if name and name % ROLES == KEPT), default=None)
    if name is None:
        return NOBODY
    places = s.behind(name)
    return places[0] if len(places) == 1 else NOBODY
