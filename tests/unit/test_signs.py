"""Signs of life: what the daemon does, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from listener.indexing.outage import Trouble
from listener.observations.events import ServerName
from listener.search.index_settings import Fault
from listener.state.heartbeat import DaemonState, Matter
from listener.state.model import RolledBackFiles
from tests.kit.coordinator import Floor
from tests.kit.failures import held
from tests.kit.session import NOW

ELASTICSEARCH = Trouble(ServerName.ELASTICSEARCH, 5, "503")


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon that serves."""
    floor = Floor(monkeypatch)
    floor.session()
    floor.shown.clear()
    return floor


def test_what_is_shown(floor: Floor) -> None:
    """What holds the pipeline comes before what it waits for, and both before what it does."""
    expected: list[tuple[str, str | None]] = [("serving", None)]
    floor.signs.serving()
    floor.jobs.running = True
    floor.signs.serving()
    expected.append(("comparing database and index", None))
    floor.jobs.has_load = True
    floor.signs.serving()
    expected.append(("loading", None))
    floor.pipeline.trouble = ELASTICSEARCH
    floor.signs.serving()
    expected.append(("waiting for Elasticsearch", "503"))
    floor.jobs.held = held("an index is closed")
    floor.signs.serving()
    expected.append(("held", "an index is closed"))
    floor.jobs.guarded = ["films"]
    floor.signs.serving()
    expected.append(("held", "an index is closed"))
    floor.pipeline.braked = held("100 in a row")
    floor.signs.serving()
    expected.append(("braked", "100 in a row"))
    assert floor.shown == expected


def test_nothing_holds_a_standby(floor: Floor) -> None:
    """What its pipeline met before is another daemon's now."""
    floor.signs.active = False
    floor.pipeline.braked, floor.pipeline.trouble = held("100 in a row"), ELASTICSEARCH
    floor.signs.tell(DaemonState.STANDING_BY)
    assert floor.shown == [("standing by", None)]


def test_a_disk_that_is_full(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a person, but does not hold the pipeline."""
    monkeypatch.setattr(type(floor.keeper), "trouble", held("the disk is full"))
    floor.signs.serving()
    assert floor.shown == [("serving", None)]
    assert [one.reason for one in floor.matters] == ["the disk is full"]


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (
            lambda floor: setattr(floor.pipeline, "held", held("402 expired", "pay")),
            "402 expired: pay",
        ),
        (
            lambda floor: setattr(floor.pipeline, "braked", held("100 in a row")),
            "100 in a row: what `listener check` says",
        ),
        (
            lambda floor: setattr(floor.jobs, "held", held("no column")),
            "no column: what `listener check` says",
        ),
        (
            lambda floor: setattr(floor.jobs, "refusals", [held("2 are gone.", "--accept")]),
            "2 are gone.: --accept",
        ),
        (
            lambda floor: setattr(floor.jobs, "guarded", ["films"]),
            "films: deleting so many documents needs a person's word: `listener verify --repair "
            "--allow-deletes`, if the database is right",
        ),
        (
            lambda floor: setattr(floor.pipeline, "parked", 1),
            "1 document is parked: what `listener parked` says",
        ),
        (
            lambda floor: floor.keeper.roll_back(
                "films", "uuid-0", RolledBackFiles(hash="hash1", since=NOW)
            ),
            f"films: rolled back, and its files are not in force since {NOW:%Y-%m-%d %H:%M:%S%z}: "
            "put the files right, or `listener load films` loads them again",
        ),
        (
            lambda floor: setattr(floor.signs, "hindrances", [Fault("blocks.read", "PUT x")]),
            "blocks.read: PUT x",
        ),
    ],
)
@pytest.mark.parametrize("state", [DaemonState.SERVING, DaemonState.WAITING_FOR_POSTGRES])
def test_each_matter_is_told(
    floor: Floor, happens: Callable[[Floor], None], told: str, state: DaemonState
) -> None:
    """With what mends it, whatever else the daemon does meanwhile."""
    happens(floor)
    floor.signs.tell(state, None if state is DaemonState.SERVING else "refused")
    assert [f"{one.reason}: {one.mend}" for one in floor.matters] == [told]


def test_a_session_that_cannot_begin(floor: Floor) -> None:
    """As long as it is tried again, and while its first half succeeds, it is held."""
    floor.signs.tell(DaemonState.HELD, "triggers: run `listener triggers install`")
    for _ in range(3):
        floor.pause(15)
        floor.signs.serving()
        assert floor.shown[-1][0] == "held"
        assert len(floor.matters) == 1
    floor.pause(16)
    floor.signs.serving()
    assert floor.shown[-1][0] == "serving"
    assert not floor.matters


def test_one_of_several_indexes_is_held(floor: Floor) -> None:
    """The other one's success in between is none of its. Complete ticks are: all is indexed."""
    floor.pipeline.held = held("films is closed")
    floor.signs.serving()
    floor.pipeline.held = None
    floor.signs.serving()
    assert [state for state, _ in floor.shown] == ["held", "held"]
    floor.mailbox.ticked()  # it may have begun before
    floor.signs.serving()
    assert floor.matters
    floor.mailbox.ticked()
    floor.signs.serving()
    assert floor.shown[-1][0] == "serving"
    assert not floor.matters


def test_a_standby_of_another_daemon(floor: Floor) -> None:
    """What it would feed is not what the active one feeds. What held it before is over."""
    floor.pipeline.held, floor.pipeline.parked = held("films is closed"), 3
    floor.signs.serving()
    floor.signs.active = False
    floor.signs.tell(DaemonState.STANDING_BY)
    assert not floor.matters
    floor.peer_differs = Matter(reason="it feeds films", mend="another pipeline")
    floor.signs.tell(DaemonState.STANDING_BY)
    assert floor.matters == (floor.peer_differs,)
