"""Loads that the active daemon is asked for: the request, and what is seen of it until the swap.

What a command beside the daemon sees: the aliases, and the control document, which the daemon
writes when it is rung.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from listener.capture import journal, watermark
from listener.documents.kinds import Kind
from listener.documents.topology import Assembly
from listener.indexing.parked_table import ParkedDocument, ParkedTable
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.indexes import Indexes
from listener.search.write_aliases import Role, made_at, patterns
from listener.state.control import ControlDocument
from listener.state.model import State

SWAPPED: Final = 0
SOME_PARKED: Final = 1
REFUSED: Final = 2
GIVEN_UP: Final = 3
_LOOK_EVERY: Final = 1.0
_STANDS_STILL: Final = 10
"""How many times the patience a load that has begun may show no progress: waiting for replicas and
the last look at a large index show none."""


@dataclass(slots=True)
class _One:
    """One index that was asked for. `since`: an index that is made later is what was asked for.
    `joined`: so is this one, into which a load was under way by then. `waiting`: the index that is
    to be swapped in."""

    kind: Kind
    since: datetime
    total: int
    waiting: str | None
    joined: str | None = None
    told: str = ""
    status: int | None = None
    """How it ended."""


class AskedLoads:
    """Asks, and follows until the end. Errors of both clients pass through."""

    def __init__(
        self,
        *,
        connection: Connection,
        parts: Assembly,
        indexes: Indexes,
        control: ControlDocument,
        parked: ParkedTable,
        daemon: ActiveDaemon,
        stop: Stop,
        patience: float,
    ) -> None:
        """`patience`: seconds until the daemon must have begun."""
        self._connection = connection
        self._parts = parts
        self._indexes = indexes
        self._control = control
        self._parked = parked
        self._daemon = daemon
        self._stop = stop
        self._patience = patience

    def run(
        self, names: Sequence[str], schema: str, *, accept: Mapping[str, str] | None = None
    ) -> int | None:
        """Load the indexes of these aliases; the exit status. Raises Stopped: the daemon goes on.

        `accept`: by alias, the index that waits for a person's word, and is to be swapped in.

        0: all swapped in; 1: some documents are parked, or there are none; 2: an index is not
        swapped in, or the daemon has other files; 3: it did not come to it. None: no daemon is
        active any more.
        """
        kinds = [kind for kind in self._parts.files if kind.index in names]
        state = self._control.read().state
        others = [] if state is None else [kind for kind in kinds if self._is_other(kind, state)]
        if others:
            print(
                f"{', '.join(kind.index for kind in others)}: the active daemon was started with "
                "other files: query, mapping or watches were edited since. Start it anew, and it "
                "loads what has changed by itself",
                file=sys.stderr,
            )
            return REFUSED
        held = accept or {}
        asked = [self._ask(kind, schema, waiting=held.get(kind.index)) for kind in kinds]
        self._daemon.ring()
        print(f"asked the active daemon to load {', '.join(one.kind.index for one in asked)}")
        if not self._follow(asked):
            return None
        return max(one.status or SWAPPED for one in asked)

    def _is_other(self, kind: Kind, state: State) -> bool:
        """Whether the daemon was started with other files than this kind is of. It feeds the index
        in use, and the former one, by their own definitions: that it feeds one says too little."""
        alias, fed = kind.index, state.identity.fed
        if kind.hash not in fed:
            return True
        loading = [
            found.hash
            for names in self._indexes.aliases(*patterns(alias, [Role.LOADING])).values()
            for name in names
            if (found := self._indexes.get(name)) is not None and found.hash in fed
        ]
        if loading:
            return kind.hash not in loading
        if alias in state.rolled_back:
            return state.rolled_back[alias].hash != kind.hash
        used = self._indexes.behind(alias)
        return used is not None and used.hash in fed and used.hash != kind.hash

    def _ask(self, kind: Kind, schema: str, *, waiting: str | None) -> _One:
        total = kind.source.estimate(self._connection)
        # before the request: another one of the same moment may be what the daemon heeds
        since = watermark.now(self._connection)[0]
        joined = None if waiting is not None else self._under_way(kind)
        if joined is not None:
            print(f"{kind.index}: a load into {joined} is under way already: it is followed")
        journal.ask_load(
            self._connection,
            schema,
            self._parts.speaker(kind.document),
            kind.index,
            digest=kind.hash,
            accept=waiting is not None,
            waiting=waiting,
        )
        return _One(kind, since, total, waiting, joined)

    def _under_way(self, kind: Kind) -> str | None:
        """The index that the daemon loads now by this definition; None: it loads none."""
        state = self._control.read().state
        refused = None if state is None else state.refused.get(kind.index)
        for places in self._indexes.aliases(*patterns(kind.index, [Role.LOADING])).values():
            for name in places:
                found = self._indexes.get(name)
                waits = refused is not None and refused.physical == name
                if found is not None and found.hash == kind.hash and not waits:
                    return name
        return None

    def _follow(self, asked: Sequence[_One]) -> bool:
        """Until each has its end. False: no daemon is active any more."""
        moved, seen = time.monotonic(), ""
        while any(one.status is None for one in asked):
            if self._stop.wait(_LOOK_EVERY):
                print("the daemon goes on with it; `listener indexes` shows how far it is")
                raise Stopped("stop was requested")
            self._daemon.ring()
            state = self._control.read().state
            for one in asked:
                if one.status is None:
                    self._look(one, state)
            now = "\n".join(one.told for one in asked)
            if now != seen:
                moved, seen = time.monotonic(), now
            begun = all(one.told or one.status is not None for one in asked)
            patience = self._patience * (_STANDS_STILL if begun else 1)
            if all(one.status is not None for one in asked):
                break  # whatever the daemon does by now: it has done it
            if time.monotonic() - moved > patience:
                self._give_up(asked, patience)
            elif not self._daemon.at_work():
                return False
        return True

    def _give_up(self, asked: Sequence[_One], patience: float) -> None:
        for one in asked:
            if one.status is None:
                one.status = GIVEN_UP
                print(
                    f"{one.kind.index}: nothing was seen of it for {patience:g} s. The daemon goes "
                    "on with it when it can; its log says what it waits for, `listener health` too",
                    file=sys.stderr,
                )

    def _look(self, one: _One, state: State | None) -> None:
        """What has become of this one since the last look. It is printed."""
        alias = one.kind.index
        behind = self._indexes.behind(alias)
        if behind is not None and self._is_it(one, behind.name):
            one.status = self._swapped(one, behind.name)
            return
        # the second one says it where the same files made both indexes
        signs = () if state is None else (state.rolled_back.get(alias), state.kept.get(alias))
        if any(sign is not None and sign.since > one.since for sign in signs):
            print(f"{alias}: given up: a person went back to the former index", file=sys.stderr)
            one.status = REFUSED
            return
        refused = None if state is None else state.refused.get(alias)
        if refused is not None and self._is_it(one, refused.physical) and not one.waiting:
            print(f"{alias}: {refused.reason}", file=sys.stderr)
            one.status = REFUSED
            return
        loads = () if state is None else state.loads
        load = next((load for load in loads if self._is_it(one, load.physical)), None)
        if load is not None:
            self._tell(
                one,
                f"{alias}: read {load.documents} of about {max(one.total, load.documents)}: "
                f"{load.written} written",
            )
            return
        for places in self._indexes.aliases(*patterns(alias, [Role.LOADING])).values():
            for name in places:
                if self._is_it(one, name):
                    self._tell(one, f"{alias}: loading into {name}")

    def _is_it(self, one: _One, name: str) -> bool:
        """Whether this index is the one that was asked for."""
        if one.waiting is not None:
            return name == one.waiting
        made = made_at(one.kind.index, name)
        return name == one.joined or (made is not None and made > one.since)

    def _tell(self, one: _One, text: str) -> None:
        if text != one.told:
            one.told = text
            print(text, flush=True)

    def _swapped(self, one: _One, name: str) -> int:
        alias = one.kind.index
        documents = self._indexes.count(name)
        parked = parked_of(self._parked.read(self._connection), alias, name)
        print(f"{alias}: {documents} documents are searched now, in {name}; {parked} are parked")
        if documents == 0 and one.kind.source.any_row(self._connection):
            print(
                f"{alias}: the table has rows, and no document was written. Does query_file (or "
                "ids_file) return them? `listener parked` says why documents were refused",
                file=sys.stderr,
            )
            return SOME_PARKED
        return SOME_PARKED if parked else SWAPPED


def parked_of(parked: Sequence[ParkedDocument], alias: str, name: str) -> int:
    """How many are parked of the index `name`, which the alias leads to now.

    The daemon writes them by the alias a moment after the swap. Until then they stand by its own
    name, and what stands by the alias is of the index before: it was parked before this one was
    made.
    """
    made = made_at(alias, name)
    own = sum(one.index == name for one in parked)
    return own or sum(
        one.index == alias and (made is None or one.first_at >= made) for one in parked
    )
