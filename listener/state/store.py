"""The keeper of the state: watermark, loads and identity, in state.yaml and the control document.

state.yaml is saved at most once a second and at stop; the control document at most every ten
seconds and at stop: a standby or a moved container starts from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from listener import search
from listener.observations import events
from listener.observations.events import Observe
from listener.search.versions import Versions
from listener.state import file
from listener.state.control import ControlDocument
from listener.state.model import Identity, Load, Mark, State

_FILE_EVERY: Final = 1.0
_CONTROL_EVERY: Final = 10.0
_REMIND_EVERY: Final = 60.0
"""Seconds after which it is told again that state.yaml cannot be written."""


@dataclass(frozen=True, slots=True)
class _Failing:
    """Why one of the two cannot be written, since when, and when to say so again."""

    reason: str
    since: float
    remind: float


class Keeper:
    """Holds the one State of the process. Thread-safe.

    While a load is wanted or under way the saved watermark stands still: what asked for the load
    must be seen again after a crash.
    """

    def __init__(
        self,
        path: Path,
        control: ControlDocument,
        versions: Versions,
        observe: Observe,
    ) -> None:
        """`path`: of state.yaml. `versions`: whose generation is in force."""
        self._path = path
        self._control = control
        self._versions = versions
        self._observe = observe
        self._lock = threading.RLock()
        self._state: State | None = None
        self._proven: datetime | None = None
        self._frozen: set[str] = set()
        """Aliases for whose loads and comparisons the saved watermark stands still."""
        self._outlives_load: set[str] = set()
        """Aliases whose comparison is still due when the load under way is complete. It stays so in
        the next session, which may go on with that load."""
        self._distrusted: set[str] = set()
        """Aliases that need a new index: the thread of a load may be at work still, until the next
        session ends it, and nothing that it brings is written down any more."""
        self._file_due = self._control_due = 0.0
        self._changed = False
        self._failing: _Failing | None = None
        self._control_failing: _Failing | None = None

    @property
    def last_processed(self) -> datetime | None:
        """The saved watermark."""
        return self._state.last_processed if self._state else None

    @property
    def loads(self) -> tuple[Load, ...]:
        """Loads under way."""
        return self._state.loads if self._state else ()

    @property
    def begun(self) -> bool:
        """Whether a session of this process has begun with a state."""
        return self._state is not None

    def saved(self) -> State | None:
        """What state.yaml holds now; None: there is none. Raises StateError as `file.read`."""
        return file.read(self._path)

    def begin(self, value: State) -> None:
        """Start from this state, which is the one that was read or a new one."""
        with self._lock:
            self._state = value
            self._proven = value.last_processed
            self._frozen.clear()
            self._distrusted.clear()
            self._changed = True

    def _change(self, **parts: object) -> None:
        """Change parts of the state; the lock is held."""
        self._state = self.state.model_copy(update=parts)
        self._changed = True

    def identify(self, **parts: object) -> None:
        """Change parts of the identity; the others stay, whatever other threads do to them."""
        with self._lock:
            self._change(identity=self.identity.model_copy(update=parts))

    def seen(self, lsn: str) -> None:
        """Remember how far the WAL has come."""
        self.identify(wal_lsn=lsn)

    @property
    def state(self) -> State:
        """The whole state; `begin` must have been called."""
        assert self._state is not None
        return self._state

    def index_is(self, index: str, uuid: str) -> None:
        """This index stands behind the alias now."""
        with self._lock:
            self.identify(indexes={**self.identity.indexes, index: uuid})

    def mark(self, name: str, mark: Mark, *, instead_of: Mark | None = None) -> None:
        """This is what the index of this name is now. `instead_of`: unless another look than this
        one was noted meanwhile."""
        with self._lock:
            if instead_of is None or self.identity.marks.get(name) is instead_of:
                self.identify(marks={**self.identity.marks, name: mark})

    @property
    def identity(self) -> Identity:
        """The identity that is saved next."""
        return self.state.identity

    def freeze(self, index: str) -> None:
        """A load of this index is wanted: hold the saved watermark until `thaw`."""
        with self._lock:
            self._frozen.add(index)

    def thaw(self, index: str) -> None:
        """The load of this index is complete."""
        with self._lock:
            self._frozen.discard(index)
            self._settle()

    def advance(self, at: datetime) -> None:
        """Every change stamped before `at` is in every index that is not being loaded."""
        with self._lock:
            self._proven = at
            self._settle()

    def step_back(self, by: timedelta) -> None:
        """The server's clock went back: so do the watermark, and the moments when loads began."""
        with self._lock:
            if self._proven is not None:
                self._proven -= by
            if self._state is None:
                return
            last, loads = self._state.last_processed, self._state.loads
            known = self._state.identity
            ahead = None if known.ahead is None else known.ahead - by.total_seconds()
            marks = {
                name: mark.model_copy(update={"settled": mark.settled and mark.settled - by})
                for name, mark in known.marks.items()
            }
            self._change(
                # this step is known: a session need not find it and compare everything
                identity=known.model_copy(update={"ahead": ahead, "marks": marks}),
                last_processed=None if last is None else last - by,
                loads=tuple(
                    load.model_copy(update={"started_at": load.started_at - by}) for load in loads
                ),
                loaded={name: at - by for name, at in self.loaded.items()},
            )

    def _settle(self) -> None:
        if self._state is None or self._frozen or self._proven is None:
            return
        self._change(last_processed=self._proven)

    def put_load(self, load: Load) -> None:
        """Remember how far a load has come; saved at once."""
        with self._lock:
            if load.index in self._distrusted:
                return
            others = tuple(one for one in self.state.loads if one.index != load.index)
            self._change(loads=(*others, load))
            self.save(now=True)

    @property
    def loaded(self) -> Mapping[str, datetime]:
        """By alias, the proven start of its last complete load."""
        return self._state.loaded if self._state else {}

    @property
    def reconcile(self) -> Mapping[str, bool]:
        """By alias, comparisons that are due, and whether they may delete any number."""
        return self._state.reconcile if self._state else {}

    def want_reconcile(self, index: str, *, unguarded: bool, outlives_load: bool = False) -> None:
        """A comparison is due; saved at once, and the watermark stands still until it is done.

        `outlives_load`: for changes that a load under way may have passed already.
        """
        with self._lock:
            self._frozen.add(index)
            if outlives_load:
                self._outlives_load.add(index)
            due = {**self.reconcile, index: unguarded or self.reconcile.get(index, False)}
            self._change(reconcile=due)
            self.save(now=True)

    def reconciled(self, index: str, proven_start: datetime | None) -> None:
        """A comparison is complete, and all that differed is mended."""
        with self._lock:
            self._outlives_load.discard(index)
            due = {name: free for name, free in self.reconcile.items() if name != index}
            self._change(reconcile=due, loaded=self._loaded_with(index, proven_start))
            self.thaw(index)
            self.save(now=True)

    def load_complete(self, index: str, uuid: str, proven_start: datetime | None) -> None:
        """The index of a load stands behind its alias; `proven_start` None: nothing is proven."""
        with self._lock:
            if index in self._distrusted:
                return
            self.index_is(index, uuid)
            owed = index in self._outlives_load
            due = {name: free for name, free in self.reconcile.items() if owed or name != index}
            self._change(loaded=self._loaded_with(index, proven_start), reconcile=due)
            self.drop_load(index)
            if not owed:
                self.thaw(index)
            self.save(now=True)

    def _loaded_with(self, index: str, proven_start: datetime | None) -> dict[str, datetime]:
        """`loaded` with this alias as it is now."""
        others = {name: at for name, at in self.loaded.items() if name != index}
        return others if proven_start is None else {**others, index: proven_start}

    def drop_load(self, index: str) -> None:
        """A load is complete, or given up."""
        with self._lock:
            self._change(loads=tuple(one for one in self.state.loads if one.index != index))

    def distrust_index(self, index: str) -> None:
        """Only a new index helps: neither the one in use nor the one that is being loaded is known
        any more, whatever its load says from here on. Saved at once, for what has shown it may be
        put back, or its daemon killed."""
        with self._lock:
            self._distrusted.add(index)
            others = {name: uuid for name, uuid in self.identity.indexes.items() if name != index}
            self.identify(indexes=others)
            self.drop_load(index)
            self.save(now=True)
        self.save_control(now=True)

    def load_is_done(self, load: Load, uuid: str) -> None:
        """The index of this load stands behind its alias already, though that was not written down.

        What it holds is proven up to the load's start, whatever the watermark was.
        """
        with self._lock:
            self.load_complete(load.index, uuid, load.started_at)
            saved = self.state.last_processed
            moment = load.started_at if saved is None else min(saved, load.started_at)
            self._state = self.state.model_copy(update={"last_processed": moment})
            self._proven = moment

    def save(self, *, now: bool = False) -> None:
        """Write state.yaml where it is due; a failure is told, and tried again."""
        with self._lock:
            clock = time.monotonic()
            if self._state is None or not self._changed or (clock < self._file_due and not now):
                return
            try:
                file.write(self._path, self._state)
            except file.StateError as error:
                self._fails(str(error), clock)
                self._file_due = clock + _FILE_EVERY
                return
            if self._failing is not None:
                self._observe(events.StateSavedAgain(clock - self._failing.since))
                self._failing = None
            self._changed = False
            self._file_due = clock + _FILE_EVERY

    @property
    def trouble(self) -> str | None:
        """Why state.yaml or the control document cannot be written, where it cannot."""
        failing = self._failing or self._control_failing
        return failing.reason if failing is not None else None

    def _fails(self, reason: str, clock: float) -> None:
        """Tell it at first, for another reason, and each minute."""
        before = self._failing
        self._failing = _failing(before, reason, clock)
        if self._failing is not before:
            self._observe(events.StateNotSaved(reason))

    def control_soon(self) -> None:
        """Write the control document at the next occasion."""
        with self._lock:
            self._control_due = 0.0

    def save_control(self, *, now: bool = False) -> bool:
        """Write the control document where it is due. False: another generation is in force."""
        with self._lock:
            clock = time.monotonic()
            if not self._versions.generation:
                return True  # none was raised yet, so no document could be another daemon's
            if self._state is None or (clock < self._control_due and not now):
                return True
            content = self._state.model_dump(mode="json")
            self._control_due = clock + _CONTROL_EVERY
        try:
            ours = self._control.save(self._versions.generation, content)
        except search.Error as error:
            if not search.is_passing(error):  # else the pipeline's own requests tell of it
                self._control_fails(search.describe(error), clock)
            return True
        with self._lock:
            self._control_failing = None
            if ours:
                self.identify(control=self._control.newest)
            else:
                self._control_due = 0.0  # the next call is told, too
        return ours

    def _control_fails(self, reason: str, clock: float) -> None:
        with self._lock:
            before = self._control_failing
            self._control_failing = _failing(before, reason, clock)
        if self._control_failing is not before:
            self._observe(events.ControlNotSaved(reason))


def _failing(before: _Failing | None, reason: str, clock: float) -> _Failing:
    """The same one, or a new one where it is to be told."""
    if before is not None and before.reason == reason and clock <= before.remind:
        return before
    since = clock if before is None else before.since
    return _Failing(reason, since, clock + _REMIND_EVERY)
