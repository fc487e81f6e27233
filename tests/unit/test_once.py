"""`--once`: the order of its steps, and when the watermark is saved."""

from __future__ import annotations

from collections.abc import Callable

import elastic_transport
import psycopg
import pytest

from listener.coordinator.retry import GaveUp
from listener.indexing.outage import Trouble
from listener.observations import events
from listener.observations.events import ServerName
from tests.kit.coordinator import FILM, START, Asked, Floor, page
from tests.kit.session import NOW, WATERMARK

STEPS = [
    "loaded here",
    "clock read",
    "xid burnt",
    "proof asked",
    "barrier sent",
    "swept",
    "settled",
    "unproven retried",
    "indexed",
    "aliases swapped",
    "parked noted",
    "advanced",
    "wal noted",
]


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A run in which a table is polled. It gives up after ten seconds."""
    floor = Floor(monkeypatch, all_rows=False, give_up_after=10)
    floor.mailbox.listening(1)
    return floor


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """One in which all tables send their keys."""
    floor = Floor(monkeypatch, give_up_after=10)
    floor.mailbox.listening(1)
    return floor


def last(floor: Floor) -> list[str]:
    """The steps of the last round, after its session had begun."""
    begun = len(floor.steps) - floor.steps[::-1].index("control saved at once")
    return floor.steps[begun:]


def test_the_steps(floor: Floor) -> None:
    """Loads first; the proof before the sweep; the watermark when all of it is indexed, swapped in
    and noted. It waits for no transaction, and for no interval."""
    floor.once.run()
    assert last(floor) == STEPS
    assert floor.asked == [Asked(START, ahead=True), Asked(START)]
    assert floor.keeper.last_processed == NOW
    assert floor.told[-1] == events.WatermarkMoved(NOW, "scan")
    assert floor.waits == []


def test_an_unproven_draw(floor: Floor) -> None:
    """An open transaction is not waited for: all that is visible is indexed, the holder is named,
    and the watermark stays. The run is done all the same."""
    floor.proven = False
    floor.pipeline.slow["settled"] = 5
    floor.once.run()
    assert last(floor) == ["holder asked" if one == "advanced" else one for one in STEPS]
    assert floor.keeper.last_processed == WATERMARK
    assert floor.told[-1] == events.WatermarkHeld("transaction app, process 7", 5.0)


def test_the_proof_is_asked_once(floor: Floor) -> None:
    """Before anything is read: what ends later may have committed behind the sweep."""
    floor.proven = False
    floor.then["barrier sent"] = lambda: setattr(floor, "proven", True)
    floor.once.run()
    assert floor.proven
    assert floor.keeper.last_processed == WATERMARK


def test_a_load_whose_start_is_not_proven(floor: Floor, notified: Floor) -> None:
    """Where a table is polled it may lack what was committed late, and the watermark stays. Where
    all tables notify that is heard of."""
    for one in (floor, notified):
        one.jobs.based = False
        one.once.run()
        assert one.did("advanced") == (one is notified)
        assert not [two for two in one.told if isinstance(two, events.WatermarkHeld)]


@pytest.mark.parametrize(
    ("step", "advances"),
    [
        ("loaded here", True),
        ("barrier sent", True),
        ("swept", False),
        ("settled", False),
        ("parked noted", False),
    ],
)
def test_what_is_dropped(floor: Floor, step: str, advances: bool) -> None:
    """Before the sweep of everything began, that one reads it. Later nothing does: the watermark
    stays."""

    def drop() -> None:
        floor.pipeline.overflows += 1

    if step == "swept":  # the second one: the first belongs to the session
        floor.then["loaded here"] = lambda: floor.then.update(swept=drop)
    else:
        floor.then[step] = drop
    floor.once.run()
    assert floor.did("advanced") == advances


def test_nothing_to_sweep_from(floor: Floor) -> None:
    """The first run: a load brings all, and the draw is its watermark."""
    floor.session(watermark=None)
    floor.once.run()
    assert floor.asked == []
    assert floor.keeper.last_processed == NOW


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails(floor: Floor, step: str) -> None:
    """It is waited for, and all is done anew in another session. The watermark does not move
    before."""
    floor.fails[step] = psycopg.OperationalError("gone")

    def mend() -> None:
        moved = step == STEPS[-1]
        assert floor.keeper.last_processed == (NOW if moved else WATERMARK)
        floor.fails.clear()

    floor.meanwhile = [mend]
    floor.once.run()
    assert len(floor.waits) == 1
    assert floor.steps.count("generation raised") == 2
    assert last(floor) == STEPS


def _fenced(floor: Floor) -> None:
    floor.mailbox.fenced()


def _other_session(floor: Floor) -> None:
    floor.mailbox.listening(2)


@pytest.mark.parametrize("happens", [_fenced, _other_session])
@pytest.mark.parametrize("step", ["settled", "indexed", "parked noted"])
def test_a_session_that_ends(floor: Floor, step: str, happens: Callable[[Floor], None]) -> None:
    """In each wait: the next session does all of it anew."""
    floor.pipeline.slow[step] = 1
    floor.meanwhile = [lambda: happens(floor)]
    floor.once.run()
    assert floor.steps.count("generation raised") == 2
    assert floor.steps.count("advanced") == 1
    assert last(floor) == STEPS


def test_a_barrier_that_does_not_come_back(floor: Floor) -> None:
    """The connection is cut, and a new session begins, also on the same LISTEN connection."""
    floor.comes_back = False
    floor.then["connection cut"] = lambda: setattr(floor, "comes_back", True)
    floor.once.run()
    assert floor.steps.count("generation raised") == 2
    assert last(floor) == STEPS


@pytest.mark.parametrize("step", ["settled", "indexed", "parked noted"])
def test_a_stop(floor: Floor, step: str) -> None:
    """In each wait: the run ends, and the watermark stays."""
    floor.pipeline.slow[step] = 1
    floor.meanwhile = [floor.stop.request]
    floor.once.run()
    assert not floor.did("advanced")
    assert floor.keeper.last_processed == WATERMARK


def test_a_stop_before_it_began(floor: Floor) -> None:
    """Nothing is done."""
    floor.stop.request()
    floor.once.run()
    assert floor.steps == []


def test_it_gives_up(floor: Floor) -> None:
    """After its patience, with the last reason."""
    floor.fails["generation raised"] = elastic_transport.ConnectionError("refused")
    with pytest.raises(GaveUp, match="Elasticsearch"):
        floor.once.run()
    assert sum(floor.waits) > 7
    assert not floor.did("advanced")


def test_what_it_swept_is_indexed(floor: Floor) -> None:
    """Before the aliases of loads are swapped."""
    floor.then["loaded here"] = lambda: floor.pages.append(page((FILM, [("1",)])))
    floor.once.run()
    steps = last(floor)
    swept = ["swept", f"submitted {FILM.id}", "indexed", "settled"]
    assert steps[steps.index("swept") :][:4] == swept


def test_a_kind_that_is_held(floor: Floor) -> None:
    """It is waited for, and all is swept once more when it works again."""

    def held() -> None:
        floor.pipeline.interruptions += 1
        floor.pipeline.whole = False

    floor.then["settled"] = held
    floor.once.run()
    steps = last(floor)
    assert steps[: steps.index("settled") + 1] == STEPS[: STEPS.index("settled") + 1]
    assert steps[steps.index("settled") + 1] == "whole again"
    assert floor.asked[1:] == [Asked(START), Asked(START, ahead=True)]
    assert steps.count("advanced") == 1


def test_a_kind_that_stays_held(floor: Floor) -> None:
    """It gives up, and nothing is advanced."""

    def held() -> None:
        floor.pipeline.whole = False
        floor.pipeline.trouble = Trouble(ServerName.POSTGRES, 11, "no such column")

    floor.then["settled"] = held
    floor.pipeline.slow["whole again"] = 1000
    with pytest.raises(GaveUp, match="no such column"):
        floor.once.run()
    assert not floor.did("advanced")
