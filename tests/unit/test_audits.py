"""Audits: when one is due, and what follows from what it finds."""

from __future__ import annotations

import elastic_transport
import psycopg
import pytest

from listener.indexing.outage import Trouble
from listener.observations import events
from listener.observations.events import ServerName
from listener.search.aliases import Astray
from listener.search.errors import Unusable
from listener.search.index_settings import Fault
from tests.kit.coordinator import Floor

LOOK = ["audited", "aliases looked at"]
AWAY = elastic_transport.ConnectionError("refused")
TROUBLE = Trouble(ServerName.ELASTICSEARCH, 5, "503")


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon that audits once a minute."""
    return Floor(monkeypatch)


def failed(floor: Floor) -> bool:
    """Look where that is due."""
    floor.steps.clear()
    return floor.audits.failed(floor.connection())


def test_an_audit_is_due_at_first_and_each_minute(floor: Floor) -> None:
    """Where all is well, what was parked without a proof is tried again."""
    assert not failed(floor)
    assert floor.steps == [*LOOK, "unproven retried"]
    floor.pause(60)
    assert not failed(floor)
    assert floor.steps == []
    floor.pause(1)
    assert not failed(floor)
    assert floor.steps == [*LOOK, "unproven retried"]
    assert floor.told == []


def test_an_audit_that_failed(floor: Floor) -> None:
    """It is told, and nothing else is looked at or tried."""
    floor.auditor.altered = "a trigger is gone"
    assert failed(floor)
    assert floor.steps == ["audited"]
    assert floor.told == [events.AuditFailed("a trigger is gone")]


def test_kinds_whose_index_is_replaced_anyway(floor: Floor) -> None:
    """The auditor need not look at the index in use of them."""
    floor.fence.loads = {1: "actors-2"}
    failed(floor)
    assert floor.auditor.loading == [1]


@pytest.mark.parametrize(
    ("scattered", "step"), [(False, "triggers distrusted"), (True, "index distrusted")]
)
def test_writes_that_went_elsewhere(floor: Floor, scattered: bool, step: str) -> None:
    """What was accepted there is missing here, so all is compared. Where it is on shards on which
    no write by id finds it, only a new index helps. Both are written down before that is told."""
    floor.fence.found = 1, Astray("an alias leads elsewhere", scattered)
    assert failed(floor)
    assert floor.steps == [*LOOK, step]
    assert floor.auditor.distrusted == ([1] if scattered else [])
    assert floor.told == [events.AuditFailed("an alias leads elsewhere")]


def test_writes_to_a_former_index_that_went_elsewhere(floor: Floor) -> None:
    """It is given up alone: the one in use is not compared for it. Nothing is looked at of it where
    that one's writes went elsewhere."""
    floor.fence.former_found = 0, Astray("films.f3 leads elsewhere", scattered=True)
    assert not failed(floor)
    assert floor.auditor.formers == [(0, "films.f3 leads elsewhere")]
    assert floor.steps == [*LOOK, "unproven retried"]
    floor.pause(61)
    floor.fence.found = 1, Astray("an alias leads elsewhere", scattered=False)
    assert failed(floor)
    assert len(floor.auditor.formers) == 1


def test_what_hinders_cannot_be_read(floor: Floor) -> None:
    """As where an index is blocked: the audit goes on. What was told before is not told again."""
    floor.auditor.hindering = [Fault("writes wait", "unset it")]
    for unreadable in (None, AWAY, None):
        floor.auditor.unreadable = unreadable
        assert not failed(floor)
        floor.pause(61)
    assert len(floor.told) == 1


def test_what_hinders_is_told_once(floor: Floor) -> None:
    """And once more where it has come back."""
    one, other = Fault("no search can read it", "unset it"), Fault("writes wait", "unset it")
    for found in ([one], [one, other], [other], [one, other]):
        floor.auditor.hindering = found
        assert not failed(floor)
        floor.pause(61)
    told = [each.what for each in floor.told if isinstance(each, events.CheckWarning)]
    assert told == [one.what, other.what, one.what]


# -- while Elasticsearch is away -------------------------------------------------------------------


@pytest.mark.parametrize("step", LOOK)
def test_loads_are_not_ended_for_an_outage(floor: Floor, step: str) -> None:
    """A new session would end those that wait for Elasticsearch. The audit is put off, and told."""
    floor.jobs.running = True
    floor.fails[step] = AWAY
    assert not failed(floor)
    assert "unproven retried" not in floor.steps
    [told] = floor.told
    assert isinstance(told, events.Waiting)
    assert (told.server, told.seconds) == ("Elasticsearch", 60)
    floor.fails.clear()
    floor.pause(61)
    assert not failed(floor)
    assert floor.steps[:2] == LOOK


def test_an_outage_that_is_told_already(floor: Floor) -> None:
    """The audit follows at once when it is over."""
    floor.pipeline.trouble = TROUBLE
    floor.fails["audited"] = AWAY
    assert not failed(floor)
    assert floor.told == []
    floor.fails.clear()
    assert not failed(floor)
    assert floor.steps == []
    floor.pipeline.trouble = None
    assert not failed(floor)
    assert floor.steps[:2] == LOOK
    assert not failed(floor)
    assert floor.steps == []


@pytest.mark.parametrize(
    ("error", "running"),
    [(AWAY, False), (Unusable("make it writable"), True), (psycopg.OperationalError("gone"), True)],
    ids=repr,
)
def test_what_is_not_put_off(floor: Floor, error: Exception, running: bool) -> None:
    """An outage that nothing waits for; what a person must mend; another server."""
    floor.jobs.running = running
    floor.fails["audited"] = error
    with pytest.raises(type(error)):
        failed(floor)
    assert floor.told == []


def test_a_doubt(floor: Floor) -> None:
    """Elasticsearch was in trouble: what comes back may be an older one, so the audit does not wait
    for its minute. It waits for the end of the trouble."""
    failed(floor)
    floor.audits.doubt()
    floor.pipeline.trouble = TROUBLE
    failed(floor)
    assert floor.steps == []
    floor.pipeline.trouble = None
    floor.auditor.altered = "shards lack what they had"
    assert failed(floor)


# -- while documents cannot be read ----------------------------------------------------------------


def test_a_look_at_the_database_alone(floor: Floor) -> None:
    """As often as an audit, and instead of it."""
    assert not floor.audits.look_meanwhile(floor.connection())
    assert not floor.audits.look_meanwhile(floor.connection())
    assert floor.steps == ["database audited"]
    assert not failed(floor)
    assert floor.steps == []
    floor.pause(61)
    floor.auditor.altered = "a column has another type"
    assert floor.audits.look_meanwhile(floor.connection())
    assert floor.told == [events.AuditFailed("a column has another type")]


# -- while writes are held -------------------------------------------------------------------------


def test_a_look_at_the_indexes_alone(floor: Floor) -> None:
    """As often as an audit, and instead of it; but for those that are replaced anyway."""
    floor.fence.loads = {1: "actors-2"}
    assert not floor.audits.look_at_indexes()
    assert not floor.audits.look_at_indexes()
    assert floor.steps == ["indexes audited"]
    assert floor.auditor.loading == [1]
    floor.pause(61)
    floor.fails["indexes audited"] = AWAY
    assert not floor.audits.look_at_indexes()
    floor.fails.clear()
    floor.pause(61)
    floor.auditor.altered = "settings were altered"
    assert floor.audits.look_at_indexes()
    assert floor.told == [events.AuditFailed("settings were altered")]
