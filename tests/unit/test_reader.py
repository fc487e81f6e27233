"""The reader: what it read is durable before it is sent, and what it cannot send is settled."""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg
import pytest

from listener.documents.reading import Unflushed
from listener.indexing.batch import Trial
from listener.observations.events import ConnectionLost
from listener.observations.surprises import Surprise
from tests.kit.reading import Reading

LONG = "é" * 300
"""An id of 600 bytes."""


def read(reading: Reading, *names: str) -> str | None:
    """Read a batch with these ids; why everything is held, if it is."""
    return reading.reader.read(reading.reader.open(), reading.batch(*names)[0])


def sent_names(reading: Reading) -> list[list[str]]:
    """The ids of each request."""
    return [[one.id for one in request.documents] for request in reading.requests]


def test_the_order_of_steps() -> None:
    """What is parked is known before the first read, and what was read is on disk before it is
    sent: else a crash takes back what is in the index."""
    reading = Reading()
    reading.unflushed = Unflushed("0/10")
    read(reading, "a")
    assert reading.steps == [
        *("connected", "one_snapshot", "parked read", "parked written"),
        *("read", "flushed", "flush", "sent"),
    ]


def test_what_is_on_disk_is_not_flushed() -> None:
    """By the server's word at the read, or a moment later."""
    reading = Reading()
    read(reading, "a")
    assert reading.steps[-2:] == ["read", "sent"]
    reading.unflushed, reading.flushed = Unflushed("0/10"), True
    read(reading, "b")
    assert reading.steps[-3:] == ["read", "flushed", "sent"]


@pytest.mark.parametrize("step", ["read", "flushed", "flush"])
def test_nothing_is_sent_after_a_failure(step: str) -> None:
    """Neither of what could not be read nor of what is not certain to stay."""
    reading = Reading()
    reading.unflushed = Unflushed("0/10")
    reading.fails[step] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        read(reading, "a")
    assert reading.steps[-1] == step
    assert reading.requests == []


def test_odd_data_is_a_surprise() -> None:
    """Not a defect, which would end the process."""
    reading = Reading()
    reading.fails["read"] = ValueError("no JSON")
    with pytest.raises(Surprise, match="no JSON"):
        read(reading, "a")
    assert reading.requests == []


def test_a_request_is_of_its_batch() -> None:
    """It bears the version that was drawn before the read, and is as old as the read."""
    reading = Reading()
    batch, job = reading.batch("a", "b")
    reading.gate.draw()
    batch.read_at = 0.0
    began = time.monotonic()
    during: list[float] = []
    reading.meanwhile["read"] = lambda: during.append(batch.read_at)
    reading.reader.read(reading.reader.open(), batch)
    [request] = reading.requests
    assert reading.asked == [[("a",), ("b",)]]
    assert replace(request, documents=(), read_at=0.0) == replace(batch, read_at=0.0)
    assert during == [request.read_at]  # noted before: the read may take long
    assert began <= request.read_at <= time.monotonic()
    reading.answer(request)
    assert job.finished


def test_a_batch_is_cut_by_size() -> None:
    """Each id goes with its own document, once."""
    reading = Reading(room=5000)
    reading.rows |= dict.fromkeys("abcd", b'{"a": "%s"}' % (b"x" * 2000))
    batch, job = reading.batch(*"abcd")
    reading.reader.read(reading.reader.open(), batch)
    assert sent_names(reading) == [["a", "b"], ["c", "d"]]
    for request in reading.requests:
        assert list(request.items) == [one.key for one in request.documents]
        assert (request.version, request.read_at) == (batch.version, batch.read_at)
    reading.answer(reading.requests[0])
    assert not job.finished
    reading.answer(reading.requests[1])
    assert job.finished


def test_a_trial_is_not_cut() -> None:
    """The witness must be in the same request."""
    reading = Reading(room=1000)
    reading.rows |= dict.fromkeys("wa", b'{"a": "%s"}' % (b"x" * 2000))
    batch, _ = reading.batch("w", "a")
    batch.trial = Trial(("w",))
    reading.reader.read(reading.reader.open(), batch)
    assert sent_names(reading) == [["w", "a"]]
    assert reading.requests[0].trial == batch.trial


def test_a_row_that_fails_holds_no_other() -> None:
    """It is parked, and the others are sent."""
    reading = Reading()
    reading.faults["b"] = "division by zero"
    assert read(reading, "a", "b", "c") is None
    assert sent_names(reading) == [["a", "c"]]
    assert list(reading.requests[0].items) == [("a",), ("c",)]
    [aside] = reading.parking.to_park
    assert (aside.id, aside.reason) == ("b", "division by zero")


def test_very_many_that_fail() -> None:
    """Those beyond the limit wait, and everything is held; what can be sent is sent."""
    reading = Reading(parked=1)
    reading.faults = dict.fromkeys("bc", "division by zero")
    assert read(reading, "a", "b", "c") == "division by zero"
    assert sent_names(reading) == [["a"]]
    assert [one.id for one in reading.parking.to_park] == ["b"]
    assert reading.waiting == {("c",)}


@pytest.mark.parametrize("name", ["", LONG])
def test_an_id_that_no_index_can_have(name: str) -> None:
    """One of them makes the whole request fail. It is parked, or done where its row is gone."""
    reading = Reading()
    assert read(reading, "a", name) is None
    assert sent_names(reading) == [["a"]]
    [aside] = reading.parking.to_park
    assert aside.id == name
    reading = Reading()
    reading.rows[name] = None
    batch, job = reading.batch(name)
    reading.reader.read(reading.reader.open(), batch)
    assert reading.requests == []
    assert reading.parking.to_park == []
    assert job.finished
    assert not reading.work.flying


# -- the connection --------------------------------------------------------------------------------


def test_one_connection_serves_many_reads() -> None:
    """What is to be parked is written down before each."""
    reading = Reading()
    first = reading.reader.open()
    assert reading.reader.open() is first
    assert reading.steps[-2:] == ["parked written", "parked written"]
    assert reading.connections == 1
    reading.reader.close()
    reading.reader.close()
    assert reading.connections == 0


def test_a_new_session_reads_on_a_new_connection() -> None:
    """The old one may be to a server that was the primary before."""
    reading = Reading()
    reading.reader.renew()  # there is none yet
    first = reading.reader.open()
    reading.reader.renew()
    second = reading.reader.open()
    assert second is not first
    assert reading.reader.open() is second
    assert reading.steps.count("connected") == 2
    assert reading.steps.index("closed") < len(reading.steps) - 5
    assert reading.connections == 1


@pytest.mark.parametrize("step", ["one_snapshot", "parked read"])
def test_a_connection_that_is_half_made_is_not_used(step: str) -> None:
    """The next one begins with all its steps."""
    reading = Reading()
    reading.fails[step] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        reading.reader.open()
    del reading.steps[:]
    reading.reader.open()
    assert reading.steps == ["connected", "one_snapshot", "parked read", "parked written"]


@pytest.mark.parametrize("lost", ["gone", None])
def test_after_a_failure_the_connection_is_a_new_one(lost: str | None) -> None:
    """A loss is told; an error of a statement alone is none."""
    reading = Reading()
    reading.reader.failed(lost)  # none was open
    reading.reader.open()
    reading.reader.failed(lost)
    assert reading.connections == 0
    assert reading.seen == ([ConnectionLost("documents", "gone")] if lost else [])
    reading.reader.open()
    assert reading.steps.count("connected") == 2


def test_what_cannot_be_written_down_holds_the_read() -> None:
    """Else a document would be parked in no table."""
    reading = Reading()
    reading.fails["parked written"] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        reading.reader.open()
