"""The former index: what a person asks for, the way back, and the end of its time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.fencing import point, raise_generation
from tests.model.rules import Rules, World
from tests.model.servers import Step
from tests.model.states import (
    BACK,
    NOBODY,
    POINT,
    START,
    UNKEEP,
    Asked,
    Daemon,
    State,
    Work,
)


def asks(s: State) -> Iterator[Step]:
    """`listener rollback` beside a daemon: the control document says which former one is kept."""
    noted = s.noted
    if not s.left.asks or noted is None or NOBODY in (noted.kept, s.base.lock):
        return
    asked = Asked(s.asked.number + 1, noted.kept)
    left = s.left._replace(asks=s.left.asks - 1)
    yield "somebody asks for the former index", s._replace(asked=asked, left=left)


def steps(s: State, number: int, rules: Rules, world: World) -> Iterator[Step]:
    """What the coordinator may do with a former index."""
    d = s.daemons[number]
    if not d.serves or d.work is not None or d.fenced or d.paused or not d.idle:
        return
    if world.expires and d.kept != NOBODY:
        yield "Rollbacks.look, Fence.unkeep", _unkept(s, number, rules)
    if d.pending or s.base.unheard or s.base.lock != number:
        return  # no tick is complete
    if d.due != NOBODY and not d.answered:
        yield from _here(s, number, rules)
    elif _heeds(s, d):
        name = "Rollbacks.ask, Ticker.tick, Rollbacks.roll_back, ControlDocument.succeed"
        yield name, _back(s, number, rules)


def _unkept(s: State, number: int, rules: Rules) -> State:
    """It is noted first, and then its write alias is removed."""
    d = s.daemons[number]
    assert d.known is not None
    known = d.known._replace(kept=NOBODY) if rules.forgets_former else d.known
    d = d._replace(kept=NOBODY, known=known, work=Work(UNKEEP, POINT))
    return point(s.with_daemon(number, d), number, rules)


def _heeds(s: State, d: Daemon) -> bool:
    """A request that is read once more does nothing: the roles have changed since."""
    if d.known is None or d.known.kept == NOBODY:
        return False
    return d.known.kept == s.asked.place and s.asked.number > d.known.since


def _here(s: State, number: int, rules: Rules) -> Iterator[Step]:
    """The command does it itself."""
    d = s.daemons[number]
    if rules.by_name and d.current == d.due:
        yield "Rollbacks.here", s.with_daemon(number, d._replace(answered=1))
    elif d.kept == NOBODY or (rules.by_name and d.kept != d.due):
        yield "Rollbacks.here", s.with_daemon(number, d._replace(answered=2))
    else:
        yield "Rollbacks.here, ControlDocument.succeed", _back(s, number, rules)


def _back(s: State, number: int, rules: Rules) -> State:
    d = s.daemons[number]._replace(page=0, riding=False)  # the load's thread is ended
    if d.known is not None:
        d = d._replace(kept=d.known.kept)
    if not rules.back_raises:
        return point(s.with_daemon(number, d._replace(work=Work(BACK, POINT))), number, rules)
    d = d._replace(work=Work(BACK, START), lost=True)
    return raise_generation(s.with_daemon(number, d), number)
