"""Which worlds are explored as built, and in which each wrong rule is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

from tests.model.rules import AS_BUILT, DRAW, READ, TAKE, Rules, World


class Case(NamedTuple):
    """Rules in a world."""

    rules: Rules
    world: World


def _built(commits: int, faults: int, ends: int, *, load: int = 0, crashes: int = 0) -> Case:
    return Case(AS_BUILT, World(commits, faults, ends, load=load, crashes=crashes))


def _former(faults: int, ends: int, *, load: int = 4, **more: Any) -> World:
    """A swap keeps the former index, or has kept it; there is one commit."""
    return World(1, faults, ends, load=load, keeps=True, **more)


_WORKERS: Final = replace(AS_BUILT, unanswered=2, workers=2)
"""Two workers, and an id in two requests at once: then it is the version alone that decides."""
_ORDER: Final = World(3, faults=0, ends=0, forgets=False, backwards=False)
_CRASH: Final = World(2, faults=0, ends=0, crashes=1, daemons=1)
_ADOPTED: Final = World(2, faults=1, ends=0, adopted=True)
_FORMER: Final = _former(faults=1, ends=0, asks=1, expires=True)
_RESTART: Final = _former(faults=0, ends=1, asks=1, expires=True, forgets=False, daemons=1)
_SUCCESSOR: Final = _former(faults=0, ends=1, forgets=False)
_BESIDE: Final = _former(0, 0, load=3, beside=True, asks=1, expires=True, forgets=False)
_FORGOT: Final = _former(0, 0, load=3, forgot=True, forgets=False, daemons=1)
_ALONE: Final = _former(faults=1, ends=0, alone=True, forgets=False, daemons=1)

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
    "former index, rollback": Case(AS_BUILT, _FORMER),
    "former index, rollback, a new process": Case(AS_BUILT, _RESTART),
    "former index, takeover": Case(AS_BUILT, _SUCCESSOR),
    "rollback without a daemon": Case(AS_BUILT, _ALONE),
    "swap, rollback, and forth again": Case(AS_BUILT, _former(0, 0, load=3, asks=2)),
    "a load beside a former index, rollback": Case(AS_BUILT, _BESIDE),
    "swap that keeps the former index": Case(AS_BUILT, _former(1, 0, load=3, forgets=False)),
    "load that forgot the watermark, held, a new process": Case(AS_BUILT, replace(_FORGOT, ends=1)),
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
    "former index, rollback, takeover": Case(AS_BUILT, _former(0, 1, asks=1, expires=True)),
    "former index, two lost": Case(AS_BUILT, _former(2, 0, asks=1, expires=True)),
    "rollback without a daemon, takeover": Case(AS_BUILT, _former(0, 1, alone=True)),
    "swap, rollback, and forth again, one lost": Case(AS_BUILT, _former(1, 0, load=3, asks=2)),
    "swap that keeps the former index, takeover": Case(AS_BUILT, _former(0, 1, load=3)),
    "a load beside a former index, rollback, one lost": Case(
        AS_BUILT, _former(1, 0, load=3, beside=True, asks=1, daemons=1, forgets=False)
    ),
    "a load beside a former index, rollback, a new process": Case(
        AS_BUILT, _former(0, 1, load=3, beside=True, asks=1, daemons=1, forgets=False)
    ),
    "a whole load beside a former index, rollback": Case(
        AS_BUILT, _former(0, 0, load=1, beside=True, asks=1, daemons=1, forgets=False)
    ),
    "load that forgot the watermark, held, one lost": Case(AS_BUILT, replace(_FORGOT, faults=1)),
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
    "a former index without live changes": _wrong(_FORMER, feeds_former=False),
    "a change goes to the index in use alone": _wrong(_FORMER, routes_all=False),
    "the watermark does not wait for a former index": _wrong(_SUCCESSOR, settles_former=False),
    "a former index is kept without its write alias": _wrong(_RESTART, sees_alias=False),
    "a rollback under the generation in force": _wrong(_FORMER, back_raises=False),
    "a session does not look again what people search": _wrong(_FORMER, looks_again=False),
    "a load goes on after a rollback": _wrong(_BESIDE, gives_up=False),
    "a rollback to any former index": _wrong(_ALONE, by_name=False),
    "what is in use is not compared where a load is held": _wrong(_FORGOT, compares_held=False),
    "a rollback to an index that was given up": _wrong(_FORMER, forgets_former=False),
    "an index that may lack changes is kept": _wrong(_FORGOT, keeps_sound=False),
}
"""Each of them leads to a counterexample."""
