"""The fence: a new generation, and the write aliases that only it may use.

Raised at every start, takeover and reconnect. A process that was stopped in between wakes up to
write through an alias that is gone: every write of it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from listener import ListenerError, search
from listener.indexing.gate import Gate, Targets
from listener.indexing.ledger import Ledger
from listener.observations import events
from listener.observations.events import Observe
from listener.search.aliases import Astray
from listener.search.indexes import Indexes
from listener.search.write_aliases import Target, owned, patterns, write_alias
from listener.state.control import ControlDocument

_TRIES: Final = 5
"""How often aliases are read anew where a call found others than it had read."""


class FencedOut(ListenerError):
    """Another process raised the generation above ours, or writes may have gone elsewhere: only a
    new session can go on."""


@dataclass(frozen=True, slots=True)
class Current:
    """The index in use of one document kind; `lenient` where it is of an older mapping or query."""

    name: str
    lenient: bool


@dataclass(slots=True)
class _Feed:
    """The indexes that one document kind is written to. `alias`: the one that people search.
    `targets`: the write aliases that lead to them now."""

    alias: str
    targets: Targets
    current: Current | None = None
    loading: str | None = None

    def write_aliases(self, generation: int) -> dict[str, str | None]:
        """Where the write aliases of this generation are to lead; None: nowhere."""
        return {
            write_alias(self.alias, generation): self.current.name if self.current else None,
            write_alias(self.alias, generation, loading=True): self.loading,
        }

    def aim(self, generation: int) -> None:
        """The write aliases of this generation lead there now."""
        current, loading = self.current, self.loading
        self.targets.current = (
            Target(
                write_alias(self.alias, generation),
                # what it refuses may not keep its successor from taking its place
                current.lenient or loading is not None,
                current.name,
            )
            if current is not None
            else None
        )
        self.targets.loading = (
            Target(write_alias(self.alias, generation, loading=True), index=loading)
            if loading is not None
            else None
        )


class Fence:
    """Raises the generation and points the write aliases. Thread-safe: one thread at a time, and
    nothing is in flight meanwhile. Errors of the client pass through.
    """

    def __init__(
        self,
        *,
        control: ControlDocument,
        indexes: Indexes,
        gate: Gate,
        ledger: Ledger,
        aliases: Sequence[str],
        observe: Observe,
    ) -> None:
        """`aliases`: those that people search, one for each document kind."""
        self._control = control
        self._indexes = indexes
        self._gate = gate
        self._ledger = ledger
        self._observe = observe
        self._lock = threading.RLock()
        self._feeds = [_Feed(*one) for one in zip(aliases, gate.targets, strict=True)]
        self._resumed: Collection[str] = ()
        """Indexes of loads that this session goes on with; those of others are given up."""

    # -- which indexes are written -----------------------------------------------------------------

    def current(self, kind: int) -> str | None:
        """The index in use of this document kind, if there is one."""
        current = self._feeds[kind].current
        return None if current is None else current.name

    def loading(self, kind: int) -> str | None:
        """The index that is being loaded for it, if there is one."""
        return self._feeds[kind].loading

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nothing is in flight inside, and no other thread changes generation or aliases."""
        with self._lock, self._ledger.quiet():
            yield

    def begin(self, current: Sequence[Current | None], resumed: Collection[str]) -> None:
        """A new session: these are the indexes in use, and these of its loads go on. Takes the
        next generation."""
        with self._lock:
            for feed, one in zip(self._feeds, current, strict=True):
                feed.current = one
            self._resumed = resumed
            self._raise_generation()

    def load(self, kind: int, index: str | None) -> None:
        """Live changes go to this index, too. None: none is being loaded; the aliases follow at
        the next `point`."""
        if index is None:
            self._feeds[kind].loading = None
            return
        with self.changing():
            self.refuse_astray()
            self._feeds[kind].loading = index
            self.point()

    def swap(self, kind: int, index: str) -> list[str]:
        """People search this index from now on. Returns the names of those that they did."""
        feed = self._feeds[kind]
        with self.changing():
            self.refuse_astray()
            former = self._indexes.aliases(feed.alias).get(feed.alias, [])
            feed.current = Current(index, lenient=False)
            feed.loading = None
            self.point((feed.alias, index))
        return former

    # -- generations -------------------------------------------------------------------------------

    def _raise_generation(self) -> None:
        """Take the next generation and swap the write aliases, before its first write."""
        with self.changing():
            while True:
                try:
                    # the control document may be lost: aliases and documents tell, too
                    above = max(self._gate.generation, self._gate.above, self._owner())
                    control = self._control.raise_generation(above)
                    break
                except search.Conflict:
                    continue  # another process raised it in between: above that one, then
            if control.damage is not None:
                self._observe(events.ControlDamaged(control.damage))
            self._gate.begin(control.generation)
            self._observe(events.GenerationRaised(control.generation))
            self._clear_away()
            self.point()
            self._gate.open()

    def renew(self) -> None:
        """Take the next generation, for a request of ours had no answer; only if ours is in force.

        Raises FencedOut where it is not: to raise above others is a new session's, with the lock.
        Also where our writes may have gone elsewhere.
        """
        with self.changing():
            self.refuse_astray()
            control = self._control.succeed(self._gate.generation)
            if control is None:
                self.confirm()
                raise FencedOut("another process raised the generation")
            self._gate.begin(control.generation)
            self._observe(events.GenerationRaised(control.generation))
            self.point()
            self._gate.open()

    def _owner(self) -> int:
        """The highest generation that owns a write alias of ours."""
        found = [0]
        for feed in self._feeds:
            ours = owned(feed.alias)
            for alias in self._indexes.aliases(*patterns(feed.alias)):
                match = ours.match(alias)
                if match:
                    found.append(int(match.group(1)))
        return max(found)

    def _clear_away(self) -> None:
        """Remove leftovers: indexes of loads that were given up, and empty ones that bear the name
        of a write alias or that no alias leads to. Called before `point`, since only its write
        alias tells the index of a load from one that was in use before."""
        for feed in self._feeds:
            alias = feed.alias
            below = self._gate.generation
            for kept in self._indexes.drop_loads(alias, below=below, spare=self._resumed):
                ours = kept.startswith(f"{alias}-")
                self._observe(events.OldIndexKept(alias, kept, ours=ours))
            self._indexes.drop_strays(alias, below=below)
            self._indexes.drop_unborn(alias)
            if feed.loading is not None and self._indexes.get(feed.loading) is None:
                feed.loading = None  # it takes no alias; its load begins anew

    def confirm(self) -> None:
        """Raises FencedOut where the control document holds another generation than ours."""
        found = self._control.read().generation
        if found != self._gate.generation:
            self._observe(events.Fenced(self._gate.generation, found))
            raise FencedOut(f"generation {found} is in force")

    # -- aliases -----------------------------------------------------------------------------------

    def point(self, swap: tuple[str, str] | None = None) -> None:
        """Point the write aliases to current and loading indexes, in one call.

        `swap`: an alias that people search, which leads to this index from the same moment on.
        Call it inside `changing`. Raises FencedOut where a higher generation is seen.
        """
        generation = self._gate.generation
        for tries_left in reversed(range(_TRIES)):
            try:
                self._indexes.update_aliases(self._actions(generation, swap))
                break
            except search.NotFound:  # they changed between the look and the call
                if not tries_left:
                    raise
        # a call of ours that was delayed until after another's swap must not go unnoticed
        self.confirm()
        for feed in self._feeds:
            feed.aim(generation)

    def astray(self) -> tuple[int, Astray] | None:
        """What leads our writes elsewhere, and of which document kind. They may have been
        accepted."""
        with self._lock:
            generation = self._gate.generation
            for kind, feed in enumerate(self._feeds):
                found = self._indexes.astray(feed.alias, feed.write_aliases(generation))
                if found is not None:
                    return kind, found
        return None

    def refuse_astray(self) -> None:
        """Raises FencedOut where our writes may have gone elsewhere: before the aliases that say so
        are removed, a new session must look at them."""
        found = self.astray()
        if found is not None:
            raise FencedOut(found[1].what)

    def _actions(self, generation: int, swap: tuple[str, str] | None) -> list[dict[str, Any]]:
        """What turns the aliases as they are now into those that are wanted.

        A call that is delayed past our patience may arrive after later ones. It must not bring
        back an alias that they removed, through which a bulk of as long ago would be accepted: so
        each removal must find its alias, or the servers refuse the whole call.
        """
        actions: list[dict[str, Any]] = []
        if swap is not None:
            alias, place = swap
            former = self._indexes.aliases(alias).get(alias, [])
            actions += [_removal(name, alias) for name in former if name != place]
            actions.append({"add": {"index": place, "alias": alias}})
        for feed in self._feeds:
            wanted = feed.write_aliases(generation)
            ours = owned(feed.alias)
            for alias, places in self._indexes.aliases(*patterns(feed.alias)).items():
                match = ours.match(alias)
                if not match:
                    continue
                if int(match.group(1)) > generation:
                    raise FencedOut(f"generation {match.group(1)} owns the alias {alias}")
                actions += [
                    _removal(place, alias) for place in places if wanted.get(alias) != place
                ]
                if wanted.get(alias) in places:
                    del wanted[alias]
            actions += [
                {"add": {"index": place, "alias": alias}}
                for alias, place in wanted.items()
                if place is not None
            ]
        return actions


def _removal(index: str, alias: str) -> dict[str, Any]:
    return {"remove": {"index": index, "alias": alias, "must_exist": True}}
