"""The keeper of the state: watermark, loads and identity, in state.yaml and the control document.

state.yaml is saved at most once a second and at stop; the control document at most every ten
seconds and at stop: a standby or a moved container starts from it.

It has more than 300 lines, for all of it is one record under one lock: what is written must have
been true at one moment.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from listener import search
from listener.failures import Failure, failure_of
from listener.observations import events
from listener.observations.events import Observe
from listener.search.versions import Versions
from listener.state import file
from listener.state.control import ControlDocument
from listener.state.model import Identity, Kept, Load, Mark, Refusal, RolledBackFiles, State
from listener.state.unwritten import Unwritten

T = TypeVar("T")

_FILE_EVERY: Final = 1.0
_CONTROL_EVERY: Final = 10.0
_LONGEST_REASON: Final = 2000


@dataclass(slots=True)
class _Index:
    """What holds for the index of one document kind, which its alias names.

    `frozen`: for its load or comparison the saved watermark stands still. `owed`: its comparison is
    still due when the load under way is complete; so it stays in the next session, which may go on
    with that load. `distrusted`: it needs a new index; the thread of a load may be at work still,
    until the next session ends it, and nothing that it brings is written down any more. `doubted`:
    as of Keeper.doubt, until a load or comparison whose start is proven is complete.
    """

    frozen: bool = False
    owed: bool = False
    distrusted: bool = False
    doubted: bool = False


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
        self._saving = threading.Lock()
        self._versions = versions
        self._observe = observe
        self._lock = threading.RLock()
        self._state: State | None = None
        self._proven: datetime | None = None
        self._indexes: defaultdict[str, _Index] = defaultdict(_Index)
        self._file_due = self._control_due = 0.0
        self._changed = False
        self._file_unwritten = Unwritten(events.StateNotSaved, observe)
        self._control_unwritten = Unwritten(events.ControlNotSaved, observe)

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
            for one in self._indexes.values():
                one.frozen = one.distrusted = one.doubted = False
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
            self._indexes[index].frozen = True

    def thaw(self, index: str) -> None:
        """The load of this index is complete."""
        with self._lock:
            self._indexes[index].frozen = False
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
            if self._state is not None:
                self._state = self._state.back(by)
                self._changed = True

    def _settle(self) -> None:
        if self._state is None or self._proven is None:
            return
        if not any(one.frozen for one in self._indexes.values()):
            self._change(last_processed=self._proven)

    def put_load(self, load: Load) -> None:
        """Remember how far a load has come; saved at once."""
        with self._lock:
            if self._indexes[load.index].distrusted:
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

    # -- former indexes ----------------------------------------------------------------------------

    @property
    def kept(self) -> Mapping[str, Kept]:
        """By alias, the former index that is fed."""
        return self._state.kept if self._state else {}

    @property
    def rolled_back(self) -> Mapping[str, RolledBackFiles]:
        """By alias, which files are not in force, for a person went back to the former index."""
        return self._state.rolled_back if self._state else {}

    def doubt(self, index: str, reason: str) -> None:
        """The index in use, or the former one, may have missed changes: neither is kept."""
        with self._lock:
            self._indexes[index].doubted = True
            self.unkeep(index, reason)

    def doubt_in_use(self, index: str) -> None:
        """The index in use may have missed changes: it is not kept when another takes its place."""
        with self._lock:
            self._indexes[index].doubted = True

    def is_sound(self, index: str) -> bool:
        """Whether nothing has shown in this session that the index in use may lack changes."""
        with self._lock:
            doubted = self._indexes[index].doubted or index in self.reconcile
            return not doubted and self.last_processed is not None

    def keep(self, index: str, kept: Kept) -> None:
        """This index was in use, and is fed on. It is saved with what follows."""
        with self._lock:
            unkept = _without(self.state.unkept, index)
            self._change(kept={**self.kept, index: kept}, unkept=unkept)

    def not_kept(self, index: str, reason: str) -> None:
        """The index that was in use is not fed on. It is saved with what follows."""
        with self._lock:
            self._change(unkept={**self.state.unkept, index: reason})

    def gone_back(self, index: str) -> None:
        """The former index is in use again. It is saved with what follows."""
        with self._lock:
            self._change(kept=_without(self.kept, index))

    def unkeep(self, index: str, reason: str, *, expired: bool = False) -> None:
        """The former index is fed no more; saved at once. `expired`: its time is over."""
        with self._lock:
            former = self.kept.get(index)
            if former is None:
                return
            self.identify(marks=_without(self.identity.marks, former.physical))
            self._change(
                kept=_without(self.kept, index),
                unkept={**self.state.unkept, index: reason[:_LONGEST_REASON]},
            )
            self.save(now=True)
        told = events.FormerExpired if expired else events.FormerGivenUp
        self._observe(told(index, former.physical, reason))

    def roll_back(self, index: str, uuid: str, files: RolledBackFiles | None) -> None:
        """The former index is in use again; saved at once. `uuid`: of it. `files`: which files are
        not in force for it; None: they are, or are being loaded. What is kept is said before."""
        with self._lock:
            self.index_is(index, uuid)
            rolled = _without(self.rolled_back, index)
            self._change(rolled_back=rolled if files is None else {**rolled, index: files})
            self.save(now=True)
        self.save_control(now=True)

    def in_force(self, index: str) -> None:
        """The files are what the index in use was made by."""
        with self._lock:
            if index in self.rolled_back:
                self._change(rolled_back=_without(self.rolled_back, index))

    # -- comparisons and loads ---------------------------------------------------------------------

    def want_reconcile(self, index: str, *, unguarded: bool, outlives_load: bool = False) -> None:
        """A comparison is due; saved at once, and the watermark stands still until it is done.

        `outlives_load`: for changes that a load under way may have passed already.
        """
        with self._lock:
            self.doubt(index, "the documents are compared with the database")
            self._indexes[index].frozen = True
            if outlives_load:
                self._indexes[index].owed = True
            due = {**self.reconcile, index: unguarded or self.reconcile.get(index, False)}
            self._change(reconcile=due)
            self.save(now=True)

    def reconciled(self, index: str, proven_start: datetime | None) -> None:
        """A comparison is complete, and all that differed is mended."""
        with self._lock:
            self._indexes[index].owed = False
            self._complete(index, proven_start)
            self.save(now=True)

    def load_complete(self, index: str, uuid: str, proven_start: datetime | None) -> None:
        """The index of a load stands behind its alias; `proven_start` None: nothing is proven."""
        with self._lock:
            if self._indexes[index].distrusted:
                return
            self.index_is(index, uuid)
            self.drop_load(index)
            self.in_force(index)
            self._complete(index, proven_start)
            self.save(now=True)

    def _complete(self, index: str, proven_start: datetime | None) -> None:
        """A load or comparison is complete, and with it the one that was due, unless that is owed
        still. The lock is held."""
        loaded = _without(self.loaded, index)
        if proven_start is not None:
            loaded[index] = proven_start
        self._change(loaded=loaded)
        if not self._indexes[index].owed:
            if proven_start is not None:  # the index in use lacks nothing now
                self._indexes[index].doubted = False
            self._change(reconcile=_without(self.reconcile, index))
            self.thaw(index)

    def drop_load(self, index: str) -> None:
        """A load is complete, or given up."""
        with self._lock:
            self._change(
                loads=tuple(one for one in self.state.loads if one.index != index),
                refused=_without(self.state.refused, index),
            )

    def refuse(self, load: Load, reason: str) -> None:
        """A load is complete, and waits for a person's word; saved at once."""
        with self._lock:
            told = Refusal(physical=load.physical, reason=reason)
            self._change(refused={**self.state.refused, load.index: told})
            self.save(now=True)
        self.save_control(now=True)  # a command beside this daemon waits for it

    def distrust_index(self, index: str) -> None:
        """Only a new index helps: neither the one in use nor the one that is being loaded is known
        any more, whatever its load says from here on. Saved at once, for what has shown it may be
        put back, or its daemon killed."""
        with self._lock:
            self._indexes[index].distrusted = True
            self.doubt(index, "the index in use is not trusted any more")
            self.identify(indexes=_without(self.identity.indexes, index))
            self.drop_load(index)
            self.save(now=True)
        self.save_control(now=True)

    def load_is_done(self, load: Load, uuid: str) -> None:
        """The index of this load stands behind its alias already, though that was not written down.

        What it holds is proven up to the load's start, whatever the watermark was. Where there was
        none, each other index is proven up to the start of its own load; where that is not, it must
        be compared. Saved at once and together: in a state with the one and not the other, the
        next session would miss what only the other one tells.
        """
        with self._lock:
            saved, others = self.last_processed, self.identity.indexes.keys() - {load.index}
            proven = [load.started_at]
            if saved is not None:
                proven.append(saved)
            else:
                proven += [at for name, at in self.loaded.items() if name in others]
                due = dict.fromkeys(others - self.loaded.keys(), False)
                self._change(reconcile={**due, **self.reconcile})
            self._proven = min(proven)
            self._change(last_processed=self._proven)
            self.load_complete(load.index, uuid, load.started_at)

    def save(self, *, now: bool = False) -> None:
        """Write state.yaml where it is due; a failure is told, and tried again."""
        with self._lock:
            clock = time.monotonic()
            if self._state is None or not self._changed or (clock < self._file_due and not now):
                return
            try:
                file.write(self._path, self._state)
            except file.StateError as error:
                self._file_unwritten.fails(Failure(None, str(error), passes=False), clock)
                self._file_due = clock + _FILE_EVERY
                return
            if (seconds := self._file_unwritten.mended(clock)) is not None:
                self._observe(events.StateSavedAgain(seconds))
            self._changed = False
            self._file_due = clock + _FILE_EVERY

    @property
    def trouble(self) -> Failure | None:
        """Why state.yaml or the control document cannot be written, where it cannot."""
        return self._file_unwritten.why or self._control_unwritten.why

    def control_soon(self) -> None:
        """Write the control document at the next occasion."""
        with self._lock:
            self._control_due = 0.0

    def save_control(self, *, now: bool = False) -> bool:
        """Write the control document where it is due. False: another generation is in force."""
        with self._saving:  # or an older state could come after a newer one
            return self._save_control(now=now)

    def _save_control(self, *, now: bool) -> bool:
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
                with self._lock:
                    self._control_unwritten.fails(failure_of(error), clock)
            return True
        with self._lock:
            self._control_unwritten.mended(clock)
            if ours:
                self.identify(control=self._control.newest)
            else:
                self._control_due = 0.0  # the next call is told, too
        return ours


def _without(by_alias: Mapping[str, T], index: str) -> dict[str, T]:
    """A copy that lacks this one."""
    return {name: one for name, one in by_alias.items() if name != index}
