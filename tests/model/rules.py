"""The rules of the protocol as built, and what else a world may be like."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.model.states import Budget

TAKE, DRAW, READ = "Ledger.take", "Versions.draw", "Reader.read"


@dataclass(frozen=True, slots=True)
class Rules:
    """Every field's default is what is built; another value is a wrong rule, or a guard less."""

    order: tuple[str, str, str] = (TAKE, DRAW, READ)
    workers: int = 1
    """How many batches may be between taken and read at once."""
    unanswered: int = 1
    """In how many unanswered requests an id may be."""
    fence: bool = True
    """Whether each generation writes through aliases of its own."""
    raises: bool = True
    """Whether a session takes a new generation."""
    renews: bool = True
    """Whether an unanswered request leads to a new generation before the next one."""
    must_exist: bool = True
    """Whether a change of aliases is refused where what it removes is gone."""
    confirms: bool = True
    """Whether the generation is looked at again after the aliases were changed."""
    gives_back: bool = True
    """Whether the id of an unanswered request is read again."""
    sends_again: bool = False
    """Whether the bytes of an unanswered request are sent once more."""
    conflict_is_done: bool = False
    """Whether any 409 counts as done."""
    refused_is_done: bool = False
    """Whether a 404 of a write alias counts as done, as that of a deleted document does."""
    deletes_versioned: bool = True
    xid_version: bool = False
    """Whether the version is a transaction id."""
    flushes: bool = True
    """Whether what was read is durable before it is sent."""
    listens_first: bool = True
    """Whether LISTEN comes before the sweep."""
    settles: bool = True
    """Whether the watermark waits until all before it is in the index."""
    feeds_both: bool = True
    """Whether live changes go to an index that is being loaded, too."""
    own_query: bool = True
    """Whether each index is fed by the query that it was made by."""
    closes: bool = True
    """Whether what waits of a kind is dropped when its index is fed no longer."""
    swap_raises: bool = True
    """Whether a swap takes the next generation."""
    routes_all: bool = True
    """Whether a change that is heard goes to each kind that feeds an index, or to that of the index
    in use alone."""
    feeds_former: bool = True
    """Whether live changes go to a former index, too."""
    settles_former: bool = True
    """Whether the watermark waits for a former index, too."""
    back_raises: bool = True
    """Whether a rollback takes the next generation."""
    sees_alias: bool = True
    """Whether a former index is kept on by a new session only where its write alias leads to it."""
    by_name: bool = True
    """Whether a command goes back to the index that it was asked for, and to no other one."""
    gives_up: bool = True
    """Whether a rollback gives up a load that is under way."""
    compares_held: bool = True
    """Whether the index in use is compared where a load that forgot the watermark is held."""
    keeps_sound: bool = True
    """Whether a swap keeps an index only where the watermark speaks of it."""
    forgets_former: bool = True
    """Whether nobody can go back to a former index that was given up."""
    looks_again: bool = True
    """Whether a session that has pointed its write aliases looks which index people search then."""


@dataclass(frozen=True, slots=True)
class World:
    """What may happen, and how often. `forgets`: tombstones vanish at any step."""

    commits: int = 3
    faults: int = 2
    ends: int = 1
    crashes: int = 0
    forgets: bool = True
    kills: bool = True
    daemons: int = 2
    load: int = 0
    """How far a full load is at first, as in Daemon.load; 0: there is none."""
    forgot: bool = False
    """Whether it is a load of everything without a daemon, which forgets the watermark; its swap
    may be held, and accepted later. One commit is in no index yet."""
    keeps: bool = False
    """Whether a swap keeps the former index."""
    beside: bool = False
    """Whether a former index is kept already when the load begins."""
    asks: int = 0
    """How many rollbacks may be asked for."""
    expires: bool = False
    """Whether the time of a former index may be over, or it is given up."""
    alone: bool = False
    """Whether no daemon is active at first, and the first one is `listener rollback`."""
    adopted: bool = False
    """Whether the index was written by a daemon of whom nothing else is left."""
    backwards: bool = True
    """Whether an index may never go back, not even for a moment."""

    def within(self, other: World) -> bool:
        """Whether all that can happen here can happen there, too."""
        most = (*other.budget(), other.daemons, other.expires)
        here = (*self.budget(), self.daemons, self.expires)
        return (
            all(one <= limit for one, limit in zip(here, most, strict=True))
            and (self.forgets, self.kills) <= (other.forgets, other.kills)
            and (self.load, self.adopted, self.forgot) == (other.load, other.adopted, other.forgot)
            and (self.keeps, self.beside, self.alone) == (other.keeps, other.beside, other.alone)
            and self.backwards <= other.backwards
        )

    def budget(self) -> Budget:
        """As a part of the first state."""
        return Budget(self.commits, self.faults, self.ends, self.crashes, self.asks)


AS_BUILT = Rules()


def wrong(**fields: object) -> Rules:
    """The rules as built but for these."""
    return replace(AS_BUILT, **fields)  # type: ignore[arg-type]
