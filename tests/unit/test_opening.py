"""How a session begins: the order of its steps, and what is not done after one has failed."""

from __future__ import annotations

from datetime import timedelta

import elastic_transport
import pytest

from listener.coordinator.session import SessionLost
from listener.documents.topology import Reassemble
from listener.documents.upkeep import TriggersWrong
from listener.indexing.gate import FencedOut
from listener.observations import events
from listener.resync.needs import Need
from listener.state.model import Load
from listener.triggers import Busy
from tests.kit.coordinator import FILM, OVERLAP, START, Asked, Floor, page
from tests.kit.session import WATERMARK, Failed, film_kind, unfinished

STEPS = [
    "loads ended",
    "triggers ensured",
    "planned",
    "loads forgotten",
    "reader renewed",
    "generation raised",
    "parked read",
    "fence forgotten",
    "resumed",
    "nonce renewed",
    "loads begun",
    "clock read",
    "request taken",
    "swept",
    "control saved at once",
]
"""Each was put where it stands by rows that were lost."""


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon whose first session begins: it stands by until then."""
    floor = Floor(monkeypatch)
    floor.session()
    floor.signs.active = False
    return floor


def begin(floor: Floor) -> None:
    """Begin a session on the LISTEN connection that there is."""
    floor.opening.begin(floor.new_session())


def plan(resume: Load | None = None) -> Need:
    """A load that is due."""
    return Need(film_kind(), "a new mapping", resume)


def test_the_steps(floor: Floor) -> None:
    """Triggers before the plan, so that no change of before goes unheard. The generation before
    anything is written, and loads before the sweep, which starts where they do."""
    begin(floor)
    assert floor.steps == STEPS
    assert floor.asked == [Asked(START, ahead=True)]
    assert floor.told == [events.CaughtUp(0, 0.0, WATERMARK)]


def test_a_later_session(floor: Floor) -> None:
    """The pipeline works already: it has only one pause to take back."""
    begin(floor)
    floor.steps.clear()
    begin(floor)
    assert floor.steps == [one for one in STEPS if one != "resumed"]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails(floor: Floor, step: str) -> None:
    """No later one is made: above all nothing is sent without a generation of this session, and
    it is not told as caught up."""
    floor.fails[step] = Failed(step)
    with pytest.raises(Failed):
        begin(floor)
    assert floor.steps == STEPS[: STEPS.index(step)]
    assert bool(floor.told) == (step == "control saved at once")
    assert floor.signs.active == (STEPS.index(step) > STEPS.index("fence forgotten"))


def test_a_session_after_one_that_failed(floor: Floor) -> None:
    """Nothing of what that one had done is taken for done."""
    floor.fails["nonce renewed"] = Failed("a step")
    with pytest.raises(Failed):
        begin(floor)
    floor.fails.clear()
    floor.steps.clear()
    begin(floor)
    assert floor.steps == [one for one in STEPS if one != "resumed"]


def test_refusals_of_the_generation_before(floor: Floor) -> None:
    """They are forgotten when the new one is in force; what is refused later ends the session."""
    floor.then["generation raised"] = floor.mailbox.fenced
    begin(floor)
    assert not floor.mailbox.is_fenced
    floor.then["nonce renewed"] = floor.mailbox.fenced
    begin(floor)
    assert floor.mailbox.is_fenced


def test_the_sweep_starts_where_a_load_began(floor: Floor) -> None:
    """Loads begin before it: what they cannot see must be swept."""
    began = WATERMARK - timedelta(hours=1)
    floor.plans = [plan(unfinished(started_at=began))]
    begin(floor)
    assert floor.asked == [Asked(began - OVERLAP, ahead=True)]


def test_loads_that_go_on(floor: Floor) -> None:
    """Their indexes are spared when the generation is raised."""
    floor.plans = [plan(), plan(unfinished())]
    begin(floor)
    assert floor.fence.resumed == {"films-2"}


def test_a_request_that_comes_during_the_sweep(floor: Floor) -> None:
    """It is not covered by it."""
    floor.mailbox.want_sweep()
    floor.then["swept"] = floor.mailbox.want_sweep
    begin(floor)
    assert floor.mailbox.take_sweep()
    begin(floor)
    assert not floor.mailbox.take_sweep()


def test_nothing_to_catch_up_from(floor: Floor) -> None:
    """Neither a watermark nor a load: a request for a sweep stays."""
    floor.session(watermark=None)
    floor.mailbox.want_sweep()
    begin(floor)
    assert floor.asked == []
    assert floor.steps[-1] == "control saved at once"
    assert floor.mailbox.take_sweep()


def test_what_it_caught_up_with(floor: Floor) -> None:
    """All of it is indexed before that is told, and before a standby may read so."""
    floor.pages = [page((FILM, [("1",), ("2",)])), page((FILM, [("3",)]))]
    begin(floor)
    assert floor.steps[-5:] == [f"submitted {FILM.id}"] * 2 + ["indexed"] * 2 + [
        "control saved at once"
    ]
    assert isinstance(floor.told[-1], events.CaughtUp)
    assert floor.told[-1].rows == 3


@pytest.mark.parametrize("error", [TriggersWrong("install them"), Busy("another one installs")])
def test_wrong_triggers_are_distrusted(floor: Floor, error: Exception) -> None:
    """Changes may be lost until they are mended: that is written down."""
    floor.fails["triggers ensured"] = error
    with pytest.raises(type(error)):
        begin(floor)
    assert floor.steps == ["loads ended", "triggers distrusted"]


def test_other_types_are_no_distrust(floor: Floor) -> None:
    """All stages are built anew for them."""
    floor.fails["triggers ensured"] = Reassemble("other types")
    with pytest.raises(Reassemble):
        begin(floor)
    assert floor.steps == ["loads ended"]


# -- before it -------------------------------------------------------------------------------------


def test_a_connection_after_a_fence(floor: Floor) -> None:
    """The other generation is told first. Then the refusals are forgotten, or no wait of the
    session would last."""
    floor.mailbox.fenced()
    floor.opening.connect()
    assert floor.steps == ["generation looked at", "fence forgotten", "connected"]
    assert not floor.mailbox.is_fenced
    floor.steps.clear()
    floor.opening.connect()
    assert floor.steps == ["connected"]


@pytest.mark.parametrize(
    "error", [FencedOut("generation 8"), elastic_transport.ConnectionError("refused")], ids=repr
)
def test_a_fence_that_cannot_be_told(floor: Floor, error: Exception) -> None:
    """It was told, or Elasticsearch is away: the session begins all the same."""
    floor.mailbox.fenced()
    floor.fails["generation looked at"] = error
    floor.opening.connect()
    assert floor.steps == ["fence forgotten", "connected"]


def test_a_session_that_ends_while_it_catches_up(floor: Floor) -> None:
    """It is not told as caught up, and what was swept is not taken for it."""
    session = floor.session()
    floor.pages = [page((FILM, [("1",)]))]
    floor.pipeline.slow["indexed"] = 9
    floor.meanwhile = [floor.mailbox.lost]
    with pytest.raises(SessionLost):
        floor.opening.begin(session)
    assert floor.steps[-2:] == ["swept", f"submitted {FILM.id}"]
    assert floor.told == []
