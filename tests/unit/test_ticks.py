"""A tick: the order of its steps, what is not done after one failed, and when the watermark moves.

The order in `steps` is what rows were lost for: the proof before any row is read, the barrier
after the proof, the watermark when all of it is in Elasticsearch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
import pytest

from listener.capture.journal import RollbackAsked
from listener.coordinator.session import BeginAnew, SessionLost
from listener.indexing.outage import Trouble
from listener.observations import events
from listener.observations.events import ServerName
from listener.runtime.lifecycle import Stopped
from tests.kit.coordinator import FILM, OVERLAP, START, Asked, Floor, page
from tests.kit.session import NOW, WATERMARK

PROVES = ["clock read", "xid burnt", "proof asked", "barrier sent", "request taken"]
SAVES = ["wal noted", "state saved", "control saved"]
RETENTION = timedelta(hours=1)


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon whose tables all send their keys."""
    return Floor(monkeypatch)


@pytest.fixture
def polling(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """One of whose tables does not."""
    return Floor(monkeypatch, all_rows=False)


@pytest.fixture
def pruned(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Below which moments the journal was pruned."""
    found: list[datetime] = []
    monkeypatch.setattr(
        "listener.capture.journal.prune", lambda _connection, _schema, below: found.append(below)
    )
    return found


def told(floor: Floor, kind: type[events.Observation]) -> list[events.Observation]:
    """What was told of this kind."""
    return [one for one in floor.told if isinstance(one, kind)]


def test_the_steps_where_all_tables_send_their_keys(floor: Floor) -> None:
    """The barrier proves all that was notified; no row is read but what is ahead, once."""
    session = floor.session()
    assert floor.ticker.tick(session)
    assert floor.steps == [
        *PROVES,
        "looked ahead",
        "settled",
        "ticked",
        "advanced",
        "memory forgotten",
        *SAVES,
        "audited",
        "aliases looked at",
        "unproven retried",
        "journal pruned",
    ]
    assert floor.told == [events.WatermarkMoved(NOW, "barrier")]
    floor.steps.clear()
    assert floor.ticker.tick(session)
    assert floor.steps == [*PROVES, "settled", "ticked", "advanced", "memory forgotten", *SAVES]


def test_the_steps_where_a_table_is_polled(polling: Floor) -> None:
    """It is read after the proof, from the watermark on, and all of it is indexed before the
    watermark moves."""
    session = polling.session()
    polling.pages = [page((FILM, [("1",)]))]
    assert polling.ticker.tick(session)
    assert polling.steps[: len(PROVES) + 7] == [
        *PROVES,
        "swept silently",
        f"submitted {FILM.id}",
        "indexed",
        "looked ahead",
        "settled",
        "ticked",
        "advanced",
    ]
    assert polling.asked == [Asked(START, silent=True)]
    assert told(polling, events.WatermarkMoved) == [events.WatermarkMoved(NOW, "scan")]


def test_the_time_is_drawn_before_the_id(floor: Floor) -> None:
    """The watermark is the time of the first statement, whatever the later ones took."""
    session = floor.session()
    floor.then["xid burnt"] = lambda: floor.pause(7)
    floor.ticker.tick(session)
    assert floor.keeper.last_processed == NOW


# -- when the watermark may advance ----------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_kind_that_is_held(floor: Floor, when: str) -> None:
    """Nothing waits for it, so that the swap of another load does not; but what is left out of it
    keeps the watermark where it is. Also where it was held for a moment."""
    session = floor.session()

    def held() -> None:
        floor.pipeline.interruptions += 1
        floor.pipeline.whole = when == "meanwhile"

    if when == "before":
        held()
    else:
        floor.then["settled"] = held
    assert floor.ticker.tick(session)
    assert floor.did("ticked")
    assert not floor.did("advanced")
    floor.steps.clear()
    floor.pipeline.whole = True
    floor.pipeline.overflows += 1  # as when it is released
    assert floor.ticker.tick(session)
    assert floor.asked == [Asked(START, ahead=True)]
    assert floor.did("advanced")


def test_it_does_not_advance_before_the_proof(polling: Floor) -> None:
    """What is visible is indexed all the same. The same draw is asked for again, and once it is
    proven the watermark is its time, not that of the tick."""
    session = polling.session()
    polling.proven = False
    assert polling.ticker.tick(session)
    assert polling.asked == [Asked(START, silent=True, recent=OVERLAP)]
    assert not polling.did("advanced")
    assert not polling.did("looked ahead")
    assert [one for one in polling.steps if one in SAVES] == SAVES
    polling.steps.clear()
    polling.pause(1)
    polling.proven = True
    assert polling.ticker.tick(session)
    assert not polling.did("xid burnt")
    assert polling.asked[-1] == Asked(START, silent=True)
    assert polling.keeper.last_processed == NOW
    polling.steps.clear()
    polling.pause(1)
    polling.ticker.tick(session)
    assert polling.did("xid burnt")
    assert polling.keeper.last_processed == NOW + timedelta(seconds=2)


def test_no_draw_of_a_session_before_counts(floor: Floor) -> None:
    """Ids of transactions go back after a crash of the server."""
    session = floor.session()
    floor.proven = False
    floor.ticker.tick(session)
    floor.steps.clear()
    floor.ticker.tick(floor.new_session())
    assert floor.did("xid burnt")


def test_what_was_dropped_before_the_sweep(floor: Floor) -> None:
    """A sweep of everything finds it, and the watermark moves in the same tick."""
    session = floor.session()
    floor.pipeline.overflows += 1
    floor.ticker.tick(session)
    assert floor.asked == [Asked(START)]
    assert floor.did("advanced")
    floor.ticker.tick(session)
    assert floor.asked == [Asked(START)]


@pytest.mark.parametrize("step", ["barrier sent", "swept silently", "looked ahead", "ticked"])
def test_what_is_dropped_in_a_tick(polling: Floor, step: str) -> None:
    """Dropped before a sweep of everything began: that one finds it. Dropped later, where only
    silent tables were polled: the watermark waits for the next tick, which sweeps everything."""
    session = polling.session()
    polling.then[step] = lambda: setattr(polling.pipeline, "overflows", 1)
    polling.ticker.tick(session)
    swept = step == "barrier sent"
    assert [one.silent for one in polling.asked] == [not swept]
    assert polling.did("advanced") == swept
    if not swept:
        assert polling.keeper.last_processed == WATERMARK
        polling.pause(1)
        polling.ticker.tick(session)
        assert polling.asked[-1] == Asked(START)
        assert polling.keeper.last_processed == NOW


@pytest.mark.parametrize("proven", [True, False])
def test_what_is_dropped_after_a_sweep_of_everything_began(floor: Floor, proven: bool) -> None:
    """The sweep reads it, or it is stamped after the draw: proven, the watermark moves."""
    session = floor.session()
    floor.proven = proven
    floor.mailbox.want_sweep()
    floor.then["swept"] = lambda: setattr(floor.pipeline, "overflows", 1)
    floor.ticker.tick(session)
    assert floor.did("advanced") == proven
    floor.ticker.tick(session)
    assert [one.silent for one in floor.asked] == [False, False]


def test_a_sweep_of_new_rows_alone_covers_nothing(floor: Floor) -> None:
    """Unproven, a sweep reads only what is new. What was dropped then is read from the watermark on
    once the proof is there."""
    session = floor.session()
    floor.proven = False
    floor.mailbox.want_sweep()
    floor.then["swept"] = lambda: setattr(floor.pipeline, "overflows", 1)
    floor.ticker.tick(session)
    floor.proven = True
    floor.ticker.tick(session)
    assert floor.asked == [Asked(START, recent=OVERLAP), Asked(START)]
    assert floor.did("advanced")


def test_a_load_under_way(floor: Floor) -> None:
    """The watermark stands until it is complete; what is proven by then counts."""
    session = floor.session()
    floor.keeper.freeze("films")
    floor.ticker.tick(session)
    assert floor.keeper.last_processed == WATERMARK
    assert floor.told == [events.WatermarkWaits(NOW, "barrier")]
    floor.keeper.thaw("films")
    assert floor.keeper.last_processed == NOW


def test_a_sweep_starts_where_a_load_began(floor: Floor) -> None:
    """If that is before the watermark."""
    session = floor.session()
    floor.jobs.began = [WATERMARK - timedelta(minutes=1), NOW]
    floor.mailbox.want_sweep()
    floor.ticker.tick(session)
    assert floor.asked == [Asked(START - timedelta(minutes=1))]


def test_the_first_watermark(floor: Floor) -> None:
    """Without any, and without a load, there is no moment to sweep from."""
    session = floor.session(watermark=None)
    floor.mailbox.want_sweep()
    floor.ticker.tick(session)
    assert floor.asked == []
    assert floor.keeper.last_processed == NOW


# -- what asks for a sweep of everything -----------------------------------------------------------


def _wanted(floor: Floor) -> None:
    floor.mailbox.want_sweep()


def _unheard(floor: Floor) -> None:
    floor.unheard = True


def _unmapped(floor: Floor) -> None:
    floor.mailbox.put_off_unmapped(0, "a mapping file failed")


@pytest.mark.parametrize("cause", [_wanted, _unheard, _unmapped])
def test_what_asks_for_a_sweep(floor: Floor, cause: Callable[[Floor], None]) -> None:
    """A request, notifications that were not sent, ids that are unknown."""
    session = floor.session()
    cause(floor)
    floor.ticker.tick(session)
    assert floor.asked == [Asked(START)]
    assert floor.steps.index("swept") < floor.steps.index("advanced")
    assert floor.did("control wanted") == (cause is _wanted)
    assert 0.05 in floor.waits


def test_a_sweep_that_fails_asks_for_another_one(floor: Floor) -> None:
    """The request was taken already; nothing is settled, told or written down."""
    session = floor.session()
    floor.mailbox.want_sweep()
    floor.fails["swept"] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        floor.ticker.tick(session)
    assert floor.steps == [*PROVES, "control wanted"]
    assert floor.mailbox.take_sweep()


def test_a_session_that_ends_in_a_sweep_asks_for_another_one(floor: Floor) -> None:
    """As above, where Elasticsearch is waited for."""
    session = floor.session()
    floor.mailbox.want_sweep()
    floor.pages = [page((FILM, [("1",)]))]
    floor.pipeline.slow["indexed"] = 9
    floor.meanwhile = [floor.mailbox.lost]
    with pytest.raises(SessionLost):
        floor.ticker.tick(session)
    assert floor.mailbox.take_sweep()
    assert not floor.did("advanced")


# -- what ends a tick in the midst -----------------------------------------------------------------


def test_a_barrier_that_does_not_come_back(floor: Floor) -> None:
    """The LISTEN connection counts as dead after ten seconds: it is cut, and nothing is read."""
    session = floor.session()
    floor.comes_back = False
    before = floor.now
    with pytest.raises(SessionLost):
        floor.ticker.tick(session)
    assert floor.steps == [*PROVES[:-1], "connection cut"]
    assert floor.now == before + 10
    assert floor.shown == []


def _other_session(floor: Floor) -> None:
    floor.mailbox.listening(2)


def _no_session(floor: Floor) -> None:
    floor.mailbox.lost()


def _fenced(floor: Floor) -> None:
    floor.mailbox.fenced()


def _stop(floor: Floor) -> None:
    floor.stop.request()


def _crash(floor: Floor) -> None:
    floor.pipeline.crashed = "a defect"


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (_other_session, SessionLost),
        (_no_session, SessionLost),
        (_fenced, SessionLost),
        (_stop, Stopped),
        (_crash, Stopped),
    ],
)
@pytest.mark.parametrize("where", ["the barrier", "Elasticsearch"])
def test_what_happens_while_it_waits(
    floor: Floor, happens: Callable[[Floor], None], error: type[Exception], where: str
) -> None:
    """For the barrier, or for Elasticsearch: the tick is not complete, and nothing is saved. A
    connection that is over anyway is not cut."""
    session = floor.session()
    floor.meanwhile = [lambda: happens(floor)]
    if where == "the barrier":
        floor.comes_back = False
    else:
        floor.pipeline.slow["settled"] = 9
    with pytest.raises(error):
        floor.ticker.tick(session)
    assert not {"ticked", "advanced", "state saved", "connection cut"} & set(floor.steps)
    assert floor.did("request taken") == (where == "Elasticsearch")
    assert floor.steps.count("barrier sent") == 1


def test_a_fence_that_comes_with_the_barrier(floor: Floor) -> None:
    """Nothing is read, though the barrier is back."""
    session = floor.session()
    floor.then["barrier sent"] = floor.mailbox.fenced
    with pytest.raises(SessionLost):
        floor.ticker.tick(session)
    assert floor.steps == PROVES[:-1]


def test_the_heartbeat_goes_on_while_elasticsearch_is_away(floor: Floor) -> None:
    """A dead LISTEN connection is found however long that takes. The mark stays that of the first
    barrier."""
    session = floor.session()
    floor.pipeline.slow["settled"] = 3
    floor.ticker.tick(session)
    assert floor.steps.count("barrier sent") == 4
    assert floor.keeper.last_processed == NOW
    floor.pipeline.slow["settled"] = 3
    floor.meanwhile = [lambda: setattr(floor, "comes_back", False)]
    with pytest.raises(SessionLost):
        floor.ticker.tick(session)
    assert floor.did("connection cut")


def test_the_clock_of_the_server_steps_back(floor: Floor) -> None:
    """Loads end, the watermark goes back by as much and the overlap, and a new session begins
    before anything is drawn."""
    session = floor.session()
    floor.ticker.tick(session)
    floor.steps.clear()
    floor.step_of_clock = timedelta(seconds=-5)
    with pytest.raises(BeginAnew):
        floor.ticker.tick(session)
    assert floor.steps == ["clock read", "loads ended", "stepped back"]
    assert floor.keeper.last_processed == NOW - timedelta(seconds=5) - OVERLAP
    assert floor.told[-1] == events.ClockSteppedBack(5)
    assert floor.ticker.tick(floor.new_session())


def test_an_unproven_draw_and_a_clock_that_steps_back(floor: Floor) -> None:
    """The draw is of a time that comes once more: it does not count."""
    session = floor.session()
    floor.proven = False
    floor.ticker.tick(session)
    floor.step_of_clock = timedelta(seconds=-5)
    with pytest.raises(BeginAnew):
        floor.ticker.tick(session)
    floor.proven = True
    floor.ticker.tick(floor.new_session())
    assert floor.keeper.last_processed == NOW - timedelta(seconds=5)


# -- what follows ----------------------------------------------------------------------------------


def test_an_audit_that_failed(floor: Floor) -> None:
    """A new session must begin; rows of the journal stay."""
    session = floor.session()
    floor.auditor.altered = "a trigger is gone"
    assert not floor.ticker.tick(session)
    assert floor.steps[-1] == "audited"
    assert floor.told[-1] == events.AuditFailed("a trigger is gone")


def test_another_generation_in_the_control_document(floor: Floor) -> None:
    """The session is over: the state is saved before, for the watermark is true."""
    session = floor.session()
    floor.generation_is_ours = False
    with pytest.raises(SessionLost):
        floor.ticker.tick(session)
    assert floor.mailbox.is_fenced
    assert floor.did("state saved")


def test_the_journal_is_pruned_behind_the_watermark(floor: Floor, pruned: list[datetime]) -> None:
    """Once a minute, and as far as a load under way lets the watermark come."""
    session = floor.session()
    floor.keeper.freeze("films")
    floor.ticker.tick(session)
    floor.ticker.tick(session)
    assert pruned == [WATERMARK - RETENTION]
    floor.keeper.thaw("films")
    floor.pause(61)
    floor.ticker.tick(session)
    assert pruned[1:] == [NOW + timedelta(seconds=61) - RETENTION]


def test_nothing_is_pruned_without_a_watermark(floor: Floor, pruned: list[datetime]) -> None:
    """No moment is proven yet up to which rows were read."""
    session = floor.session(watermark=None)
    floor.proven = False
    floor.ticker.tick(session)
    assert pruned == []


def test_the_holder_of_the_watermark_is_named(floor: Floor) -> None:
    """After two seconds of waiting, and once a minute."""
    session = floor.session()
    floor.proven = False
    for _ in range(4):
        floor.ticker.tick(session)
        floor.pause(1)
    assert told(floor, events.WatermarkHeld) == [
        events.WatermarkHeld("transaction app, process 7", 3)
    ]
    floor.pause(60)
    floor.ticker.tick(session)
    assert len(told(floor, events.WatermarkHeld)) == 2


def test_a_tick_that_is_waited_for(floor: Floor) -> None:
    """It is complete when all before it is in Elasticsearch, proven or not."""
    session = floor.session()
    floor.proven = False
    floor.ticker.tick(session)
    assert floor.steps.index("settled") < floor.steps.index("ticked")


def test_what_comes_back_is_audited_at_once(floor: Floor) -> None:
    """Elasticsearch was in trouble: it may be an older one."""
    session = floor.session()
    floor.ticker.tick(session)
    floor.steps.clear()
    floor.pipeline.trouble = Trouble(ServerName.ELASTICSEARCH, 1, "503")
    floor.ticker.tick(session)
    assert not floor.did("audited")
    floor.pipeline.trouble = None
    floor.ticker.tick(session)
    assert floor.did("audited")


# -- going back ------------------------------------------------------------------------------------

ASKED = RollbackAsked("films", "films-1", NOW)


def test_a_rollback_that_a_poll_finds(polling: Floor) -> None:
    """It waits for a complete tick that began later: each change that was made before the request
    is in the former index then. The watermark moves after it."""
    session = polling.session()
    polling.pages = [page(rollbacks=(ASKED,))]
    assert polling.ticker.tick(session)
    assert not polling.did("rolled back")
    polling.steps.clear()
    polling.pause(1)
    assert polling.ticker.tick(session)
    order = ["barrier sent", "settled", "ticked", "rolled back", "advanced", "state saved"]
    assert [one for one in polling.steps if one in order] == order
    polling.steps.clear()
    assert polling.ticker.tick(session)
    assert not polling.did("rolled back")


def test_no_rollback_while_changes_are_dropped(polling: Floor) -> None:
    """The former index may lack them: it is gone back to after the sweep that reads them."""
    session = polling.session()
    polling.jobs.rollbacks.ask(ASKED)
    polling.then["swept silently"] = lambda: setattr(polling.pipeline, "overflows", 1)
    assert polling.ticker.tick(session)
    assert not polling.did("rolled back")
    polling.pause(1)
    assert polling.ticker.tick(session)
    assert polling.asked[-1] == Asked(START)
    assert polling.did("rolled back")


def test_no_rollback_where_the_session_ends(polling: Floor) -> None:
    """Amid the tick: what was notified may be lost. The request is not."""
    session = polling.session()
    polling.jobs.rollbacks.ask(ASKED)
    polling.fails["settled"] = SessionLost("the connection is lost")
    with pytest.raises(SessionLost):
        polling.ticker.tick(session)
    assert not polling.did("rolled back")
    assert polling.polls.rollbacks_due == {0: ASKED}
