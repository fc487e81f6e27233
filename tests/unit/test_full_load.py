"""A full load: written down as far as it is answered, swapped when all of it is in its index."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from listener import search
from listener.indexing.gate import FencedOut
from listener.indexing.pipeline import Interrupted
from listener.indexing.queue import Job
from listener.observations.events import (
    Loaded,
    LoadProgress,
    LoadStarted,
    OldIndexKept,
    Waiting,
)
from listener.resync.full_load import AliasTaken, Loader
from listener.resync.rollbacks import Rollbacks, Terms
from listener.resync.swap_guard import Weighed
from listener.runtime.lifecycle import Stopped
from listener.state.model import Load
from tests.kit.resync import STARTED, Cancelled, FakeIndexes, FakePipeline, Resync, new_load


class Loading:
    """A loader of one kind with eight documents, in pages of eight parts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, take: bool = False) -> None:
        self.room = room = Resync(monkeypatch)
        room.rows = [(str(number),) for number in range(1, 9)]
        self.pipeline, self.indexes = FakePipeline(room), FakeIndexes(room)
        self.loader = Loader(
            pipeline=self.pipeline,
            fence=room.fence,
            indexes=self.indexes,
            keeper=room.keeper,
            lookout=room.lookout,
            page_size=8,
            rollbacks=Rollbacks(
                room.kinds,
                fence=room.fence,
                indexes=self.indexes,
                keeper=room.keeper,
                pipeline=self.pipeline,
                terms=Terms(0, 30, take),
                observe=room.told.append,
            ),
            observe=room.told.append,
        )
        self.kind = room.kinds[0]
        self.saved: list[Load] = []
        self.check = Cancelled(room)

    def begin(self, resume: Load | None = None) -> Load:
        """Begin it, or go on with it."""
        return self.loader.begin(self.kind, "asked for", resume, STARTED)

    def pages(self, load: Load) -> Load:
        """Its pages."""
        for reached in self.loader.pages(self.room.connection, self.kind, load, self.check):
            self.saved.append(reached)
            self.room.keeper.put_load(reached)  # as the run does, where the start is proven
        return self.saved[-1]

    def swap(self, load: Load, *, proven: bool = True) -> None:
        """Let people search it."""
        weighed = Weighed("films", load.physical, load.documents, 8)
        self.loader.swap(self.kind, load, self.check, proven=proven, weighed=weighed)


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Loading:
    """One that has done nothing yet."""
    return Loading(monkeypatch)


# -- the beginning ---------------------------------------------------------------------------------


def test_the_order_of_a_beginning(loading: Loading) -> None:
    """Live changes go to the new index when it stands, and before any page of it is read."""
    load = loading.begin()
    assert loading.room.steps == [
        *("unfinished loads of films removed", "fed: None", "index made", "index started"),
        f"{load.physical} noted",
        *("quiet", f"fed: {load.physical}", "counts anew", "quiet no more"),
    ]
    assert (load.after, load.documents, load.done) == (None, 0, False)
    assert load.started_at == STARTED
    assert loading.room.told == [LoadStarted("films", load.physical, "asked for", 0)]


def test_an_index_that_cannot_be_made_is_not_fed(loading: Loading) -> None:
    """Nor noted."""
    for step in ("index made", "index started"):
        loading.room.fails[step] = search.Away("gone")
        with pytest.raises(search.Away):
            loading.begin()
        assert loading.room.steps[-1] == step


def test_what_was_begun_is_gone_on_with(loading: Loading) -> None:
    """In its own index: nothing is made or removed, and no page is read twice."""
    before = new_load(after=("5",), documents=5)
    load = loading.begin(before)
    assert load == before
    assert loading.room.steps == ["quiet", "fed: films-2", "counts anew", "quiet no more"]
    loading.pages(load)
    assert loading.room.steps[4] == "ids after 5"
    assert loading.saved[-1].documents == 8


def test_others_indexes_are_kept_and_named(loading: Loading) -> None:
    """Those of which it is not certain that only a load has fed them."""
    loading.indexes.kept = ["films-9", "elsewhere"]
    loading.begin()
    assert loading.room.told[:2] == [
        OldIndexKept("films", "films-9", ours=True),
        OldIndexKept("films", "elsewhere", ours=False),
    ]


# -- the pages -------------------------------------------------------------------------------------


def test_a_part_is_written_down_when_it_is_answered(loading: Loading) -> None:
    """With all before it; several are on their way meanwhile."""
    done = loading.pages(loading.begin())
    assert (done.done, done.documents, done.after) == (True, 8, ("8",))
    steps = loading.room.since("ids after None")
    assert steps.count("page 1 answered") == 1
    assert steps.index("asked for 8-8") < steps.index("page 1 answered")
    for number in range(1, 8):
        place = steps.index(f"written down: {number}")
        assert steps.index(f"page {number} answered") < place
        assert f"page {number + 1} answered" not in steps[:place]
    assert steps[-1] == "written down: 8, done"
    progress = [one for one in loading.room.told if isinstance(one, LoadProgress)]
    assert [one.documents for one in progress] == [8]


def test_parts_are_written_down_in_their_order(loading: Loading) -> None:
    """A later one that is answered first waits: a killed load goes on after the first gap."""

    def answer_others(job: Job) -> bool:
        for one in loading.pipeline.jobs:
            if one is not job:
                loading.pipeline.finish(one)
        assert loading.saved == []
        return False

    loading.pipeline.waits = [answer_others]
    loading.pages(loading.begin())
    assert loading.saved[0].documents == 8


def test_how_much_is_on_its_way(loading: Loading) -> None:
    """One page: so much a restart repeats."""
    loading.room.rows = [(str(number),) for number in range(1, 40)]
    loading.pages(loading.begin())
    open_parts = most = 0
    for step in loading.room.steps:
        open_parts += step.startswith("asked for") - step.endswith("answered")
        most = max(most, open_parts)
    assert most == 8


def test_no_rows_is_a_complete_load(loading: Loading) -> None:
    """Of nothing."""
    loading.room.rows = []
    done = loading.pages(loading.begin())
    assert (done.done, done.documents, done.after) == (True, 0, None)


def stopped(loading: Loading) -> None:
    """Stop is requested."""
    loading.room.stop.request()


def cancelled(loading: Loading) -> None:
    """Another session begins."""
    loading.check.over = True


def crashed(loading: Loading) -> None:
    """The pipeline has ended by a defect."""
    loading.pipeline.crashed = "OSError: gone"


ENDS = [stopped, cancelled, crashed]


@pytest.mark.parametrize("end", ENDS)
def test_what_is_not_answered_is_not_written_down(
    loading: Loading, end: Callable[[Loading], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load ends; only what was answered before counts. The next process goes on from there."""

    def give_up(_: Job) -> bool:
        end(loading)
        return False

    def answer(job: Job) -> bool:
        loading.pipeline.finish(job)
        return True

    loading.pipeline.waits = [answer, answer, give_up]
    with pytest.raises(Stopped):
        loading.pages(loading.begin())
    assert loading.room.loads_on_disk() == [2]
    [load] = loading.room.disk.loads
    following = Loading(monkeypatch)
    following.begin(load)
    assert following.pages(load).documents == 8
    assert following.room.steps[4] == "ids after 2"


@pytest.mark.parametrize("end", [stopped, cancelled])
def test_a_load_ends_after_the_page_in_flight(
    loading: Loading, end: Callable[[Loading], None]
) -> None:
    """That one counts."""
    loading.room.meanwhile["written down: 1"] = lambda: end(loading)
    with pytest.raises(Stopped):
        loading.pages(loading.begin())
    assert loading.room.loads_on_disk() == [1]


def test_a_page_that_cannot_be_read(loading: Loading) -> None:
    """Those that are on their way count when the load is called again, from where it was."""
    loading.room.fails["ids after 3"] = OSError("gone")
    load = loading.begin()
    with pytest.raises(OSError, match="gone"):
        loading.pages(load)
    assert loading.room.loads_on_disk() == []
    assert loading.pages(load).documents == 8


# -- the swap --------------------------------------------------------------------------------------

DONE = new_load(after=("8",), documents=8, done=True)


def test_the_order_of_a_swap(loading: Loading) -> None:
    """The new index has its replicas and is as it was left before anybody searches it; the state
    speaks of it when it is in use."""
    loading.begin(DONE)
    del loading.room.steps[:]
    loading.swap(DONE)
    assert loading.room.steps == [
        *("films-2 finished", "health asked", "films-2 settled", "name looked at"),
        *("owner of films looked at", "swapped to films-2", "load complete"),
        *("load of films dropped", "old indexes looked at", "refresh asked for"),
    ]
    assert loading.room.disk.identity is not None
    assert loading.room.disk.identity.indexes == {"films": "uuid of films-2"}
    assert loading.room.disk.loaded == {"films": STARTED}
    assert [type(one) for one in loading.room.told[1:]] == [Loaded, OldIndexKept]


@pytest.mark.parametrize(
    "step",
    [
        *("films-2 finished", "health asked", "films-2 settled", "name looked at"),
        *("owner of films", "swapped"),
    ],
)
def test_nothing_follows_a_failure(loading: Loading, step: str) -> None:
    """Above all no swap, and no word in the state."""
    loading.begin(DONE)
    loading.room.keeper.put_load(DONE)
    loading.room.fails[step] = search.Away("gone")
    with pytest.raises(search.Away):
        loading.swap(DONE)
    assert loading.room.steps[-1].startswith(step)
    assert loading.room.current == {0: "films-1"}
    assert loading.room.loads_on_disk() == [8]
    assert loading.room.disk.loaded == {}


def test_an_index_that_went_back_is_not_searched(loading: Loading) -> None:
    """It lacks what it was sent: a new session goes on from where it is certain."""
    loading.begin(DONE)
    loading.room.lookout.lost = "films-2: went back"
    with pytest.raises(FencedOut, match="went back"):
        loading.swap(DONE)
    assert loading.room.current == {0: "films-1"}
    assert loading.room.disk.loaded == {}


def test_a_concrete_index_of_the_alias_name(loading: Loading) -> None:
    """It is not touched; a person is told what replaces it."""
    loading.begin(DONE)
    loading.indexes.concrete = True
    with pytest.raises(AliasTaken, match="remove_index"):
        loading.swap(DONE)
    assert loading.room.current == {0: "films-1"}


def test_an_unproven_load_proves_nothing(loading: Loading) -> None:
    """Neither of the index nor for the watermark."""
    loading.begin(DONE)
    loading.swap(DONE, proven=False)
    assert "films-2 settled, not proven" in loading.room.steps
    assert "load complete, not proven" in loading.room.steps
    assert loading.room.disk.loaded == {}


def test_replicas_are_waited_for(loading: Loading) -> None:
    """It is told, and can be stopped."""
    loading.begin(DONE)
    loading.indexes.unhealthy = 2
    loading.swap(DONE)
    waits = [one for one in loading.room.told if isinstance(one, Waiting)]
    assert [one.reason for one in waits] == ["films-2 waits for its replicas"] * 2
    loading.indexes.unhealthy = 1
    loading.check.over = True
    with pytest.raises(Stopped):
        loading.swap(DONE)
    assert loading.room.steps[-1] == "health asked"


def test_a_page_that_is_dropped(loading: Loading) -> None:
    """Nothing of it counts as acknowledged: its index is fed no longer."""
    loading.begin(DONE)
    loading.room.rows = [("1",)]

    def dropped(job: Job) -> bool:
        job.drop_all()
        return True

    loading.pipeline.waits = [dropped]
    pages = loading.loader.pages(loading.room.connection, loading.kind, new_load(), loading.check)
    with pytest.raises(Interrupted):
        list(pages)


def test_what_a_person_asked_for_takes_the_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    """From another database of the same pipeline."""
    loading = Loading(monkeypatch, take=True)
    loading.begin(DONE)
    loading.swap(DONE)
    assert "owner of films looked at, taken" in loading.room.steps


# -- a load that is given up -----------------------------------------------------------------------


def test_the_order_of_giving_up(loading: Loading) -> None:
    """While nothing is in flight: aliases are looked at before those go that tell of it."""
    loading.room.keeper.put_load(new_load())
    del loading.room.steps[:]
    loading.loader.give_up(loading.kind)
    assert loading.room.steps == [
        *("quiet", "aliases looked at", "unfinished loads of films removed", "fed: None"),
        *("aliases pointed", "quiet no more", "load of films dropped"),
    ]
    loading.room.keeper.save(now=True)
    assert loading.room.loads_on_disk() == []


@pytest.mark.parametrize("step", ["aliases looked at", "unfinished loads", "aliases pointed"])
def test_a_load_that_is_half_given_up(loading: Loading, step: str) -> None:
    """It could not go on: only a new session can tell what is left of it."""
    loading.room.fails[step] = search.Away("gone")
    with pytest.raises(FencedOut, match="gone"):
        loading.loader.give_up(loading.kind)
    assert "load of films dropped" not in loading.room.steps
