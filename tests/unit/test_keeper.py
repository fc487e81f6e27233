"""The keeper: what is told while state.yaml cannot be written, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from listener.observations import events
from listener.observations.events import Observation
from listener.search.versions import Versions
from listener.state.control import ControlDocument
from listener.state.file import StateError
from listener.state.model import Identity, Kept, Load, Mark, RolledBackFiles, State
from listener.state.store import Keeper

NOTHING = State(
    last_processed=None,
    identity=Identity(
        pipeline="p",
        system_identifier="1",
        timeline=1,
        database_oid=1,
        wal_lsn="0/0",
        nonce="n",
        config_hash="h",
        tables={},
        indexes={},
    ),
)


class Disk:
    """A clock, and a disk that fails for a reason."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.reason: str | None = None
        self.written: list[State] = []

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def write(self, _path: Path, value: State) -> None:
        """Fail, or note it."""
        if self.reason is not None:
            raise StateError(self.reason)
        self.written.append(value)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """In the place of the real ones."""
    disk = Disk()
    monkeypatch.setattr("listener.state.store.time", disk)
    monkeypatch.setattr("listener.state.file.write", disk.write)
    return disk


def test_a_failing_disk_is_told_once_a_minute_and_for_each_reason(disk: Disk) -> None:
    """Tried each second, told at first, for another reason, after a minute, and when it is over."""
    told: list[Observation] = []
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), told.append)
    keeper.begin(NOTHING)
    disk.reason = "full"
    for _ in range(30):
        keeper.save()
        disk.now += 1.1
    assert told == [events.StateNotSaved("full")]
    disk.reason = "read-only"
    keeper.save()
    assert told[1:] == [events.StateNotSaved("read-only")]
    for _ in range(60):
        disk.now += 1.1
        keeper.save()
    assert told[2:] == [events.StateNotSaved("read-only")]
    disk.reason = None
    disk.now += 1.1
    keeper.save()
    assert len(disk.written) == 1
    [over] = told[3:]
    assert isinstance(over, events.StateSavedAgain)
    assert over.seconds == pytest.approx(disk.now - 1000)
    keeper.save()
    assert len(disk.written) == 1, "nothing has changed"


@pytest.mark.parametrize("outlives", [True, False])
def test_a_comparison_for_what_a_load_has_passed(disk: Disk, outlives: bool) -> None:
    """It is still due when the load is complete, and the watermark stands until it is done."""
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), lambda _: None)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    later = start + timedelta(minutes=1)
    keeper.begin(NOTHING.model_copy(update={"last_processed": start}))
    keeper.freeze("a")
    keeper.want_reconcile("a", unguarded=False, outlives_load=outlives)
    keeper.advance(later)
    keeper.load_complete("a", "uuid", start)
    assert keeper.reconcile == ({"a": False} if outlives else {})
    assert keeper.last_processed == (start if outlives else later)
    keeper.reconciled("a", None)
    assert (keeper.reconcile, keeper.last_processed) == ({}, later)


@pytest.mark.usefixtures("disk")
def test_what_a_load_brings_after_its_index_is_distrusted() -> None:
    """Its thread is at work until the next session: were it believed, that one would go on with it,
    or take its index for a good one."""

    class Elsewhere:
        """A control document of another generation."""

        def save(self, _generation: int, _content: object) -> bool:
            """Not ours."""
            return False

    control = cast("ControlDocument", Elsewhere())
    versions = Versions()
    versions.begin(1)
    keeper = Keeper(Path("state.yaml"), control, versions, lambda _: None)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    load = Load(index="a", physical="a-1", started_at=start)
    keeper.begin(NOTHING)
    keeper.want_reconcile("a", unguarded=False)
    keeper.put_load(load)
    keeper.distrust_index("a")
    keeper.put_load(load)
    assert not keeper.loads
    keeper.put_load(load.model_copy(update={"index": "b", "physical": "b-1"}))
    assert [one.index for one in keeper.loads] == ["b"]
    keeper.load_complete("a", "uuid", start)
    assert (keeper.identity.indexes, keeper.loaded, keeper.reconcile) == ({}, {}, {"a": False})
    keeper.begin(keeper.state)
    keeper.put_load(load)
    keeper.load_complete("a", "uuid", start)
    assert (keeper.identity.indexes, keeper.reconcile) == ({"a": "uuid"}, {})


def test_a_load_that_is_done_already_is_one_write(disk: Disk) -> None:
    """Between two writes a crash would leave a good index without a proven watermark, which costs a
    comparison; or under one from after the load's start, which would cost what changed between.
    """
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), lambda _: None)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    load = Load(index="a", physical="a-1", started_at=start, done=True)
    for saved in (None, start - timedelta(minutes=1), start + timedelta(minutes=1)):
        disk.written.clear()
        keeper.begin(NOTHING.model_copy(update={"last_processed": saved, "loads": (load,)}))
        keeper.load_is_done(load, "uuid")
        keeper.save(now=True)
        [state] = disk.written
        assert (state.loads, state.identity.indexes, state.loaded) == (
            (),
            {"a": "uuid"},
            {"a": start},
        )
        assert state.last_processed == min(saved or start, start)
        keeper.thaw("another")
        assert keeper.last_processed == state.last_processed, "what is proven is no more than that"


@pytest.mark.parametrize("proven", [True, False])
def test_a_load_that_is_done_already_speaks_of_its_own_index(disk: Disk, proven: bool) -> None:
    """Where no watermark was proven yet, the other indexes are good up to the start of their own
    load; where that is not proven they are compared."""
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), lambda _: None)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    before = start - timedelta(minutes=1)
    load = Load(index="a", physical="a-1", started_at=start, done=True)
    known = NOTHING.identity.model_copy(update={"indexes": {"b": "uuid-b"}})
    loaded = {"b": before} if proven else {}
    keeper.begin(NOTHING.model_copy(update={"identity": known, "loaded": loaded, "loads": (load,)}))
    keeper.load_is_done(load, "uuid")
    [state] = disk.written
    assert state.last_processed == (before if proven else start)
    assert state.reconcile == ({} if proven else {"b": False})
    assert state.loaded == {**loaded, "a": start}


def test_a_clock_that_went_back_takes_every_moment_along(disk: Disk) -> None:
    """Else a load, or what an index had, would seem newer than what is stamped now."""
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), lambda _: None)
    at, by = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
    marks = {"a-1": Mark(settled=at), "b-1": Mark()}
    keeper.begin(
        NOTHING.model_copy(
            update={
                "last_processed": at,
                "identity": NOTHING.identity.model_copy(update={"marks": marks, "ahead": 5.0}),
                "loads": (Load(index="a", physical="a-1", started_at=at),),
                "loaded": {"b": at},
                "kept": {"a": Kept(physical="a-0", uuid="uuid-0", since=at, until=at)},
                "rolled_back": {"b": RolledBackFiles(hash="hash1", since=at)},
            }
        )
    )
    keeper.step_back(by)
    keeper.save(now=True)
    [state] = disk.written
    assert (state.last_processed, state.loaded) == (at - by, {"b": at - by})
    assert [one.started_at for one in state.loads] == [at - by]
    assert [one.settled for one in state.identity.marks.values()] == [at - by, None]
    assert state.identity.ahead == 5.0 - 60
    assert (state.kept["a"].since, state.kept["a"].until) == (at - by, at - by)
    assert state.rolled_back["b"].since == at - by
    keeper.thaw("a")
    assert keeper.last_processed == at - by, "what is proven went back with it"


def test_a_former_index_that_is_in_doubt(disk: Disk) -> None:
    """It is given up at once, on the disk, too; why is kept. The index in use is not sound then, so
    that a swap does not keep it either."""
    told: list[Observation] = []
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), told.append)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    keeper.begin(NOTHING.model_copy(update={"last_processed": at}))
    keeper.not_kept("films", "nothing was in use")
    kept = Kept(physical="films-1", uuid="u", since=at, until=at + timedelta(hours=1))
    keeper.keep("films", kept)
    assert keeper.state.unkept == {}
    assert keeper.is_sound("films")
    keeper.doubt("films", "TRUNCATE")
    assert (disk.written[-1].kept, disk.written[-1].unkept) == ({}, {"films": "TRUNCATE"})
    assert told == [events.FormerGivenUp("films", "films-1", "TRUNCATE")]
    assert not keeper.is_sound("films")
    keeper.doubt("films", "once more")
    assert keeper.state.unkept == {"films": "TRUNCATE"}, "there was none any more"
    assert len(told) == 1


@pytest.mark.parametrize("way", ["comparison", "load"])
@pytest.mark.parametrize("proven", [True, False])
def test_a_doubt_is_over_with_what_mends_it(disk: Disk, way: str, proven: bool) -> None:
    """A comparison that has mended the index in use, and a new index, lack nothing: the next swap
    keeps that index. Where its start is not proven, it may lack something still."""
    assert disk.written == []
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), lambda _: None)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    keeper.begin(NOTHING.model_copy(update={"last_processed": at}))
    keeper.want_reconcile("films", unguarded=False)
    assert not keeper.is_sound("films")
    if way == "comparison":
        keeper.reconciled("films", at if proven else None)
    else:
        keeper.load_complete("films", "uuid-2", at if proven else None)
    assert keeper.is_sound("films") == proven


def test_a_doubt_outlives_a_load_that_a_comparison_follows(disk: Disk) -> None:
    """That comparison is due still."""
    assert disk.written == []
    keeper = Keeper(Path("state.yaml"), cast("ControlDocument", None), Versions(), lambda _: None)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    keeper.begin(NOTHING.model_copy(update={"last_processed": at}))
    keeper.want_reconcile("films", unguarded=False, outlives_load=True)
    keeper.load_complete("films", "uuid-2", at)
    assert not keeper.is_sound("films")
    keeper.reconciled("films", at)
    assert keeper.is_sound("films")
