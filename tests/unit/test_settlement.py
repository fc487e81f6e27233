"""Settling a request: each document by its own verdict. What proves a fault is in test_trials."""

from __future__ import annotations

from listener.changes import Key
from listener.indexing.batch import Batch, Brake, Limits, Settled, Trial
from listener.indexing.queue import Job, Jobs
from listener.indexing.settlement import Settlement
from listener.search.bulk import Document
from listener.search.verdicts import Outcome, Verdict
from listener.search.versions import versioned
from listener.search.write_aliases import Role, Target
from tests.kit.indexing import DONE, OneKind

NO_ROOM = Verdict(Outcome.RETRY, "429")
HELD = Verdict(Outcome.HOLD, "403")
BAD = Verdict(Outcome.PARK, "no")
PROVEN = Verdict(Outcome.PARK, "no", proven=True)
LOADING = Target("a.l1", "a-2", Role.LOADING)


class Setting(OneKind):
    """Requests of one document kind, and whoever waits for their documents."""

    def __init__(self, parked: int = 10) -> None:
        super().__init__(Limits(documents=10, bytes=1_000_000, pending=100, parked=parked))
        self.settlement = Settlement([self.work], self.parking, self.gate)

    def batch(self, *names: str, trial: Trial | None = None) -> tuple[Batch, Job]:
        """A request; in capitals: a document that the database does not have."""
        job = Job()
        job.add(len(names))
        job.seal()
        items: dict[Key, Jobs] = {(name,): (job,) for name in names}
        self.work.flying.update(items)
        documents = [Document((name,), name, None if name.isupper() else b"{}") for name in names]
        target = self.gate.targets[0]
        assert target is not None
        return Batch(0, items, target, 1, documents=documents, trial=trial), job

    def each(self, batch: Batch, *verdicts: Verdict) -> Settled:
        """Its documents have these verdicts."""
        return self.settlement.each(batch, verdicts)

    @property
    def aside(self) -> list[Key]:
        """What is to be parked."""
        return [one.key for one in self.parking.to_park]


def test_all_of_it_was_taken() -> None:
    """All jobs are done, deletes counted apart."""
    setting = Setting()
    batch, job = setting.batch("a", "B", "c")
    assert setting.settlement.all_done(batch) == Settled(written=2, deleted=1)
    assert job.finished
    assert not setting.work.flying
    assert list(setting.work.good) == [("a",)]  # one is enough as a witness


def test_each_document_by_its_own_verdict() -> None:
    """One that was refused holds no other, and is not done by another's success."""
    setting = Setting()
    batch, job = setting.batch("a", "B", "c")
    settled = setting.each(batch, NO_ROOM, DONE, DONE)
    assert (settled.written, settled.deleted, settled.retried) == (1, 1, 1)
    assert settled.worst == NO_ROOM
    assert job.open == 1
    assert not job.finished
    assert setting.waiting == {("a",)}
    assert not setting.work.flying


def test_what_needs_a_person_is_told_before_what_passes() -> None:
    """In whatever order they come."""
    for verdicts in ((NO_ROOM, HELD, NO_ROOM), (HELD, NO_ROOM, NO_ROOM)):
        setting = Setting()
        settled = setting.each(setting.batch("a", "b", "c")[0], *verdicts)
        assert settled.worst == HELD
        assert settled.retried == 3


def test_a_higher_generation_is_remembered() -> None:
    """The next session goes above it; the document is not done."""
    setting = Setting()
    batch, job = setting.batch("a")
    settled = setting.each(batch, Verdict(Outcome.FENCED, "409", versioned(7, 5)))
    assert settled.fenced
    assert setting.gate.above == 7
    assert setting.waiting == {("a",)}
    assert not job.finished


def test_an_alias_that_is_gone_is_no_higher_generation() -> None:
    """There is no version to learn from."""
    setting = Setting()
    assert setting.each(setting.batch("a")[0], Verdict(Outcome.FENCED, "404")).fenced
    assert setting.gate.above == 0


def test_a_parked_document_is_not_done_yet() -> None:
    """It stays in flight until the table has it."""
    setting = Setting()
    batch, job = setting.batch("a", "b")
    settled = setting.each(batch, PROVEN, DONE)
    assert settled.worst is None
    assert setting.aside == [("a",)]
    assert setting.work.flying == {("a",)}
    assert not setting.waiting
    assert job.open == 1


def test_no_more_than_the_limit_is_parked() -> None:
    """Also not after a trial: so many are not the documents' own fault."""
    setting = Setting(parked=1)
    batch, _ = setting.batch("w", "a", "b", trial=Trial(("w",)))
    settled = setting.each(batch, DONE, BAD, BAD)
    assert setting.aside == [("a",)]
    assert setting.waiting == {("b",)}
    assert settled.brake is Brake.TOO_MANY
    assert settled.worst is not None
    assert settled.worst.outcome is Outcome.HOLD


def test_taken_means_parked_no_longer() -> None:
    """By this index: what another one has taken says nothing of it."""
    for whole in (False, True):
        setting = Setting()
        setting.parking.known = {(0, "a"), (1, "a")}
        batch, _ = setting.batch("a", "b")
        if whole:
            setting.settlement.all_done(batch)
        else:
            setting.each(batch, DONE, NO_ROOM)
        assert setting.parking.to_clear == {(0, "a")}


def test_a_large_document_is_no_witness() -> None:
    """It would be sent again beside each suspect."""
    setting = Setting()
    batch, _ = setting.batch("a", "b")
    batch.documents = [batch.documents[0], Document(("b",), "b", b"{%s}" % (b" " * 100_000))]
    setting.settlement.all_done(batch)
    assert list(setting.work.good) == [("a",)]


def test_while_an_index_is_loaded_its_refusals_hold_nothing() -> None:
    """They are parked, without a trial where many are refused; beyond the limit they are counted,
    each once, until they are taken."""
    setting = Setting(parked=2)
    setting.gate.targets[0] = LOADING
    batch, _ = setting.batch("w", "a", trial=Trial(("w",)))
    settled = setting.each(batch, BAD, BAD)
    assert settled.worst is None
    assert setting.aside == [("w",), ("a",)]
    for _ in range(2):
        batch, job = setting.batch("b", "c")
        assert setting.each(batch, PROVEN, PROVEN).worst is None
        assert job.finished
    assert setting.ledger.load_counts(0).untaken == 2
    setting.each(setting.batch("b")[0], DONE)
    setting.settlement.all_done(setting.batch("c")[0])
    assert setting.ledger.load_counts(0).untaken == 0
    setting.gate.targets[0] = Target("a.w2")
    assert setting.each(setting.batch("b")[0], PROVEN).brake is Brake.TOO_MANY


def test_what_the_index_of_a_load_is_brought() -> None:
    """Trials are not counted, nor is what the index in use is brought."""
    setting = Setting()
    setting.settlement.all_done(setting.batch("d")[0])
    setting.gate.targets[0] = LOADING
    setting.settlement.all_done(setting.batch("a", "B", "c")[0])
    assert setting.ledger.load_counts(0).written == 2
    setting.each(setting.batch("e", "f")[0], DONE, NO_ROOM)
    assert setting.ledger.load_counts(0).written == 3
    setting.ledger.begin_load(0)
    assert setting.ledger.load_counts(0).written == 0
