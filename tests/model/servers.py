"""What the two servers do: commits and crashes, requests that arrive, tombstones forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.rules import Rules, World
from tests.model.states import (
    ALIASES,
    BULK,
    FREE,
    NOBODY,
    RAISE,
    ROLES,
    SPAN,
    Daemon,
    Index,
    Message,
    State,
    write_alias,
)

Step = tuple[str, State]

DONE, RETRY, FENCED = "done", "retry", "fenced"


def database(s: State, rules: Rules, world: World) -> Iterator[Step]:
    """Commits, and crashes that take what was not flushed."""
    base, left = s.base, s.left
    if left.commits:
        spent = left._replace(commits=left.commits - 1)
        serial = base.serial + 1
        heard = base.lock != NOBODY and (rules.listens_first or s.daemons[base.lock].served == 2)
        for content in (serial, -serial) if base.content > 0 else (serial,):
            after = base._replace(content=content, serial=serial, unheard=base.unheard or heard)
            if world.crashes:
                after = after._replace(xid=base.xid + 1, logged_xid=base.xid + 1)
            else:
                after = after._replace(durable=content)
            name = "somebody commits" if content > 0 else "somebody deletes"
            yield f"{name} ({content:+d})", s._replace(base=after, left=spent)
    if left.crashes:
        # whoever was connected must connect anew
        after = base._replace(
            content=base.durable, xid=base.durable_xid, logged_xid=base.durable_xid,
            unheard=False, lock=NOBODY,
        )  # fmt: skip
        spent = left._replace(crashes=left.crashes - 1)
        daemons = tuple(_cut_off(one) for one in s.daemons)
        yield "PostgreSQL crashes", s._replace(base=after, left=spent, daemons=daemons)
    if base.durable != base.content or base.durable_xid != base.logged_xid:
        yield "PostgreSQL flushes by itself", s._replace(base=flushed(s).base)
    if rules.xid_version and base.xid < base.logged_xid + 2:
        # its id was assigned; nothing of it is in the WAL
        yield "somebody rolls back", s._replace(base=base._replace(xid=base.xid + 1))


def _cut_off(d: Daemon) -> Daemon:
    """Worker._failed: what was not read yet is given back."""
    pending = d.pending
    for place, one in enumerate(d.batches):
        if 0 < one.done < 3:
            pending |= 1 << d.kinds[place]
    batches = tuple(FREE if one.done < 3 else one for one in d.batches)
    return d._replace(batches=batches, pending=pending)


def flushed(s: State) -> State:
    """All that is committed is on disk."""
    base = s.base
    return s._replace(base=base._replace(durable=base.content, durable_xid=base.logged_xid))


def forget(s: State) -> Iterator[Step]:
    """Elasticsearch forgets the version of a deleted document."""
    for place, index in enumerate(s.indexes):
        if index.content <= 0 and index.version:
            indexes = list(s.indexes)
            indexes[place] = index._replace(version=0)
            yield "Elasticsearch forgets a tombstone", s._replace(indexes=tuple(indexes))


def bulk(s: State, message: Message, rules: Rules) -> tuple[State, str]:
    """A bulk is executed: as `version_type=external_gte` has it; the verdict on its document."""
    alias = message.alias if rules.fence else 0
    behind = s.behind(write_alias(alias, message.role))
    if not behind:
        return s, DONE if rules.refused_is_done else FENCED  # require_alias: 404
    (place,) = behind
    stored = s.indexes[place].version
    deletes_anything = message.content <= 0 and not rules.deletes_versioned
    if message.version < stored and not deletes_anything:
        # 409, see verdicts.settle_conflict
        same = rules.xid_version or stored // SPAN == message.version // SPAN
        return s, DONE if same or rules.conflict_is_done else FENCED
    indexes = list(s.indexes)
    version = 0 if deletes_anything else message.version
    indexes[place] = Index(version, message.content, message.by)
    return s._replace(indexes=tuple(indexes)), DONE


def change_aliases(s: State, message: Message, rules: Rules) -> tuple[State, bool]:
    """One `_aliases` call; whether it was done."""
    there = set(s.aliases)
    if rules.must_exist and not there.issuperset(message.removes):
        return s, False
    there = (there - set(message.removes)) | set(message.adds)
    return s._replace(aliases=tuple(sorted(there))), True


def late(s: State, rules: Rules) -> Iterator[Step]:
    """A request arrives for whose answer nobody waits any more."""
    seen: Message | None = None
    for message in s.net:
        if message.owner != NOBODY or message == seen:
            continue
        seen = message
        rest = s.without(message)
        if message.kind == BULK:
            yield "a late bulk arrives", bulk(rest, message, rules)[0]
        elif message.kind == RAISE:
            if s.control == message.seen:
                yield "a late raise arrives", rest._replace(control=message.version)
        else:
            yield "a late change of aliases arrives", change_aliases(rest, message, rules)[0]


def given_up(s: State, message: Message) -> State:
    """Nobody waits for this one any more."""
    return s.without(message).sending(message._replace(owner=NOBODY, place=0))


def pruned(s: State, rules: Rules) -> State:
    """Without late requests that can have no effect any more."""
    if not any(message.owner == NOBODY for message in s.net):
        return s
    kept = tuple(one for one in s.net if one.owner != NOBODY or _may_matter(s, one, rules))
    return s if len(kept) == len(s.net) else s._replace(net=kept)


def _may_matter(s: State, message: Message, rules: Rules) -> bool:
    if message.kind == RAISE:
        return s.control == message.seen
    if message.kind == ALIASES:
        gone = not set(s.aliases).issuperset(message.removes)
        return not (
            gone
            and rules.must_exist
            and all(
                _extinct(s, alias // ROLES, but=message) for alias, _ in message.removes if alias
            )
        )
    return not (rules.fence and _extinct(s, message.alias, but=message))


def _extinct(s: State, generation: int, *, but: Message) -> bool:
    """Whether no alias of this generation is there or can come back."""
    if any(daemon.generation == generation for daemon in s.daemons):
        return False
    if any(alias // ROLES == generation for alias, _ in s.aliases if alias):
        return False
    return not any(
        alias // ROLES == generation
        for one in s.net
        if one.kind == ALIASES and one != but
        for alias, _ in one.adds
        if alias
    )
