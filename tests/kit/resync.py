"""Loads and comparisons without servers: fakes that note each step, and can be made to fail.

A `Resync` holds what PostgreSQL, Elasticsearch, the pipeline and the disk would say. The keeper and
the states of what is under way are the real ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typing_extensions import override

from listener.capture.watermark import Draw
from listener.changes import Key
from listener.documents.connections import Connections
from listener.documents.kinds import Kind
from listener.indexing.fence import Fence
from listener.indexing.ledger import LoadCounts
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Job
from listener.observations.events import Observation
from listener.postgres import Connection
from listener.resync.cancellation import Check
from listener.resync.kind_state import KindState
from listener.resync.lookout import Lookout
from listener.resync.reconcile import Reconciler
from listener.resync.report import Report
from listener.resync.under_way import UnderWay
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.existing import Existing
from listener.search.index_config import IndexConfig
from listener.search.indexes import Indexes
from listener.search.versions import Versions
from listener.search.write_aliases import Role
from listener.state.model import Load, State
from listener.state.store import Keeper
from tests.kit.definitions import film_definition
from tests.kit.session import NOW, film_index, saved_state, unfinished
from tests.kit.threads import Failures

STARTED = NOW - timedelta(minutes=3)
"""When the coordinator asked for what is under way."""


def new_load(**other: Any) -> Load:
    """A load that has brought nothing yet."""
    said: dict[str, Any] = {"started_at": STARTED, "after": None, "documents": 0}
    return unfinished(**{**said, **other})


class Resync:
    """`steps`: what was done, in order; a step that failed is the last one of its kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kinds: Sequence[str] = ("films",)) -> None:
        self.steps: list[str] = []
        self.fails: dict[str, Exception] = {}
        """What a step raises that begins so, once."""
        self.meanwhile: dict[str, Callable[[], object]] = {}
        """What happens beside a step that begins so, once."""
        self.told: list[Observation] = []
        self.life = Failures()
        self.stop = QuickStop()
        self.disk: State = saved_state()
        """What state.yaml holds: all that a killed process leaves."""
        self.rows: list[Key] = []
        self.current: dict[int, str | None] = {place: f"{one}-1" for place, one in enumerate(kinds)}
        """Indexes in use."""
        self.kept: str | None = None
        """The former index that is fed."""
        self.made_by: dict[int, Kind] = {}
        """Which kind feeds an index in use, where it is not that of the files."""
        self.interruptions = 0
        """How often the kind of a load was held or released."""
        self.draws = 0
        self.proofs: deque[bool] = deque()
        """What the next looks at a draw say; then each of them is proven."""
        self.kinds = [self._kind(number, name) for number, name in enumerate(kinds)]
        self.fence = FakeFence(self)
        self.keeper = NotedKeeper(self)
        self.lookout = FakeLookout(self)
        self.under_way = UnderWay(
            self.kinds, fence=self.fence, keeper=self.keeper, observe=self.told.append
        )
        self.connection: Connection = cast(Any, SimpleNamespace())
        monkeypatch.setattr("listener.state.file.write", self._write)
        monkeypatch.setattr("listener.capture.watermark.draw", self._draw)
        monkeypatch.setattr("listener.capture.watermark.passed", self._passed)
        monkeypatch.setattr("listener.capture.watermark.holder", lambda _: "a long transaction")
        self.keeper.begin(self.disk)

    def step(self, name: str) -> None:
        """Note it; then it may fail."""
        self.steps.append(name)
        for begin in [one for one in self.meanwhile if name.startswith(one)]:
            self.meanwhile.pop(begin)()
        for begin in [one for one in self.fails if name.startswith(one)]:
            raise self.fails.pop(begin)

    def since(self, name: str) -> list[str]:
        """The steps from this one on."""
        return self.steps[self.steps.index(name) :]

    @property
    def state(self) -> KindState:
        """Of the first document kind."""
        return self.under_way.states[0]

    def drawn_at(self, number: int = 1) -> datetime:
        """The moment of this draw."""
        return NOW + timedelta(seconds=number)

    def loads_on_disk(self) -> list[int]:
        """How many documents each load has brought, as it is written down."""
        return [one.documents for one in self.disk.loads]

    # -- the fakes ---------------------------------------------------------------------------------

    def _kind(self, number: int, name: str) -> Kind:
        source = SimpleNamespace(
            name=name, id_page=self._id_page, estimate=lambda _: len(self.rows)
        )
        definition = film_definition(index=name)
        return Kind(number, cast(Any, source), cast(Any, "config"), definition, number)

    def made_by_others(self, number: int = 0) -> None:
        """The index in use was made by other files."""
        definition = film_definition("hash0", self.kinds[number].index)
        self.made_by[number] = replace(self.kinds[number], definition=definition)

    def _id_page(self, _connection: object, after: Key | None, limit: int) -> list[Key]:
        self.step(f"ids after {after[0] if after else None}")
        first = 0 if after is None else self.rows.index(after) + 1
        return self.rows[first : first + limit]

    def _write(self, _path: Path, value: State) -> None:
        self.disk = value

    def _draw(self, _connection: object) -> Draw:
        self.step("draw")
        self.draws += 1
        return Draw(self.drawn_at(self.draws), self.draws, "0/30")

    def _passed(self, _connection: object, drawn: Draw) -> bool:
        self.step(f"proof of {drawn.xid}")
        return self.proofs.popleft() if self.proofs else True


class QuickStop(Stop):
    """A Stop whose waits end at once."""

    def wait(self, seconds: float | None = None) -> bool:  # noqa: ARG002
        """Whether stop is requested."""
        return self.requested


class Cancelled:
    """A Check that says what the test says. `over`: the work is over."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.over = False

    def check(self) -> None:
        """Raises Stopped where it is."""
        if self.requested():
            raise Stopped("the work is over")

    def requested(self) -> bool:
        """Whether it is."""
        return self.over or self._room.stop.requested

    def wait(self, _seconds: float) -> None:
        """As long as it takes to look."""
        self.check()


class NotedKeeper(Keeper):
    """The keeper; what it writes down at once is noted."""

    def __init__(self, room: Resync) -> None:
        versions = Versions()
        versions.begin(3)
        control: Any = SimpleNamespace(save=lambda *_: True, newest=7)
        super().__init__(Path("state.yaml"), control, versions, room.told.append)
        self._room = room

    def put_load(self, load: Load) -> None:
        """How far a load has come."""
        self._room.step(f"written down: {load.documents}{', done' if load.done else ''}")
        super().put_load(load)

    def drop_load(self, index: str) -> None:
        """A load is complete, or given up."""
        self._room.step(f"load of {index} dropped")
        super().drop_load(index)

    def load_complete(self, index: str, uuid: str, proven_start: datetime | None) -> None:
        """The index of a load stands behind its alias."""
        self._room.step(f"load complete{'' if proven_start else ', not proven'}")
        super().load_complete(index, uuid, proven_start)

    def want_reconcile(self, index: str, *, unguarded: bool, outlives_load: bool = False) -> None:
        """A comparison is due."""
        self._room.step(f"comparison of {index} due{', after the load' if outlives_load else ''}")
        super().want_reconcile(index, unguarded=unguarded, outlives_load=outlives_load)

    def reconciled(self, index: str, proven_start: datetime | None) -> None:
        """A comparison is complete."""
        self._room.step(f"comparison of {index} done{'' if proven_start else ', not proven'}")
        super().reconciled(index, proven_start)

    def freeze(self, index: str) -> None:
        """Hold the saved watermark."""
        self._room.step(f"{index} frozen")
        super().freeze(index)

    def save_control(self, *, now: bool = False) -> bool:
        """Write the control document."""
        self._room.step("control saved")
        return super().save_control(now=now)


class FakeFence(Fence):
    """Which indexes are written, and that nothing is in flight while that changes."""

    def __init__(self, room: Resync) -> None:
        self._room = room

    @override
    def current(self, document: int) -> str | None:
        """The index in use."""
        return self._room.current[document]

    @override
    def kind(self, document: int, role: Role) -> Kind | None:
        """The kind that feeds the index in this role."""
        if role is Role.IN_USE and self._room.current[document] is None:
            return None
        if role is Role.IN_USE:
            return self._room.made_by.get(document, self._room.kinds[document])
        return self._room.kinds[document]

    @override
    def kept(self, document: int) -> str | None:
        """The former index."""
        return self._room.kept

    @override
    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nothing is in flight inside."""
        self._room.step("quiet")
        yield
        self._room.steps.append("quiet no more")

    @override
    def refuse_astray(self, *, formers: bool = True) -> None:
        """Raises FencedOut where writes may have gone elsewhere."""
        self._room.step("aliases looked at")

    @override
    def point(self, swap: tuple[str, str] | None = None) -> None:
        """Point the write aliases."""
        assert swap is None
        self._room.step("aliases pointed")

    @override
    def load(self, document: int, index: str | None) -> None:
        """Live changes go to this index, too."""
        self._room.step(f"fed: {index}")

    @override
    def swap(self, document: int, index: str, *, keep: bool = False) -> list[str]:
        """People search this index from now on."""
        self._room.step(f"swapped to {index}")
        former, self._room.current[document] = self._room.current[document], index
        return [former] if former else []


class FakeLookout(Lookout):
    """Whether indexes are what they were. `lost`: why the next one is not."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.lost: str | None = None

    @override
    def begin(self, name: str, mapping: str) -> None:
        """Note a new index."""
        self._room.step(f"{name} noted")

    @override
    def settle(self, name: str, settled: datetime | None, load: Load | None = None) -> str | None:
        """Note it with all that was sent."""
        self._room.step(f"{name} settled{'' if settled else ', not proven'}")
        return self.lost


class FakePipeline(Pipeline):
    """Takes pages of ids. Each job is finished when it is waited for, unless that is held up."""

    crashed: str | None = None  # of the class: it stands for a property, which cannot be set

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.jobs: list[Job] = []
        self.counts = LoadCounts(written=0, untaken=0, parked=0)
        self.aside: list[Key] = []
        self.waits: list[Callable[[Job], bool]] = []
        """What is done at the next waits instead; whether the job is finished."""

    @override
    def begin_load(self, kind: int) -> None:
        """Count anew."""
        self._room.step("counts anew")

    @override
    def load_counts(self, kind: int) -> LoadCounts:
        """What the load has done."""
        return self.counts

    @override
    def submit_ids(self, kind: int, keys: Sequence[Key]) -> Job:
        """A page of ids."""
        self._room.step(f"asked for {keys[0][0]}-{keys[-1][0]}")
        job = Job()
        job.add(len(keys))
        job.seal()
        self.jobs.append(job)
        return job

    @override
    def wait(self, job: Job, seconds: float | None = None) -> bool:
        """Whether it is finished."""
        if self.waits:
            return self.waits.pop(0)(job)
        self.finish(job)
        return True

    def finish(self, job: Job) -> None:
        """Elasticsearch has all of it."""
        self._room.step(f"page {self.jobs.index(job) + 1} answered")
        job.done(job.open)

    @override
    def interruptions_of(self, kind: int) -> int:
        """How often it was held or released."""
        return self._room.interruptions

    @override
    def parked_keys(self, kind: int) -> list[Key]:
        """What is parked."""
        return self.aside

    @override
    def refresh_soon(self) -> None:
        """Make it searchable."""
        self._room.step("refresh asked for")


class FakeIndexes(Indexes):
    """The indexes of a pipeline."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.unhealthy = 0
        """How often replicas are waited for."""
        self.concrete = False
        self.kept: list[str] = []
        """What `drop_loads` must leave alone."""
        self.others: Mapping[str, str] = {}

    @override
    def drop_loads(
        self, alias: str, *, below: int | None = None, spare: Collection[str] = ()
    ) -> list[str]:
        """Remove what was begun."""
        self._room.step(f"unfinished loads of {alias} removed")
        return self.kept

    @override
    def create(
        self,
        name: str,
        config: IndexConfig,
        digest: str,
        definition: Mapping[str, Any] | None = None,
    ) -> Existing:
        """Make a new index."""
        self._room.step("index made")
        assert name.startswith("films-hash1-2026")
        return film_index(name, mapping="mapping-2")

    @override
    def started(self, name: str) -> None:
        """Wait until its shards are at work."""
        self._room.step("index started")

    @override
    def finish(self, name: str, config: IndexConfig) -> None:
        """Refresh it, and bring the replicas back."""
        self._room.step(f"{name} finished")

    @override
    def healthy(self, name: str, seconds: int) -> bool:
        """Whether it has its replicas."""
        self._room.step("health asked")
        assert seconds <= 5
        self.unhealthy -= 1
        return self.unhealthy < 0

    @override
    def is_concrete(self, name: str) -> bool:
        """Whether an index has the alias's name."""
        self._room.step("name looked at")
        return self.concrete

    @override
    def refuse_foreign(self, alias: str, *, take: bool = False) -> None:
        """Raises IndexError_ where the alias is of others."""
        self._room.step(f"owner of {alias} looked at{', taken' if take else ''}")

    @override
    def get(self, name: str) -> Existing | None:
        """An index by its own name."""
        return film_index(name, f"uuid of {name}")

    @override
    def old(self, alias: str) -> list[str]:
        """Those that are kept."""
        self._room.step("old indexes looked at")
        return ["films-1"]

    @override
    def old_of_others(self, alias: str) -> list[Existing]:
        """Those of other databases."""
        return []


class FakeReconciler(Reconciler):
    """Comparisons whose reports the test gives."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.guarded = False
        """Whether a comparison may not delete what it would."""
        self.refuses_loads = False

    @override
    def run(
        self,
        connection: Connection,
        kind: Kind,
        index: str,
        check: Check,
        *,
        unguarded: bool,
    ) -> Report:
        """Compare and mend."""
        self._room.step(f"{index} compared{', unguarded' if unguarded else ''}")
        check.check()
        return Report(kind.index, guarded=self.guarded)

    @override
    def guards(self, connection: Connection, kind: Kind, index: str, check: Check) -> bool:
        """Whether a load would lose too many."""
        self._room.step(f"{index} guarded")
        check.check()
        return self.refuses_loads


class FakeConnections(Connections):
    """Connections of the loader's thread."""

    def __init__(self, room: Resync) -> None:
        self._room = room

    @override
    def open(self, name: str, *, timed: bool = False) -> Connection:
        """One more."""
        assert (name, timed) == ("listener: load", False)
        self._room.step("connected")
        return cast(Connection, self._opened())

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        try:
            yield self._room.connection
        finally:
            self._room.steps.append("closed")
