"""The fence: a new generation, and the write aliases that only it may use.

Raised at every start, takeover and reconnect. A process that was stopped in between wakes up to
write through an alias that is gone: every write of it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import elasticsearch

from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.search.indexes import Astray, Indexes, owned
from listener.search.sink import Target, Versions, write_alias
from listener.state.control import ControlDocument

_TRIES: Final = 5
"""How often aliases are read anew where a call found others than it had read."""


def _removal(index: str, alias: str) -> dict[str, Any]:
    return {"remove": {"index": index, "alias": alias, "must_exist": True}}


class FencedOut(Exception):
    """Another process raised the generation above ours."""


class Fence:
    """Raises the generation and points the write aliases. Errors of the client pass through."""

    def __init__(
        self,
        *,
        control: ControlDocument,
        indexes: Indexes,
        versions: Versions,
        pipeline: Pipeline,
        names: Sequence[str],
        observe: Observe,
    ) -> None:
        self._control = control
        self._indexes = indexes
        self._versions = versions
        self._pipeline = pipeline
        self._names = names
        self._observe = observe
        self.lock = threading.RLock()
        """Held while generation, indexes and aliases are changed: one thread at a time."""
        self.current: list[str | None] = [None for _ in names]
        self.loading: list[str | None] = [None for _ in names]
        self.lenient: list[bool] = [False for _ in names]
        self.resumed: set[str] = set()
        """Indexes of loads that this session goes on with; those of others are given up."""

    def raise_generation(self) -> None:
        """Take the next generation and swap the write aliases, before its first write."""
        with self.lock, self._pipeline.quiet():
            while True:
                try:
                    # the control document may be lost: aliases and documents tell, too
                    above = max(self._versions.generation, self._pipeline.above, self._owner())
                    control = self._control.raise_generation(above)
                    break
                except elasticsearch.ConflictError:
                    continue  # somebody else raised it in between: above that one, then
            self._versions.begin(control.generation)
            self._observe(events.GenerationRaised(control.generation))
            self._clear_away()
            self.point()
            self._pipeline.raised()

    def renew(self) -> None:
        """Take the next generation, for a request of ours had no answer; only if ours is in force.

        Raises FencedOut where it is not: to raise above others is a new session's, with the lock.
        Also where our writes may have gone elsewhere.
        """
        with self.lock, self._pipeline.quiet():
            self.refuse_astray()
            control = self._control.succeed(self._versions.generation)
            if control is None:
                self.confirm()
                raise FencedOut("another process raised the generation")
            self._versions.begin(control.generation)
            self._observe(events.GenerationRaised(control.generation))
            self.point()
            self._pipeline.raised()

    def _owner(self) -> int:
        """The highest generation that owns a write alias of ours."""
        found = [0]
        for name in self._names:
            ours = owned(name)
            for alias in self._indexes.aliases(f"{name}.*"):
                match = ours.match(alias)
                if match:
                    found.append(int(match.group(1)))
        return max(found)

    def _clear_away(self) -> None:
        """What is left of indexes that were deleted behind our back or made unheard, and of loads
        that were given up: with the write alias goes what tells their index from a former one."""
        for number, name in enumerate(self._names):
            below = self._versions.generation
            for kept in self._indexes.drop_loads(name, below=below, spare=self.resumed):
                ours = kept.startswith(f"{name}-")
                self._observe(events.OldIndexKept(name, kept, ours=ours))
            self._indexes.drop_strays(name)
            self._indexes.drop_unborn(name)
            place = self.loading[number]
            if place is not None and self._indexes.get(place) is None:
                self.loading[number] = None  # it takes no alias; its load begins anew

    def point(self, swap: tuple[str, str] | None = None) -> None:
        """Point the write aliases to current and loading indexes, in one call.

        `swap`: an alias of users, which leads to this index from the same moment on. Call it with
        `lock` held and the pipeline quiet. Raises FencedOut where a higher generation is seen.
        """
        generation = self._versions.generation
        for tries_left in reversed(range(_TRIES)):
            try:
                self._indexes.update_aliases(self._actions(generation, swap))
                break
            except elasticsearch.NotFoundError:  # they changed between the look and the call
                if not tries_left:
                    raise
        # a call of ours that was delayed until after another's swap must not go unnoticed
        self.confirm()
        for number, name in enumerate(self._names):
            targets = self._pipeline.targets[number]
            current, loading = self.current[number], self.loading[number]
            targets.current = (
                Target(write_alias(name, generation), self.lenient[number], current)
                if current is not None
                else None
            )
            targets.loading = (
                Target(write_alias(name, generation, loading=True), index=loading)
                if loading is not None
                else None
            )

    def astray(self) -> tuple[int, Astray] | None:
        """What leads our writes elsewhere, and of which document. They may have been accepted."""
        with self.lock:
            generation = self._versions.generation
            for number, name in enumerate(self._names):
                wanted = {
                    write_alias(name, generation): self.current[number],
                    write_alias(name, generation, loading=True): self.loading[number],
                }
                found = self._indexes.astray(name, wanted)
                if found is not None:
                    return number, found
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
        for number, name in enumerate(self._names):
            wanted = {
                write_alias(name, generation): self.current[number],
                write_alias(name, generation, loading=True): self.loading[number],
            }
            ours = owned(name)
            for alias, places in self._indexes.aliases(f"{name}.*").items():
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

    def confirm(self) -> None:
        """Raises FencedOut where the control document holds another generation than ours."""
        found = self._control.read().generation
        if found != self._versions.generation:
            self._observe(events.Fenced(self._versions.generation, found))
            raise FencedOut(f"generation {found} is in force")
