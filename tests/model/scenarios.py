"""Which worlds are explored as built, and in which each wrong rule is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from tests.model.rules import AS_BUILT, DRAW, READ, TAKE, Rules, World


class Case(NamedTuple):
    """Rules in a world."""

    rules: Rules
    world: World


def _built(commits: int, faults: int, ends: int, *, load: int = 0, crashes: int = 0) -> Case:
    return Case(AS_BUILT, World(commits, faults, ends, load=load, crashes=crashes))


_WORKERS: Final = replace(AS_BUILT, unanswered=2, workers=2)
"""Two workers, and an id in two requests at once: then it is the version alone that decides."""
_ORDER: Final = World(3, faults=0, ends=0, forgets=False, backwards=False)
_CRASH: Final = World(2, faults=0, ends=0, crashes=1, daemons=1)
_ADOPTED: Final = World(2, faults=1, ends=0, adopted=True)

GOOD: Final = {
    "takeover": _built(commits=2, faults=1, ends=1),
    "takeover, two lost": _built(commits=1, faults=2, ends=1),
    "two takeovers": _built(commits=1, faults=0, ends=2),
    "two lost": _built(commits=3, faults=2, ends=0),
    "load": _built(commits=1, faults=1, ends=0, load=1),
    "load, two commits, at the swap": _built(commits=2, faults=1, ends=0, load=3),
    "load, two lost, at the swap": _built(commits=1, faults=2, ends=0, load=3),
    "load, takeover, at the swap": _built(commits=1, faults=0, ends=1, load=3),
    "crash": _built(commits=2, faults=0, ends=0, crashes=1),
    "crash, one lost": _built(commits=1, faults=1, ends=0, crashes=1),
    "an index that is left of another daemon": Case(AS_BUILT, _ADOPTED),
    "the version alone": Case(_WORKERS, _ORDER),
}
"""In `make test`."""

DEEP: Final = {
    "three commits, takeover": _built(commits=3, faults=1, ends=1),
    "two lost, takeover": _built(commits=2, faults=2, ends=1),
    "three lost": _built(commits=3, faults=3, ends=0),
    "two takeovers, one lost": _built(commits=1, faults=1, ends=2),
    "load, two commits": _built(commits=2, faults=1, ends=0, load=1),
    "load, two lost": _built(commits=1, faults=2, ends=0, load=1),
    "load, takeover": _built(commits=1, faults=0, ends=1, load=1),
    "crash, takeover, one lost": _built(commits=1, faults=1, ends=1, crashes=1),
}
"""Minutes and gigabytes: `python -m tests.model --deep`."""


def _wrong(world: World, rules: Rules = AS_BUILT, **fields: object) -> Case:
    return Case(replace(rules, **fields), world)  # type: ignore[arg-type]


_ONE_LOST: Final = World(2, faults=1, ends=0)
_TAKEOVER: Final = World(2, faults=0, ends=1)

WRONG: Final = {
    "version drawn before the ids": _wrong(_ORDER, _WORKERS, order=(DRAW, TAKE, READ)),
    "version drawn after the read": _wrong(_ORDER, _WORKERS, order=(TAKE, READ, DRAW)),
    "deletes without a version": _wrong(_ORDER, _WORKERS, deletes_versioned=False),
    "no fence": _wrong(_ONE_LOST, fence=False),
    "no new generation at a takeover": _wrong(_TAKEOVER, raises=False),
    "no new generation after a lost answer": _wrong(_ONE_LOST, renews=False),
    "a transaction id as version": _wrong(_CRASH, xid_version=True),
    "two unanswered requests of one id": _wrong(World(2, faults=0, ends=0), unanswered=2),
    "bytes sent again": _wrong(_ONE_LOST, sends_again=True),
    "ids not given back": _wrong(_ONE_LOST, gives_back=False),
    "any 409 is done": _wrong(_ADOPTED, conflict_is_done=True),
    "a 404 of a write alias is done": _wrong(
        World(1, faults=0, ends=2, kills=False), refused_is_done=True
    ),
    "aliases changed blindly, not confirmed": _wrong(
        World(2, faults=1, ends=1, kills=False), must_exist=False, confirms=False
    ),
    "no flush before the request": _wrong(_CRASH, flushes=False),
    "sweep before LISTEN": _wrong(_TAKEOVER, listens_first=False),
    "the watermark does not wait": _wrong(_TAKEOVER, settles=False),
    "a load's index without live changes": _wrong(
        World(1, faults=0, ends=0, load=1), feeds_both=False
    ),
    "one query feeds both indexes": _wrong(World(1, faults=0, ends=0, load=1), own_query=False),
    "a change goes to one kind alone": _wrong(World(1, faults=0, ends=0, load=1), routes_all=False),
    "a swap under the generation in force": _wrong(
        World(2, faults=1, ends=0, load=3), swap_raises=False
    ),
    "what waits of a closed kind stays": _wrong(World(1, faults=1, ends=0, load=1), closes=False),
}
"""Each of them leads to a counterexample."""
