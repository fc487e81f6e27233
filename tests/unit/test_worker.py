"""The worker: take ids, draw, read, flush, send; and what is not done after a failure.

The batcher, the reader, the ledger and the gate are the real ones.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from listener import search
from listener.changes import Key, Route
from listener.documents.reading import Unflushed
from listener.failures import Failure
from listener.indexing.answers import Answers
from listener.indexing.batch import Batch, Brake
from listener.indexing.batcher import Batcher
from listener.indexing.gate import FencedOut
from listener.indexing.id_sources import KeysTask
from listener.indexing.ledger import Lane, Wait
from listener.indexing.outage import KindOutages, Outage
from listener.indexing.parking import ToPark
from listener.indexing.queue import Job
from listener.indexing.senders import IN_FLIGHT
from listener.indexing.worker import Worker
from listener.observations.events import Held, Recovered, ServerName, Waiting
from listener.runtime.backoff import Backoff
from listener.search.verdicts import Outcome, Verdict
from listener.search.versions import generation_of
from tests.kit.indexing import LANE, Noted
from tests.kit.reading import Reading
from tests.kit.threads import Beside, Failures, happens

NO_ANSWER = Verdict(Outcome.RETRY, "gone")
A, B = ("a",), ("b",)


class Setting(Reading):
    """A worker of one document kind. `step` takes one of its steps in the thread of the test."""

    def __init__(self, parked: int = 10) -> None:
        super().__init__(parked=parked)
        self.supervisor, self.life = Noted(), Failures()
        fence: Any = SimpleNamespace(renew=self._renew)
        self.worker = Worker(
            ledger=self.ledger,
            gate=self.gate,
            batcher=Batcher(
                ledger=self.ledger,
                gate=self.gate,
                size=self.size,
                sources=self.sources,
                outages=self.outages,
                supervisor=self.supervisor,
            ),
            reader=self.reader,
            senders=self.senders,
            outages=self.outages,
            answers=Answers(self.gate, self.ledger, fence, self.outages, self.supervisor),
            life=self.life,
        )
        self.ledger.resume()

    def _renew(self) -> None:
        """As the fence does."""
        with self.ledger.quiet():
            self.step("fence renewed")
            self.gate.begin(self.gate.generation + 1)
            self.gate.open()

    def take_step(self) -> None:
        """One piece of work, which there is."""
        assert Beside(self.worker._step).result()

    def look(self) -> object:
        """What the worker finds to do."""
        return self.worker.look()

    @property
    def told(self) -> list[type]:
        """Of outages."""
        return [type(one) for one in self.seen if isinstance(one, Held | Waiting | Recovered)]


def test_the_order_of_each_batch() -> None:
    """An id is in flight before its version is drawn; the version is drawn before the read; and
    what was read is on disk before it is sent."""
    setting = Setting()
    setting.unflushed = Unflushed("0/10")
    draw, flying = setting.gate.draw, list[set[Key]]()

    def noted_draw() -> int:
        setting.steps.append("version drawn")
        flying.append(set(setting.work.flying))
        return draw()

    cast(Any, setting.gate).draw = noted_draw
    setting.note("a", "b")
    setting.take_step()
    assert flying == [{A, B}]
    assert [one for one in setting.steps if "parked" not in one] == [
        *("connected", "one_snapshot", "version drawn", "read", "flushed", "flush", "sent"),
    ]
    assert [list(one.items) for one in setting.requests] == [[A, B]]


def test_a_change_during_the_read_waits_for_the_next_version() -> None:
    """The read may have been before it."""
    setting = Setting()
    setting.note("a")
    setting.meanwhile["read"] = lambda: setting.note("a")
    setting.take_step()
    assert setting.waiting == {A}
    mark = setting.ledger.mark()
    setting.answer(setting.requests[0])
    assert not setting.ledger.wait_settled(mark, 0)
    del setting.meanwhile["read"]
    setting.take_step()
    first, second = setting.requests
    assert second.version > first.version
    setting.answer(second)
    assert setting.ledger.wait_settled(mark, 0)


def test_what_is_read_counts_as_being_read_until_it_is_sent() -> None:
    """So that a new generation waits for it, and for its answer."""
    setting = Setting()
    setting.note("a")
    quiet: list[Beside[str]] = []

    def be_quiet() -> str:
        with setting.ledger.quiet():
            return "quiet"

    def begin() -> None:
        quiet.append(Beside(be_quiet))
        assert quiet[0].waits

    setting.meanwhile["read"] = begin
    setting.take_step()
    assert quiet[0].waits
    setting.answer(setting.requests[0])
    assert quiet[0].result() == "quiet"


# -- reading fails ---------------------------------------------------------------------------------

FAILURES = {
    "the connection": psycopg.OperationalError("gone"),
    "a query": psycopg.errors.UndefinedTable("no such table"),
    "the network": ConnectionResetError("reset"),
    "what was read": ValueError("no JSON"),
}


@pytest.mark.parametrize(
    ("step", "failure"),
    [*(("read", one) for one in FAILURES), ("flush", "the connection"), ("flushed", "the network")],
)
def test_a_failed_read_gives_everything_back(step: str, failure: str) -> None:
    """Nothing is sent, and all of it is read again, under a newer version, on a new connection."""
    setting = Setting()
    setting.unflushed = Unflushed("0/10")
    setting.note("a", "b")
    mark = setting.ledger.mark()
    setting.fails[step] = FAILURES[failure]
    setting.take_step()
    assert setting.requests == []
    assert not setting.work.flying
    assert setting.waiting == {A, B}
    assert setting.connections == 0
    assert setting.told == [Waiting if failure in ("the connection", "the network") else Held]
    drawn = setting.gate.draw()
    setting.take_step()
    assert setting.told[1:] == [Recovered]
    [request] = setting.requests
    assert request.version > drawn
    setting.answer(request)
    assert setting.ledger.wait_settled(mark, 0)


@pytest.mark.parametrize("step", ["connected", "one_snapshot", "parked read", "parked written"])
def test_nothing_is_taken_without_a_connection(step: str) -> None:
    """And none stays open that is not wholly made."""
    setting = Setting()
    setting.note("a")
    setting.fails[step] = psycopg.OperationalError("gone")
    setting.take_step()
    assert setting.steps[-1] in (step, "closed")
    assert setting.waiting == {A}
    assert not setting.work.flying
    assert setting.told == [Waiting]


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), LookupError("odd")])
def test_a_failed_mapping_gives_everything_back(error: Exception) -> None:
    """Ids that were taken before it, too; its keys are looked up again."""
    setting = Setting()
    failures = [error]

    class Mapping(KeysTask):
        def next_page(self, connection: Any, most: int) -> tuple[list[Key], bool]:
            if failures:
                raise failures.pop()
            return super().next_page(connection, most)

    setting.note("a")
    job = Job()
    job.add()
    job.seal()
    setting.ledger.put(Mapping(0, [B], job))
    setting.take_step()
    assert setting.requests == []
    assert not setting.work.flying
    assert setting.waiting == {A}
    setting.take_step()
    if isinstance(error, LookupError):  # it does not pass: a sweep brings the page again
        assert [list(one.items) for one in setting.requests] == [[A]]
        assert (job.dropped, setting.ledger.overflows) == (True, 1)
    else:
        assert [list(one.items) for one in setting.requests] == [[A, B]]


def test_a_mapping_that_fails_is_what_is_tried_again() -> None:
    """Another document says nothing of it. Whoever waited for its keys does so no longer."""
    setting = Setting()
    failures: list[Exception] = [psycopg.errors.UndefinedTable("no such table")] * 2

    def mapped_page(*_: object) -> tuple[list[Key], None]:
        if failures:
            raise failures.pop()
        return [B], None

    setting.source.mapped_page = mapped_page
    setting.source.mapping_fault = lambda *_: None
    setting.ledger.add("m", [("genre",)], (Route(0, mapped=True),))
    mark = setting.ledger.mark()
    setting.take_step()
    assert setting.ledger.wait_settled(mark, 0)
    assert not setting.ledger.whole
    setting.note("a")  # goes along with what is tried
    setting.take_step()
    assert setting.requests == []
    assert not setting.ledger.whole
    setting.take_step()
    assert [list(one.items) for one in setting.requests] == [[A, B]]
    assert (setting.ledger.whole, setting.ledger.overflows) == (True, 1)
    assert setting.told == [Held, Held, Recovered]


def test_the_next_try_is_waited_for() -> None:
    """For either server."""
    for name, server in zip(("postgres", "elasticsearch"), ServerName, strict=True):
        setting = Setting()
        setting.note("a")
        outage = Outage(server, Backoff(100, 1, 100), setting.seen.append)
        setattr(setting.outages, name, outage)
        outage.failed(Failure(server, "gone", passes=True))
        found = setting.look()
        assert isinstance(found, Wait)
        assert found.seconds is not None
        assert found.seconds > 40


@pytest.mark.parametrize("looks", range(4))
def test_a_try_that_becomes_due_during_a_look(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """It is taken, or waited for: nothing else would wake the worker. `looks`: at the wait of its
    kind before it is due."""
    setting = Setting()
    setting.note("a")
    setting.fails["read"] = psycopg.errors.UndefinedTable("no such table")
    setting.take_step()
    waits = iter([1.0] * looks)
    monkeypatch.setattr(KindOutages, "wait", property(lambda _: next(waits, 0.0)))
    assert setting.look() in (LANE, Wait(1.0))


def test_only_what_is_held_shows_that_it_is_mended() -> None:
    """Another lane's success says nothing of the query that fails."""
    setting = Setting()
    setting.note("a")
    setting.fails["read"] = psycopg.errors.UndefinedTable("no such table")
    setting.take_step()
    assert setting.outages.held is not None
    setting.worker._serve(Lane(-1))
    assert setting.outages.held is not None
    setting.worker._serve(LANE)
    assert setting.outages.held is None
    assert setting.told == [Held, Recovered]


def test_very_many_that_cannot_be_read() -> None:
    """Everything is held, and a person must look."""
    setting = Setting(parked=1)
    setting.faults = dict.fromkeys("ab", "division by zero")
    setting.note("a", "b")
    setting.take_step()
    assert setting.outages.braked is not None
    assert setting.outages.braked.reason == f"{Brake.TOO_MANY}: division by zero"
    assert setting.waiting == {B}


def test_what_is_to_be_parked_is_written_down_at_rest() -> None:
    """Nothing else is read for it."""
    setting = Setting()
    aside = ToPark(0, A, "a", (), "no")
    setting.parking.put_aside(aside)
    setting.take_step()
    assert setting.steps[-1] == "parked written"
    assert setting.asked == []
    setting.ledger.parking_written([aside], ())
    assert setting.look() == Wait(None)
    assert setting.steps[-1] == "nothing to do"


# -- requests in flight ----------------------------------------------------------------------------


def test_how_many_requests_are_in_flight() -> None:
    """Beyond that number one more is read ahead, where it will be a large one."""
    setting = Setting()
    setting.note("a")
    for _ in range(IN_FLIGHT):
        assert isinstance(setting.look(), Lane)
        setting.ledger.sent(0)
    assert setting.look() == Wait(None)
    setting.ledger.put(KeysTask(0, [B], Job()))
    assert isinstance(setting.look(), Lane)
    setting.ledger.sent(0)
    assert setting.look() == Wait(None)


def test_one_request_finds_out_whether_the_server_is_back() -> None:
    """More would be given up with it, and cost a generation each."""
    setting = Setting()
    setting.note("a")
    setting.outages.elasticsearch.failed(Failure(ServerName.ELASTICSEARCH, "gone", passes=True))
    setting.ledger.sent(0)
    assert setting.look() == Wait(None)


# -- a request without an answer -------------------------------------------------------------------


def lose(setting: Setting, *others: str) -> list[Batch]:
    """A request of `a` had no answer, others are in flight; the others."""
    setting.note("a")
    setting.take_step()
    for name in others:
        setting.note(name)
        setting.take_step()
    first, *rest = setting.requests
    setting.answer(first, NO_ANSWER, lost=True)
    return rest


def test_nothing_is_read_before_the_next_generation() -> None:
    """The lost request may yet arrive, when the tombstone of a later delete is forgotten."""
    setting = Setting()
    lose(setting)
    del setting.steps[:]
    setting.take_step()
    assert setting.steps == ["fence renewed"]
    setting.take_step()
    assert setting.steps[-1] == "sent"
    assert [generation_of(one.version) for one in setting.requests] == [1, 2]


def test_the_next_generation_waits_for_all_answers() -> None:
    """What is in flight goes through an alias that is about to go."""
    setting = Setting()
    [other] = lose(setting, "b")
    setting.note("c")
    assert setting.look() == Wait(None)
    setting.answer(other)
    del setting.steps[:]
    setting.take_step()
    assert setting.steps == ["fence renewed"]


@pytest.mark.parametrize(
    ("error", "fences", "told"),
    [
        (FencedOut("another process raised the generation"), 1, Waiting),
        (search.NotFound("gone", cast(Any, SimpleNamespace(status=404)), {}), 1, Waiting),
        (search.Away("gone"), 0, Waiting),
        (search.Unusable("closed"), 0, Held),
    ],
)
def test_no_next_generation(error: Exception, fences: int, told: type) -> None:
    """Nothing is read: it is tried again. Where only a new session can do it, one is asked for."""
    setting = Setting()
    lose(setting)
    del setting.steps[:]
    setting.fails["fence renewed"] = error
    setting.take_step()
    assert setting.supervisor.fences == fences
    assert setting.told == [told]
    assert setting.gate.lost
    setting.take_step()
    assert setting.steps == ["fence renewed", "fence renewed"]
    assert not setting.gate.lost


# -- the thread ------------------------------------------------------------------------------------


def test_stop_settles_what_is_in_flight() -> None:
    """Then the connection is closed; stopping twice, or before the start, is once."""
    setting = Setting()
    sent = threading.Event()
    setting.meanwhile["sent"] = sent.set
    setting.note("a")
    mark = setting.ledger.mark()
    setting.worker.start()
    happens(sent)
    setting.note("b")
    setting.ledger.stop()
    end = Beside(setting.worker.join)
    assert end.waits
    setting.answer(setting.requests[0])
    end.result()
    setting.worker.join()
    assert setting.ledger.wait_settled(mark, 0)
    assert setting.asked == [[A]]
    assert setting.steps[-3:] == ["closed", "senders stopped", "senders stopped"]
    assert setting.life.errors == []
    never = Setting()
    never.ledger.stop()
    never.worker.join()


def test_a_defect_ends_the_run() -> None:
    """It is told once, and whoever waits does not wait for ever."""
    setting = Setting()
    setting.note("a")
    mark = setting.ledger.mark()
    setting.fails["read"] = AssertionError("a defect")
    setting.worker.start()
    assert not setting.ledger.wait_settled(mark, 20)
    setting.worker.join()
    assert [str(one) for one in setting.life.errors] == ["a defect"]
    assert setting.ledger.crashed == "AssertionError: a defect"
    assert setting.connections == 0
    assert setting.requests == []


def test_a_new_session_reads_on_a_new_connection() -> None:
    """From the next batch on."""
    setting = Setting()
    setting.note("a")
    setting.take_step()
    setting.answer(setting.requests[0])
    with setting.ledger.quiet():
        setting.worker.renew()
    setting.note("b")
    setting.take_step()
    assert setting.steps.count("connected") == 2
    assert setting.connections == 1
