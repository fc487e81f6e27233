"""Sessions, the fence and the load: who may write, and where to."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from tests.model import roles, servers
from tests.model.daemon import page_done, save_load
from tests.model.rules import Rules, World
from tests.model.servers import Step
from tests.model.states import (
    ALIASES,
    AT_REST,
    BACK,
    BEGIN,
    BULK,
    COMPARED,
    CONFIRM,
    CURRENT,
    FREE,
    GIVE_UP,
    HELD,
    KEPT,
    LOAD,
    LOADING,
    NOBODY,
    POINT,
    POINTING,
    PUBLIC,
    RAISE,
    RAISING,
    RENEW,
    START,
    SWAP,
    UNDER_WAY,
    UNKEEP,
    Alias,
    Daemon,
    Message,
    Roles,
    State,
    Work,
    owner_of,
    write_alias,
)

_SUCCEEDS = (RENEW, SWAP, BACK)
"""Work that takes the generation after the one in force."""
_IN_ROUNDS = (BEGIN, LOAD, BACK, UNKEEP, GIVE_UP)
"""Work of the coordinator: where it fails, a session begins."""


def steps(s: State, number: int, rules: Rules, world: World) -> Iterator[Step]:
    """What the coordinator, the loader and the worker at the fence may do."""
    yield from _sessions(s, number, rules, world)
    yield from _begins(s, number, rules)
    yield from _work(s, number, rules)
    yield from _watermark(s, number, rules)
    if world.load in UNDER_WAY:
        yield from _load(s, number, rules)
        if world.forgot:
            yield from _held(s, number, rules)


def _sessions(s: State, number: int, rules: Rules, world: World) -> Iterator[Step]:
    d, base, left = s.daemons[number], s.base, s.left
    holds = base.lock == number
    if left.ends and (holds or d.session or not d.paused):
        spent = s._replace(left=left._replace(ends=left.ends - 1))
        free = base._replace(lock=NOBODY, unheard=False) if holds else base
        if holds:
            yield "the LISTEN connection is cut", spent._replace(base=free)
        if world.kills:
            gone = spent._replace(base=free)
            for message in s.net:
                if message.owner == number:
                    gone = servers.given_up(gone, message)
            fresh = Daemon(batches=(FREE,) * len(d.batches), kinds=d.kinds)
            yield "the process is killed", gone.with_daemon(number, fresh)
    if d.session and not holds:
        yield "Receiver.on_lost", s.with_daemon(number, d._replace(session=False))
    if not d.session and base.lock == NOBODY:
        taken = s._replace(base=base._replace(lock=number))
        yield "Notifications._lock", taken.with_daemon(number, d._replace(session=True, fresh=True))
    if not d.session and base.lock not in (NOBODY, number) and not d.paused:
        yield "Takeover._step_down", s.with_daemon(number, d._replace(paused=True))


def notices(s: State) -> Step | None:
    """Where it can do nothing more in the belief that it is active, it notices at once."""
    for number, d in enumerate(s.daemons):
        if d.session and s.base.lock != number and not s.left.ends:
            lost = s.with_daemon(number, d._replace(session=False))
            return f"{'AB'[number]}: Receiver.on_lost", lost
    return None


def plain(s: State) -> State:
    """Without what a daemon that stands by will forget when it begins a session."""
    for number, d in enumerate(s.daemons):
        if d.paused:
            forgetful = _standing_by(d)
            if forgetful != d:
                s = s.with_daemon(number, forgetful)
    return s


@functools.lru_cache(10_000)
def _standing_by(d: Daemon) -> Daemon:
    if not d.idle or d.work is not None:
        return d
    return d._replace(
        generation=0, counter=0, alias=0, feeds=0, current=NOBODY, lost=False, fenced=False,
        page=0, riding=False, fresh=d.fresh and d.session, kept=NOBODY,
    )  # fmt: skip


def _begins(s: State, number: int, rules: Rules) -> Iterator[Step]:
    d = s.daemons[number]
    if d.work is not None or not d.idle:
        return
    if d.session and (d.served == 0 or d.fresh or d.fenced):
        if s.base.lock != number:  # it does not know yet that it is active no more
            if not s.left.ends:
                return
            s = s._replace(left=s.left._replace(ends=s.left.ends - 1))
        begun = _begun(s, number, rules)
        if rules.raises:
            yield "Opening.begin, ControlDocument.raise_generation", raise_generation(begun, number)
        else:
            yield "Opening.begin", begun
    elif d.lost and not d.paused and not d.fenced:
        renewing = s.with_daemon(number, d._replace(work=Work(RENEW, START)))
        yield "Fence.renew, ControlDocument.succeed", raise_generation(renewing, number)


def _begun(s: State, number: int, rules: Rules) -> State:
    """Planner.begin looks at the indexes; then the generation is raised."""
    d = s.daemons[number]
    (current, *_) = s.behind(PUBLIC)
    load = s.saved if d.load == NOBODY else d.load
    known = roles.found(s, d, load, rules)
    if load in (2, 3, HELD) and current == d.kinds[-1]:
        load = 4  # swapped, but not written down
    if known is not None and known.rolled and rules.gives_up:
        load = 4  # a person went back from its files
    loading = d.loading if load in UNDER_WAY and d.loading != current else NOBODY
    d = d._replace(
        current=current, loading=loading, kept=NOBODY if known is None else known.kept,
        known=known, load=load, fenced=False, fresh=False, served=0, page=0, riding=False,
        batches=tuple(one._replace(job=False) for one in d.batches),
        work=Work(BEGIN, START if rules.raises else CONFIRM),
    )  # fmt: skip
    if not rules.raises:
        d = d._replace(generation=1, counter=d.counter if d.generation else 0)
    if not rules.listens_first and s.base.content != s.base.covered:
        d = d._replace(pending=d.pending | 1 << current)
    return save_load(s.with_daemon(number, d), number)


def _work(s: State, number: int, rules: Rules) -> Iterator[Step]:
    d = s.daemons[number]
    work = d.work
    if work is None:
        return
    if work.stage == START:
        yield "ControlDocument.raise_generation", raise_generation(s, number)
    elif work.stage == POINT:
        name = "Loader.give_up, Fence.point" if work.kind == GIVE_UP else "Fence.point"
        yield name, point(s, number, rules)
    elif work.stage == CONFIRM:
        name = "Fence.confirm"
        if rules.confirms and rules.raises and s.control != d.generation:
            yield name, _fenced_out(s, number)
        elif work.kind == BEGIN and rules.looks_again and s.behind(PUBLIC) != (d.current,):
            yield name, _fenced_out(s, number)  # a late call has moved it since the plan
        else:
            yield name, _finished(s, number, rules)
    for message in s.net:
        if message.owner == number and message.kind != BULK:
            yield from _answers(s, message, rules)


def raise_generation(s: State, number: int) -> State:
    """The request for the next generation, where ours is in force still."""
    d = s.daemons[number]
    assert d.work is not None
    if d.work.kind in _SUCCEEDS and (s.control != d.generation or _astray(s, d)):
        return _fenced_out(s, number)
    raising = s.with_daemon(number, d._replace(work=d.work._replace(stage=RAISING)))
    owners = [owner_of(alias) for alias, _ in s.aliases]
    generation = 1 + max(s.control, d.generation, d.above, *owners)
    return raising.sending(Message(RAISE, number, version=generation, seen=s.control))


def _fenced_out(s: State, number: int) -> State:
    d = s.daemons[number]
    assert d.work is not None
    served = 0 if d.work.kind in _IN_ROUNDS else d.served
    return s.with_daemon(number, d._replace(work=None, fenced=True, served=served))


def _astray(s: State, d: Daemon) -> bool:
    """Fence.refuse_astray: a call of this generation was made, though it had no answer."""
    wanted = {write_alias(d.generation, CURRENT): d.current}
    wanted[write_alias(d.generation, LOADING)] = d.loading
    if d.kept != NOBODY:
        wanted[write_alias(d.generation, KEPT)] = d.kept
    return any(alias in wanted and wanted[alias] != place for alias, place in s.aliases)


def _wanted(d: Daemon, rules: Rules) -> dict[int, int]:
    assert d.work is not None
    generation = d.generation if rules.fence else 0
    current, loading, kept = roles.after(d)
    wanted = {}
    if current != NOBODY:
        wanted[write_alias(generation, CURRENT)] = current
    if loading != NOBODY:
        wanted[write_alias(generation, LOADING)] = loading
    if kept != NOBODY and rules.feeds_former:
        wanted[write_alias(generation, KEPT)] = kept
    return wanted


def point(s: State, number: int, rules: Rules) -> State:
    """Reads the aliases and sends the change."""
    d = s.daemons[number]
    assert d.work is not None
    removes: list[Alias] = []
    adds: list[Alias] = []
    if d.work.kind in (SWAP, BACK):
        (target, *_) = roles.after(d)
        removes += [(PUBLIC, place) for place in s.behind(PUBLIC) if place != target]
        adds.append((PUBLIC, target))
    wanted = _wanted(d, rules)
    for alias, place in s.aliases:
        if alias == PUBLIC:
            continue
        if owner_of(alias) > d.generation:
            return _fenced_out(s, number)
        if wanted.get(alias) == place:
            del wanted[alias]
        else:
            removes.append((alias, place))
    adds += wanted.items()
    if not removes and not adds:
        return s.with_daemon(number, d._replace(work=d.work._replace(stage=CONFIRM)))
    pointing = s.with_daemon(number, d._replace(work=d.work._replace(stage=POINTING)))
    change = Message(ALIASES, number, removes=tuple(sorted(removes)), adds=tuple(sorted(adds)))
    return pointing.sending(change)


def _answers(s: State, message: Message, rules: Rules) -> Iterator[Step]:
    work = s.daemons[message.owner].work
    assert work is not None
    if message.kind == RAISE:
        name = "ControlDocument._write"
        yield _raised(s, message, work)
    else:
        name = "Indexes.update_aliases"
        after, done = servers.change_aliases(s.without(message), message, rules)
        d = s.daemons[message.owner]._replace(work=Work(work.kind, CONFIRM if done else POINT))
        yield name if done else f"{name} (404)", after.with_daemon(message.owner, d)
    if s.left.faults:
        spent = s._replace(left=s.left._replace(faults=s.left.faults - 1))
        d = s.daemons[message.owner]
        served = 0 if work.kind in _IN_ROUNDS else d.served
        lost = spent.with_daemon(message.owner, d._replace(work=None, served=served))
        yield f"{name} (no answer)", servers.given_up(lost, message)


def _raised(s: State, message: Message, work: Work) -> Step:
    number = message.owner
    d, rest = s.daemons[number], s.without(message)
    name = "ControlDocument._write"
    if s.control == message.seen:
        generation = message.version
        d = d._replace(generation=generation, counter=0, above=0, work=Work(work.kind, POINT))
        return name, rest._replace(control=generation).with_daemon(number, d)
    if work.kind in _SUCCEEDS:
        return f"{name} (409)", _fenced_out(rest, number)
    again = d._replace(work=Work(work.kind, START))
    return f"{name} (409)", rest.with_daemon(number, again)


def _finished(s: State, number: int, rules: Rules) -> State:
    """The targets are in force; then the sweep, or the load's pages."""
    d = s.daemons[number]
    assert d.work is not None
    kind = d.work.kind
    if kind in (SWAP, BACK):
        current, loading, kept = roles.after(d)
        known = None
        if d.known is not None:
            rolled = d.known.rolled or (kind == BACK and d.load in UNDER_WAY)
            known = Roles(current, kept, s.asked.number, rolled)
        d = d._replace(current=current, loading=loading, kept=kept, known=known)
    feeds = CURRENT if d.current != NOBODY else 0
    if d.kept != NOBODY and rules.feeds_former:
        feeds |= KEPT
    if d.loading != NOBODY and rules.feeds_both:
        feeds |= LOADING
    d = d._replace(alias=d.generation, feeds=feeds, work=None)
    if rules.closes:  # Ledger.aim
        d = d._replace(pending=d.pending & d.open)
    if kind == BEGIN or kind in _SUCCEEDS:
        d = d._replace(lost=False)
    d = _follows(d, kind, rules)
    if kind == UNKEEP:
        return s.with_daemon(number, d)  # the control document is not written at once
    missed = s.base.content != s.base.covered
    if kind in (BEGIN, LOAD) and d.served == 2 and rules.listens_first and missed:
        d = d._replace(pending=d.pending | d.open)  # Polls.scan
    return save_load(s.with_daemon(number, d), number)


def _follows(d: Daemon, kind: int, rules: Rules) -> Daemon:
    """What comes after work of this kind."""
    if kind == BEGIN:
        return d._replace(paused=False, served=1 if d.load in UNDER_WAY else 2)
    if kind == LOAD:
        d = d._replace(served=2)
        return _compares(d) if d.load == COMPARED else d
    if kind in (SWAP, GIVE_UP):
        return d._replace(load=4)
    if kind == BACK and d.due != NOBODY:
        return d._replace(answered=1)  # a command is done
    if kind == BACK and d.load in UNDER_WAY and rules.gives_up:
        return d._replace(loading=NOBODY, work=Work(GIVE_UP, POINT))
    return d


def _watermark(s: State, number: int, rules: Rules) -> Iterator[Step]:
    d, base = s.daemons[number], s.base
    if base.lock != number or not d.serves or base.unheard:
        return
    settled = not d.pending and d.idle
    if not rules.settles_former and d.kept != NOBODY:
        settled = not d.pending & ~(1 << d.kept) and all(
            not one.done or d.kinds[place] == d.kept for place, one in enumerate(d.batches)
        )
    if (
        (settled or not rules.settles)
        and (base.covered != base.content or not base.proven)
        and d.load in AT_REST
    ):
        after = s._replace(base=base._replace(covered=base.content, proven=True))
        yield "Progress.advance", after


def _load(s: State, number: int, rules: Rules) -> Iterator[Step]:
    d = s.daemons[number]
    if d.work is not None or d.fenced or d.paused:
        return
    if d.served == 1 and d.idle and not d.fresh:
        d = d._replace(loading=d.kinds[-1], work=Work(LOAD, POINT))
        yield "Loader.begin, Fence.point", point(s.with_daemon(number, d), number, rules)
    if d.served != 2:
        return
    if d.load == 1 and d.page == 0:
        if s.base.content > 0:
            yield "Loader.pages", s.with_daemon(number, d._replace(page=1))
        else:
            yield "Loader.pages", page_done(s, number)
    elif d.load == 2 and d.idle and not d.pending and s.base.lock == number and d.serves:
        if not s.base.unheard:
            yield "Mailbox.wait_for_tick", s.with_daemon(number, d._replace(load=3))
    elif d.load in (3, HELD) and d.idle and not d.lost:
        d = d._replace(sound=s.base.proven or not rules.keeps_sound)
        if rules.swap_raises:
            d = d._replace(work=Work(SWAP, START), lost=True)
            swapping = raise_generation(s.with_daemon(number, d), number)
            yield "Loader.swap, ControlDocument.succeed", swapping
        else:
            d = d._replace(work=Work(SWAP, POINT))
            yield "Loader.swap, Fence.point", point(s.with_daemon(number, d), number, rules)


def _held(s: State, number: int, rules: Rules) -> Iterator[Step]:
    """The guard holds the swap: what the index in use has missed is compared first."""
    d = s.daemons[number]
    if d.work is not None or d.fenced or d.paused or d.lost or d.served != 2 or not d.idle:
        return
    if d.load == 3:
        d = _compares(d) if rules.compares_held else d._replace(load=HELD)
        yield "UnderWay.load_waits", save_load(s.with_daemon(number, d), number)
    elif d.load == COMPARED and not d.pending:
        waits = s.with_daemon(number, d._replace(load=HELD))
        yield "UnderWay.comparison_complete", save_load(waits, number)


def _compares(d: Daemon) -> Daemon:
    """A comparison finds what differs: that is read again for the index in use."""
    return d._replace(load=COMPARED, pending=d.pending | 1 << d.current)
