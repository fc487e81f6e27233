"""Loads and comparisons: the coordinator begins them, a thread brings them to their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from listener.capture import watermark
from listener.capture.journal import LoadAsked, RollbackAsked
from listener.documents.kinds import Kind
from listener.failures import Failure
from listener.indexing.fence import Fence
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.cancellation import Check
from listener.resync.full_load import Loader
from listener.resync.kind_state import Wanted
from listener.resync.loader_thread import LoaderThread
from listener.resync.needs import Need
from listener.resync.rollbacks import Rollbacks
from listener.resync.runner import Runner
from listener.resync.under_way import UnderWay
from listener.search.write_aliases import Role, made_at
from listener.state.model import Load
from listener.state.store import Keeper

_ASKED: Final = "asked for by `listener load`"


class Jobs:
    """The loads and comparisons of one process. Its methods are of the coordinator's thread."""

    def __init__(
        self,
        *,
        under_way: UnderWay,
        runner: Runner,
        loader: Loader,
        fence: Fence,
        keeper: Keeper,
        rollbacks: Rollbacks,
        thread: LoaderThread | None,
        observe: Observe,
    ) -> None:
        """`thread`: brings them to their end. None: `here` and `finish_here` do."""
        self._under_way = under_way
        self._runner = runner
        self._loader = loader
        self._fence = fence
        self._keeper = keeper
        self.rollbacks = rollbacks
        self._thread = thread
        self._observe = observe

    # -- for the sweeps and the signs of life ------------------------------------------------------

    @property
    def held(self) -> Failure | None:
        """Why a load cannot go on before a person has mended something. None: nothing holds it."""
        return None if self._thread is None else self._thread.held

    @property
    def running(self) -> bool:
        """Whether any load or comparison is under way."""
        return self._under_way.running

    @property
    def has_load(self) -> bool:
        """Whether any of them is a load."""
        return self._under_way.has_load

    @property
    def guarded(self) -> list[str]:
        """Aliases of which documents were not deleted, because they were too many."""
        return self._under_way.guarded

    @property
    def refusals(self) -> list[Failure]:
        """Why loads are not swapped in, and wait for a person's word."""
        return self._under_way.refusals

    @property
    def without_documents(self) -> bool:
        """Whether the load of a table with rows gave no document."""
        return bool(self._under_way.without_documents)

    @property
    def starts(self) -> list[datetime]:
        """Where sweeps must start for the sake of loads and comparisons."""
        return self._under_way.starts

    def loads(self, kind: int) -> bool:
        """Whether this document kind is being loaded."""
        return self._under_way.states[kind].load is not None

    def covers(self, kind: int, at: datetime, wanted: Wanted) -> bool:
        """As of UnderWay."""
        return self._under_way.covers(kind, at, wanted)

    # -- beginning and ending ----------------------------------------------------------------------

    def forget(self) -> None:
        """A new session: end what is under way. `begin` takes up what is written down."""
        self.end()
        self._under_way.forget()

    def end(self) -> None:
        """Stop the thread after the page in flight. Safe to call twice."""
        if self._thread is not None:
            self._thread.end()

    def begin(self, connection: Connection, needs: Sequence[Need]) -> None:
        """Begin what is needed. Raises FencedOut and IndexError_; errors of both clients pass
        through.
        """
        for need in needs:
            kind, index = need.kind, need.kind.index
            state = self._under_way.anew(kind.number)
            state.accepted, state.once = need.accepted, need.once
            now = watermark.draw(connection).at
            if need.compare:
                wanted = Wanted(need.reason, need.unguarded)
                self._under_way.begin_comparing(kind.number, now, wanted, blind=need.blind)
            else:
                self._keeper.freeze(index)
                if need.unguarded and index in self._keeper.reconcile:
                    self._keeper.want_reconcile(index, unguarded=True)  # which the load stands for
                if need.blind:
                    state.blind = True
                state.load = self._loader.begin(kind, need.reason, need.resume, now)
        if self._thread is not None and (needs or self._under_way.at_work):
            self._thread.start()

    def again(self, connection: Connection, wanted: Mapping[int, Wanted]) -> None:
        """Compare documents of these kinds. A load of them that is under way, and may have missed
        changes, begins anew.

        A comparison that is under way goes on, and is followed by one more. If each cause began it
        anew, none would end while a trigger fails for each statement. A load that is held for a
        person begins only by a person's word. What a person asks of an index in use, while another
        definition is loaded, is done with that index. Raises as `begin`.
        """
        states = self._under_way.states
        wanted = {
            kind: one
            for kind, one in wanted.items()
            # what is held for a person is due anyway
            if not states[kind].held or one.unguarded or one.asked
        }
        beside = {kind: one for kind, one in wanted.items() if self._under_way.is_beside(kind, one)}
        waiting = [kind for kind in beside if states[kind].refusal is not None]
        for number, one in wanted.items():
            if states[number].load is not None and number not in waiting:
                self._under_way.follows_load(number, one)
        if waiting:
            self.end()
            for number in waiting:
                self._under_way.compare_beside(connection, number, beside[number])
        rest = {kind: one for kind, one in wanted.items() if kind not in beside}
        if waiting or (rest and not self._under_way.add(connection, rest)):
            self._begin_anew(connection, rest)

    def load(self, connection: Connection, asked: Sequence[LoadAsked]) -> None:
        """Load what a person asks for, or swap in what waits for a person's word.

        A request that is read once more does nothing: it names the index that waits, or came before
        a load that was made since, or before a person went back from what that load had made. Nor
        does one while such a load is under way, which gives what is asked for; nor one for another
        definition: a person has edited the files, and a start of this daemon loads them. Raises as
        `begin`.
        """
        wanted: dict[int, Wanted] = {}
        for one in asked:
            for state in self._under_way.states:
                kind, load = state.kind, state.load
                if (kind.index, kind.hash) != (one.index, one.hash):
                    continue
                waits = load is not None and load.physical == one.waiting
                made = (
                    one.waiting is not None
                    or (load is not None and state.refusal is None)
                    or any(at > one.at for at in self._made(kind, load))
                )
                # the word is for the index that waited: it is no licence for another one
                if waits and one.accept and not state.refusal:
                    state.accepted = True  # and still what it was for: see `once`
                elif waits or not made:
                    wanted[kind.number] = Wanted(
                        _ASKED, one.accept and waits, asked=True, anew=True, waiting=one.waiting
                    )
        if wanted:
            self._begin_anew(connection, wanted)

    def roll_back(self, connection: Connection, due: Mapping[int, RollbackAsked]) -> None:
        """As of Rollbacks. A load that is under way would take it back: it is given up. Raises as
        `begin`."""
        states = self._under_way.states
        loads = {number: load for number in due if (load := states[number].load) is not None}
        if loads:
            self.end()
        gone = self.rollbacks.roll_back(connection, due)
        for number in [one for one in gone if states[one].load is not None]:
            kind = states[number].kind
            self._loader.give_up(kind)
            self._under_way.load_given_up(number)
            self._observe(events.LoadGivenUp(kind.index, loads[number].physical))
        if loads:
            self._begin_anew(connection, {})

    def _made(self, kind: Kind, load: Load | None) -> list[datetime]:
        """When loads of this kind made what is there, and when a person went back from one."""
        number = kind.number
        names = [self._fence.current(number), self._fence.kept(number)]
        if load is not None:
            names.append(load.physical)
        moments = [at for name in names if (at := made_at(kind.index, name)) is not None]
        # files that made both indexes are in force after a rollback, too
        signs = self._keeper.rolled_back.get(kind.index), self._keeper.kept.get(kind.index)
        return [*moments, *(sign.since for sign in signs if sign is not None)]

    def _begin_anew(self, connection: Connection, wanted: Mapping[int, Wanted]) -> None:
        """End the thread, and begin what is wanted, and what was under way. Raises as `begin`."""
        self.end()
        needs = []
        for before in self._under_way.interrupt():
            one = wanted.get(before.kind.number)
            if one is None and before.refusal is not None:
                self._under_way.waits_on(before)
                continue
            if one is None and before.idle:
                continue
            load, comparing = before.load, before.comparing
            resumes = load is not None and (
                self._under_way.written_down(load) if one is None else one.waiting == load.physical
            )
            compares = (
                load is None
                and not before.held
                and not (one is not None and one.anew)
                and self._fence.kind(before.kind.number, Role.IN_USE) is not None
            )
            # what holds for any index that is loaded now; else it is for the one that was told of
            always = (load is not None and before.accepted and not before.once) or (
                one is not None and self._under_way.is_word(before.kind.number, one)
            )
            given = before.accepted or (one is not None and one.unguarded)
            needs.append(
                Need(
                    before.kind,
                    one.reason if one else "it was interrupted",
                    load if resumes else None,
                    compare=compares,
                    unguarded=(one is not None and one.unguarded and one.waiting is None)
                    or (comparing is not None and comparing.unguarded),
                    blind=before.blind or (comparing is not None and comparing.blind),
                    accepted=always or (resumes and given),
                    once=not always,
                )
            )
        self.begin(connection, needs)

    # -- the way of --once -------------------------------------------------------------------------

    def here(self, connection: Connection, check: Check) -> bool:
        """Bring all to their end in this thread, but for the swap of aliases. Returns whether the
        start of each was proven. `check` is asked between pages, and while servers are waited for.
        """
        return self._runner.here(connection, check)

    def finish_here(self, connection: Connection, check: Check) -> None:
        """Swap the aliases of all loads. Their pages are complete."""
        self._runner.finish_here(connection, check)
