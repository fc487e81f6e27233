"""Breadth first over all states that can be reached; the first violation is a shortest one."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from tests.model import daemon, fencing, former, servers
from tests.model.rules import Rules, World
from tests.model.servers import Step
from tests.model.states import (
    AT_REST,
    CURRENT,
    FREE,
    KEPT,
    LOADING,
    NEW,
    NEXT,
    NOBODY,
    OLD,
    PUBLIC,
    ROLES,
    SPAN,
    Base,
    Daemon,
    Index,
    Roles,
    State,
    write_alias,
)

_NAMES = ("the old index", "the new index", "the next index")


@dataclass(frozen=True, slots=True)
class Explored:
    """What was found. `trace`: the steps to the violation, with the states after them."""

    states: int
    steps: int
    quiet: int
    seconds: float
    violation: str | None
    trace: tuple[Step, ...]
    names: frozenset[str]


def first(rules: Rules, world: World) -> State:
    """The first daemon is active and has written down that all is in the index."""
    generation = 1 if rules.fence else 0
    used = Index(1 if rules.xid_version else SPAN + 1, 1, OLD)
    indexes, kinds = [used, Index(0, 0, NEW)], (*(OLD,) * rules.unanswered, NEW)
    if world.beside:
        indexes, kinds = [used, used._replace(by=NEW), Index(0, 0, NEXT)], (OLD, NEW, NEXT)
    current = kept = loading = NOBODY
    if world.load == 4 or world.beside:
        current, kept = NEW, OLD
        indexes[NEW] = used._replace(by=NEW)
    else:
        current = OLD
    if world.load == 3:
        loading = kinds[-1]
        indexes[loading] = used._replace(by=loading)
    feeds, aliases = CURRENT, [(PUBLIC, current), (write_alias(generation, CURRENT), current)]
    if kept != NOBODY and rules.feeds_former:
        feeds |= KEPT
        aliases.append((write_alias(generation, KEPT), kept))
    if loading != NOBODY:
        feeds |= LOADING
        aliases.append((write_alias(generation, LOADING), loading))
    known = Roles(current, kept) if world.keeps else None
    idle = Daemon(batches=(FREE,) * len(kinds), kinds=kinds)
    active = idle._replace(
        generation=1, counter=1, alias=1, feeds=feeds, current=current, loading=loading, kept=kept,
        session=True, served=1 if world.load == 1 else 2, paused=False, load=world.load,
        known=known,
    )  # fmt: skip
    control = 1
    if world.alone:
        active = idle._replace(session=True, due=OLD)
    if world.adopted:
        active = idle._replace(session=True, load=0)
        aliases, control = [(PUBLIC, OLD)], 0
        indexes[OLD] = Index(3 * SPAN + 1, 1, OLD)
    base = Base(1, 1, False, 1, 0, 1, 1, 1, 1)
    if world.forgot:  # the second commit came when no daemon was there
        base = base._replace(content=2, serial=2, covered=2, durable=2, proven=False)
        if loading != NOBODY:
            indexes[loading] = indexes[loading]._replace(content=2)
    return State(
        base=base,
        daemons=(active, idle)[: world.daemons],
        indexes=tuple(indexes),
        control=control,
        saved=world.load,
        aliases=tuple(sorted(aliases)),
        net=(),
        left=world.budget(),
        noted=known,
    )


def successors(s: State, rules: Rules, world: World) -> Iterator[Step]:
    """All that can happen next."""
    local = daemon.draws(s, rules) or fencing.notices(s)
    if local is not None:
        yield local
        return
    yield from servers.database(s, rules, world)
    if world.forgets:
        yield from servers.forget(s)
    yield from servers.late(s, rules)
    if world.asks:
        yield from former.asks(s)
    for number, letter in enumerate("AB"[: world.daemons]):
        for name, after in daemon.steps(s, number, rules):
            yield f"{letter}: {name}", after
        for name, after in fencing.steps(s, number, rules, world):
            yield f"{letter}: {name}", after
        if world.keeps:
            for name, after in former.steps(s, number, rules, world):
                yield f"{letter}: {name}", after


def quiet(s: State) -> bool:
    """Whether the active daemon believes that there is nothing left to do."""
    holder = s.base.lock
    if holder == NOBODY or s.base.unheard:
        return False
    d = s.daemons[holder]
    if not (d.serves and d.work is None and d.idle):
        return False
    if d.due != NOBODY and not d.answered:
        return False
    return not (d.pending or d.fenced or d.page) and d.load in AT_REST


def differs(s: State) -> str | None:
    """Whether what people search is not what the database says, or would not be after a rollback;
    or whether the one that was asked for was undone."""
    (place,) = s.behind(PUBLIC)
    d = s.daemons[s.base.lock]
    wrong = _differs(s, place, "the index")
    if wrong is None and d.kept != NOBODY:
        wrong = _differs(s, d.kept, "the former index")
    if wrong is not None:
        return f"quiet, and {wrong}"
    if d.answered == 1 and place != d.due:
        return "the rollback was done, and people search the other index"
    if d.known is not None and d.known.rolled and place == d.kinds[-1]:
        return "the rollback was done, and a load has taken it back"
    return None


def _differs(s: State, place: int, what: str) -> str | None:
    found, right = s.indexes[place].content, s.base.content
    if max(found, 0) == max(right, 0):
        return None
    return f"{what} has {found:+d} where the database has {right:+d}"


def foreign(s: State) -> str | None:
    """Whether an index has what the query of another one has made."""
    for place, index in enumerate(s.indexes):
        if index.by != place:
            return f"{_NAMES[place]} has a document of the other query"
    return None


def short(s: State) -> str | None:
    """Whether the watermark has passed what is missing in the index that people search, or in the
    former one, which its write alias tells."""
    if not s.base.proven:
        return None
    covered = abs(s.base.covered)
    for name, place in s.aliases:
        if (
            abs(s.indexes[place].content) < covered
            and (name == PUBLIC or name % ROLES == KEPT)
            and (wrong := _differs(s, place, _NAMES[place]))
        ):
            return f"the watermark is at {s.base.covered:+d}: {wrong}"
    return None


def backwards(before: State, after: State) -> str | None:
    """Whether older content replaced newer content."""
    for old, new in zip(before.indexes, after.indexes, strict=True):
        if abs(new.content) < abs(old.content):
            return f"an index went back from {old.content:+d} to {new.content:+d}"
    return None


def _wrong(before: State, after: State, world: World) -> str | None:
    """What this step has done wrong. What it did not touch is the same tuple as before."""
    wrong = None
    wrote = after.indexes is not before.indexes
    if wrote:
        wrong = foreign(after) or (backwards(before, after) if world.backwards else None)
    if wrote or after.aliases is not before.aliases or after.base is not before.base:
        wrong = wrong or short(after)
    return wrong


def explore(rules: Rules, world: World, most: int = 3_000_000) -> Explored:
    """All states; stops at the first violation. Raises RuntimeError beyond `most` states."""
    gc.disable()  # millions of tuples, no cycle among them: a third of the time
    try:
        return _explore(rules, world, most)
    finally:
        gc.enable()


def _explore(rules: Rules, world: World, most: int) -> Explored:
    began = time.monotonic()
    start = first(rules, world)
    states = [start]
    number_of = {start: 0}
    parents = array("i", [-1])
    names = [""]
    edges_from, edges_to = array("i"), array("i")
    good: list[int] = []
    used: set[str] = set()
    at = 0

    def result(violation: str | None, last: int, more: Step | None = None) -> Explored:
        trace = [] if more is None else [more]
        while last > 0:
            trace.append((names[last], states[last]))
            last = parents[last]
        return Explored(
            len(states), len(edges_to), len(good), time.monotonic() - began, violation,
            tuple(reversed(trace)), frozenset(used),
        )  # fmt: skip

    while at < len(states):
        s = states[at]
        if quiet(s):
            wrong = differs(s)
            if wrong:
                return result(wrong, at)
            good.append(at)
        for name, reached in successors(s, rules, world):
            after = fencing.plain(servers.pruned(reached, rules))
            used.add(name)
            number = number_of.get(after)
            if number is None:
                wrong = _wrong(s, after, world)
                if wrong:
                    return result(wrong, at, (name, after))
                number = len(states)
                if number >= most:
                    raise RuntimeError(f"more than {most} states")
                number_of[after] = number
                states.append(after)
                parents.append(at)
                names.append(name)
            edges_from.append(at)
            edges_to.append(number)
        at += 1
    stuck = _stuck(len(states), good, edges_from, edges_to)
    if stuck is not None:
        return result("no way leads to quiet from here", stuck)
    return result(None, 0)


def _stuck(count: int, good: list[int], edges_from: array[int], edges_to: array[int]) -> int | None:
    """The first state from which no quiet one can be reached."""
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in zip(edges_from, edges_to, strict=True):
        before[target].append(source)
    reaches = bytearray(count)
    todo = list(good)
    for one in good:
        reaches[one] = 1
    while todo:
        for one in before[todo.pop()]:
            if not reaches[one]:
                reaches[one] = 1
                todo.append(one)
    found = reaches.find(0)
    return None if found < 0 else found
