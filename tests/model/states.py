"""What a state of the model is made of: plain tuples, so that states can be kept in a set.

A *content* is the number of a commit: `+k` the document as commit k left it, `-k` deleted by commit
k, 0 not there yet. A *version* is generation * `SPAN` + counter. A *kind* is a definition, by which
one index is made and fed: it has the number of that index. A *former* index was in use before a
swap, and is kept and fed, so that a person can go back to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NOBODY = -1
OLD, NEW, NEXT = range(3)
"""The indexes, and their kinds. There are two: the one in use at first, and the one that a load
fills. Or three: the one before the one in use, that one, and the one that a load fills."""
CURRENT, LOADING, KEPT = 1, 2, 4
"""Roles of an index, as bits, and the write aliases of one generation that are named after them."""
PUBLIC = 0
"""The alias that people search."""
COMPARED, HELD = 5, 6
"""How far a load is that waits for a person: what is in use is compared first."""
UNDER_WAY = (1, 2, 3, COMPARED, HELD)
AT_REST = (0, 4, HELD)
SPAN = 32
ROLES = 8

Alias = tuple[int, int]
"""Name and index."""


def write_alias(generation: int, kind: int) -> int:
    """The name of a write alias; `generation_of` tells whose it is."""
    return generation * ROLES + kind


def owner_of(alias: int) -> int:
    """The generation that a write alias belongs to."""
    return alias // ROLES


class Base(NamedTuple):
    """The database. `unheard`: a notification is on its way to the session that listens.

    `xid` is the next one. `durable` and `durable_xid`: what a crash leaves. `proven`: the watermark
    speaks of the index in use; else it was forgotten, and sweeps begin at the start of the load.
    """

    content: int
    serial: int
    unheard: bool
    covered: int
    lock: int
    xid: int
    logged_xid: int
    durable: int
    durable_xid: int
    proven: bool = True


class Index(NamedTuple):
    """The document in one index; version 0: the server knows of none (any more). `by`: the kind
    whose query has made it."""

    version: int
    content: int
    by: int


class Batch(NamedTuple):
    """The id on its way; `done` counts the steps that were made. `job`: a load waits for it."""

    done: int = 0
    version: int = 0
    content: int = 0
    alias: int = 0
    role: int = 0
    job: bool = False


FREE = Batch()

BEGIN, RENEW, LOAD, SWAP, BACK, UNKEEP, GIVE_UP = range(7)
START, RAISING, POINT, POINTING, CONFIRM = range(5)


class Work(NamedTuple):
    """Work on the fence: of which kind, how far. The pipeline is quiet meanwhile."""

    kind: int
    stage: int


class Roles(NamedTuple):
    """What is written down of them: the index in use, the former one that is kept, and how many
    rollbacks had been asked for when that was noted. `rolled`: a person went back while a load was
    under way."""

    used: int
    kept: int
    since: int = 0
    rolled: bool = False


class Daemon(NamedTuple):
    """One process.

    `session` is what it believes; who holds the lock is in Base. `fresh`: that session is younger
    than the one that was begun. `served`: 0 none was begun, 1 the generation is raised, 2 swept
    and serving. `alias` and `feeds`: the targets in force. `pending`: the kinds, as bits, that the
    id waits for. `kinds`: of which one each of `batches` is; the last one is that of a load.
    `load`: -1 unknown, 0 none, 1 pages are
    due, 2 loaded, 3 caught up, 4 swapped; or COMPARED or HELD. `sound`: the index in use lacks
    nothing, so a swap may keep it. `page`: 1 waits, 2 is in a batch or waits with `riding`.
    `known`: the roles as it has noted them last; None: former indexes are not kept. `due`: the
    former index that a person wants to go back to. `answered`, of a command: 1 it is done, 2 it is
    refused.
    """

    generation: int = 0
    counter: int = 0
    alias: int = 0
    feeds: int = 0
    current: int = NOBODY
    loading: int = NOBODY
    kept: int = NOBODY
    pending: int = 0
    riding: bool = False
    batches: tuple[Batch, ...] = (FREE, FREE)
    kinds: tuple[int, ...] = (OLD, NEW)
    above: int = 0
    lost: bool = False
    fenced: bool = False
    session: bool = False
    fresh: bool = False
    served: int = 0
    paused: bool = True
    work: Work | None = None
    load: int = NOBODY
    page: int = 0
    known: Roles | None = None
    due: int = NOBODY
    answered: int = 0
    sound: bool = True

    @property
    def serves(self) -> bool:
        """Whether it has swept in the session that it believes in."""
        return self.session and not self.fresh and self.served == 2

    @property
    def idle(self) -> bool:
        """Whether nothing is read or in flight."""
        for one in self.batches:  # noqa: SIM110 - quicker than all(), and asked millions of times
            if one.done:
                return False
        return True

    def role_of(self, kind: int) -> int:
        """What the index of this kind is, where it is fed; 0: the kind is closed."""
        if self.current == kind:
            return self.feeds & CURRENT
        if self.loading == kind:
            return self.feeds & LOADING
        return self.feeds & KEPT if self.kept == kind else 0

    @property
    def open(self) -> int:
        """The kinds that feed an index, as bits."""
        bits = 0
        for kind in self.kinds:
            if self.role_of(kind):
                bits |= 1 << kind
        return bits


BULK, RAISE, ALIASES = range(3)


class Message(NamedTuple):
    """A request on its way. `owner` waits for the answer; NOBODY: it has given up, it is late."""

    kind: int
    owner: int
    place: int = 0
    alias: int = 0
    role: int = 0
    version: int = 0
    content: int = 0
    by: int = 0
    seen: int = 0
    removes: tuple[Alias, ...] = ()
    adds: tuple[Alias, ...] = ()


class Budget(NamedTuple):
    """What may still happen: commits, unanswered or refused requests, ends of sessions and
    processes, crashes of the database, rollbacks that are asked for."""

    commits: int
    faults: int
    ends: int
    crashes: int
    asks: int = 0


class Asked(NamedTuple):
    """The last rollback that was asked for: the how manyth it is, and which index it names."""

    number: int = 0
    place: int = NOBODY


class State(NamedTuple):
    """Everything. `saved` and `noted`: load and roles in the control document."""

    base: Base
    daemons: tuple[Daemon, ...]
    indexes: tuple[Index, ...]
    control: int
    saved: int
    aliases: tuple[Alias, ...]
    net: tuple[Message, ...]
    left: Budget
    noted: Roles | None = None
    asked: Asked = Asked()

    def behind(self, name: int) -> tuple[int, ...]:
        """The indexes behind an alias."""
        return tuple(index for alias, index in self.aliases if alias == name)

    def with_daemon(self, number: int, daemon: Daemon) -> State:
        """The state with another daemon."""
        both = list(self.daemons)
        both[number] = daemon
        return self._replace(daemons=tuple(both))

    def sending(self, message: Message) -> State:
        """The state with one more request on its way."""
        return self._replace(net=ordered((*self.net, message)))

    def without(self, message: Message) -> State:
        """The state with this request gone."""
        rest = list(self.net)
        rest.remove(message)
        return self._replace(net=tuple(rest))


def ordered(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Which of them came first is no part of the state."""
    return tuple(sorted(messages))
