"""The fence: a new generation, and the write aliases that only it may use.

Raised at every start, takeover and reconnect. A process that was stopped in between wakes up to
write through an alias that is gone: every write of it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from listener import search
from listener.documents.kinds import Kind
from listener.indexing.feeds import Current, Feed, Place
from listener.indexing.gate import FencedOut, Gate
from listener.indexing.ledger import Ledger
from listener.indexing.outage import Outages
from listener.indexing.pointing import Pointing
from listener.observations import events
from listener.observations.events import Observe
from listener.search.aliases import Astray
from listener.search.indexes import Indexes
from listener.search.write_aliases import Role, Target
from listener.state.control import ControlDocument


class Fence:
    """Raises the generation and points the write aliases. Thread-safe: one thread at a time, and
    nothing is in flight meanwhile. Errors of the client pass through.

    `document` is the number of an entry of `documents`.
    """

    def __init__(
        self,
        *,
        control: ControlDocument,
        indexes: Indexes,
        gate: Gate,
        ledger: Ledger,
        outages: Outages,
        kinds: Sequence[Kind],
        observe: Observe,
    ) -> None:
        """`kinds`: all of them, by their numbers, as of Assembly."""
        self._control = control
        self._indexes = indexes
        self._gate = gate
        self._ledger = ledger
        self._outages = outages
        self._observe = observe
        self._lock = threading.RLock()
        self._feeds = [
            Feed(kind.index, [one for one in kinds if one.document == kind.number])
            for kind in kinds
            if kind.number == kind.document
        ]
        self._pointing = Pointing(indexes, self._feeds)
        self._resumed: Collection[str] = ()
        """Indexes of loads that this session goes on with; those of others are given up."""

    # -- which indexes are written -----------------------------------------------------------------

    def current(self, document: int) -> str | None:
        """The index in use, if there is one."""
        return self._feeds[document].index(Role.IN_USE)

    def loading(self, document: int) -> str | None:
        """The index that is being loaded, if there is one."""
        return self._feeds[document].index(Role.LOADING)

    def kept(self, document: int) -> str | None:
        """The former index that is fed, if there is one."""
        return self._feeds[document].index(Role.KEPT)

    def kind(self, document: int, role: Role) -> Kind | None:
        """The kind that feeds the index in this role; None: there is no such index, or it stands
        still."""
        return self._feeds[document].kind(role)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nothing is in flight inside, and no other thread changes generation or aliases."""
        with self._lock, self._ledger.quiet():
            yield

    def begin(
        self,
        current: Sequence[Current | None],
        resumed: Collection[str],
        kept: Sequence[Current | None] = (),
    ) -> None:
        """A new session: these are the indexes in use, these of its loads go on, and these former
        ones are fed. Takes the next generation. Raises Reassemble where no kind is free for one of
        them; FencedOut where people search another index by now."""
        with self._lock:
            formers = kept or [None] * len(self._feeds)
            for feed, one, former in zip(self._feeds, current, formers, strict=True):
                feed.used(one)
                feed.keep(former)
            self._resumed = resumed
            self._raise_generation()

    def load(self, document: int, index: str | None) -> None:
        """The index that a load fills is this one, and live changes go to it. None: none is being
        loaded; the aliases follow at the next `point`.

        Raises Reassemble where no kind of the files is free for it.
        """
        feed = self._feeds[document]
        if index is None:
            feed.places.pop(Role.LOADING, None)
            return
        with self.changing():
            self.refuse_astray()
            before = feed.places.pop(Role.LOADING, None)
            kind = feed.free(feed.kinds[0].hash, before)
            feed.places[Role.LOADING] = Place(index, kind)
            self.point()

    def swap(self, document: int, index: str, *, keep: bool = False) -> list[str]:
        """People search this index from now on. Returns the names of those that they did. `keep`:
        the one in use is fed on as the former one, where its kind works; see `kind`.

        It takes the next generation. A call that has no answer may come later: under the same one
        it would let the write alias of the former index lead to the new one, and documents with it
        that the former query has made. Raises as `renew`.
        """
        feed = self._feeds[document]

        def change() -> None:
            in_use = feed.places.get(Role.IN_USE)
            feed.used(Current(index, feed.kinds[0].hash))
            feed.places.pop(Role.LOADING, None)
            self._replaced(feed, in_use, keep=keep)

        return self._exchange(feed, index, change)

    def roll_back(self, document: int, *, keep: bool) -> list[str]:
        """People search the former index again, which must be there. Otherwise as `swap`."""
        feed = self._feeds[document]
        former = feed.places[Role.KEPT]

        def change() -> None:
            in_use = feed.places.pop(Role.IN_USE, None)
            feed.places[Role.IN_USE] = former
            self._replaced(feed, in_use, keep=keep)

        return self._exchange(feed, former.index, change)

    def _replaced(self, feed: Feed, before: Place | None, *, keep: bool) -> None:
        """This index was in use, and is the former one now, or none."""
        feed.places.pop(Role.KEPT, None)
        if keep and before is not None and before.kind is not None:
            works = not self._outages.kinds[before.kind.number].lasts
            if works and before.index != feed.index(Role.IN_USE):
                feed.places[Role.KEPT] = before

    def _exchange(self, feed: Feed, index: str, change: Callable[[], None]) -> list[str]:
        """Change the roles under the next generation, in one call."""
        with self.changing():
            self.refuse_astray()
            former = self._pointing.searched(feed.alias)
            self._gate.lose()  # where this fails, `renew` follows before anything is sent
            self._succeed()
            before = dict(feed.places)
            change()
            try:
                self.point((feed.alias, index))
            except BaseException:
                feed.places = before
                raise
            self._gate.open()
        return former

    def unkeep(self, document: int) -> None:
        """The former index is fed no more. Raises FencedOut where writes to another one may have
        gone elsewhere."""
        feed = self._feeds[document]
        with self.changing():
            self.refuse_astray(formers=False)
            feed.places.pop(Role.KEPT, None)
            self.point()

    # -- generations -------------------------------------------------------------------------------

    def _raise_generation(self) -> None:
        """Take the next generation and swap the write aliases, before its first write."""
        with self.changing():
            while True:
                try:
                    # the control document may be lost: aliases and documents tell, too
                    above = max(self._gate.generation, self._gate.above, self._pointing.owner())
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
            self._pointing.refuse_moved()
            self._gate.open()

    def renew(self) -> None:
        """Take the next generation, for a request of ours had no answer; only if ours is in force.

        Raises FencedOut where it is not: to raise above others is a new session's, with the lock.
        Also where our writes may have gone elsewhere.
        """
        with self.changing():
            self.refuse_astray()
            self._succeed()
            self.point()
            self._gate.open()

    def _succeed(self) -> None:
        """The generation after ours, if ours is in force. Raises FencedOut where it is not."""
        control = self._control.succeed(self._gate.generation)
        if control is None:
            self.confirm()
            raise FencedOut("another process raised the generation")
        self._gate.begin(control.generation)
        self._observe(events.GenerationRaised(control.generation))

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
            loading = feed.index(Role.LOADING)
            if loading is not None and self._indexes.get(loading) is None:
                del feed.places[Role.LOADING]  # it takes no alias; its load begins anew

    def confirm(self) -> None:
        """Raises FencedOut where the control document holds another generation than ours."""
        found = self._control.read().generation
        if found != self._gate.generation:
            self._observe(events.Fenced(self._gate.generation, found))
            raise FencedOut(f"generation {found} is in force")

    # -- aliases -----------------------------------------------------------------------------------

    def point(self, swap: tuple[str, str] | None = None) -> None:
        """Point the write aliases to the indexes that are fed, in one call.

        `swap`: an alias that people search, which leads to this index from the same moment on.
        Call it inside `changing`. Raises FencedOut where a higher generation is seen.
        """
        generation = self._gate.generation
        self._pointing.point(generation, swap)
        # a call of ours that was delayed until after another's swap must not go unnoticed
        self.confirm()
        self._aim(generation)

    def _aim(self, generation: int) -> None:
        """The write aliases of this generation lead there now. A kind whose index is another one
        than before, or none, begins with nothing."""
        found: dict[int, Target] = {}
        for feed in self._feeds:
            found |= feed.targets(generation)
        for kind in self._ledger.aim(found):
            self._outages.kinds[kind].forget()

    def astray(self) -> tuple[int, Astray] | None:
        """What leads our writes elsewhere, and of which entry of `documents`. They may have been
        accepted. Former indexes are left out."""
        return self._astray([Role.IN_USE, Role.LOADING])

    def former_astray(self) -> tuple[int, Astray] | None:
        """The same of former indexes."""
        return self._astray([Role.KEPT])

    def _astray(self, roles: Collection[Role]) -> tuple[int, Astray] | None:
        with self._lock:
            return self._pointing.astray(self._gate.generation, roles)

    def refuse_astray(self, *, formers: bool = True) -> None:
        """Raises FencedOut where our writes may have gone elsewhere: before the aliases that say so
        are removed, a new session must look at them. `formers`: also those to former indexes."""
        found = self.astray() or (self.former_astray() if formers else None)
        if found is not None:
            raise FencedOut(found[1].what)
