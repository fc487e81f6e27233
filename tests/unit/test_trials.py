"""What is parked, and what is held: a document's own fault is proven beside a witness."""

from __future__ import annotations

from listener.changes import Key
from listener.indexing.batch import Batch, Brake, Trial
from listener.indexing.parked_table import explain
from listener.indexing.parking import SAME_REASON, UNPROVEN
from listener.indexing.queue import Job
from listener.observations.events import Held, Recovered, Waiting
from listener.search.bulk import Document
from listener.search.sink import Sent
from listener.search.verdicts import Outcome, Verdict
from listener.search.write_aliases import Target
from tests.kit.failures import reason_of
from tests.kit.sending import Sending

BAD = Verdict(Outcome.PARK, "document_parsing_exception: no")
GOOD = Verdict(Outcome.DONE)
ONE, TWO, WITNESS = ("1",), ("2",), ("w",)


class Trials(Sending):
    """Requests whose answers the test gives."""

    def answer(
        self,
        verdicts: dict[Key, Verdict],
        trial: Trial | None = None,
        deleted: tuple[Key, ...] = (),
    ) -> Job:
        """One request with these documents was answered so."""
        job = Job()
        job.add(len(verdicts))
        job.seal()
        for key in verdicts:
            self.work.take_one(key)
        self.ledger.sent(0)
        documents = [Document(key, key[0], None if key in deleted else b"{}") for key in verdicts]
        batch = Batch(
            0,
            dict.fromkeys(verdicts, (job,)),
            Target("a.w1"),
            self.gate.draw(),
            documents=documents,
            trial=trial,
        )
        taken = all(one is GOOD for one in verdicts.values())
        self.senders._answered(batch, Sent(tuple(verdicts.values()), 0.01, 100, taken=taken))
        assert not self.ledger.requests
        assert not self.work.flying - {("flying",)} - set(aside(self))
        return job

    @property
    def suspects(self) -> list[Key]:
        """Who waits for a trial; all of them wait to be read, too."""
        found = list(self.work.suspects)
        assert set(found) <= self.waiting
        return found

    @property
    def told(self) -> list[type]:
        """Of outages."""
        return [type(one) for one in self.seen if isinstance(one, Held | Waiting | Recovered)]


def aside(trials: Trials) -> list[Key]:
    """Who is parked."""
    return [one.key for one in trials.parking.to_park]


def test_a_refusal_is_a_suspicion() -> None:
    """It goes back, and nothing is said of it yet; what was taken can be a witness."""
    trials = Trials()
    job = trials.answer({WITNESS: GOOD, ONE: BAD})
    assert trials.suspects == [ONE]
    assert not job.finished
    assert list(trials.work.good) == [WITNESS]
    assert aside(trials) == []
    assert trials.told == []


def test_parked_where_the_witness_is_taken() -> None:
    """And where the suspect is taken now, all is well."""
    trials = Trials()
    trials.answer({ONE: BAD, TWO: BAD})
    trials.answer({ONE: BAD, WITNESS: GOOD}, Trial(WITNESS))
    assert aside(trials) == [ONE]
    assert trials.suspects == [TWO]
    trials.answer({TWO: GOOD, WITNESS: GOOD}, Trial(WITNESS))
    assert aside(trials) == [ONE]
    assert trials.suspects == []
    assert trials.told == []


def test_held_where_the_witness_is_refused() -> None:
    """It is everybody's fault: no suspicion is left, and a person is told."""
    trials = Trials()
    trials.answer({ONE: BAD, TWO: BAD})
    trials.answer({ONE: BAD, WITNESS: BAD}, Trial(WITNESS))
    assert aside(trials) == []
    assert trials.suspects == []
    assert trials.waiting == {ONE, TWO, WITNESS}
    assert trials.told == [Held]
    outage = trials.outages.kinds[0].elasticsearch
    assert outage.brake is Brake.ALL_REFUSED
    assert reason_of(outage) == f"{Brake.ALL_REFUSED}: {BAD.reason}"
    trials.answer({ONE: BAD, TWO: BAD})
    assert trials.told == [Held]  # suspects alone are no sign of health
    trials.answer({ONE: BAD, WITNESS: GOOD}, Trial(WITNESS))
    assert aside(trials) == [ONE]
    assert trials.told == [Held, Recovered]


def test_a_witness_that_says_nothing() -> None:
    """No room, or fenced: as for any request. Its row is gone: another one is looked for."""
    trials = Trials()
    trials.answer({ONE: BAD})
    trials.answer({ONE: BAD, WITNESS: Verdict(Outcome.RETRY, "429")}, Trial(WITNESS))
    assert trials.suspects == [ONE]
    assert trials.told == [Waiting]
    trials.answer({ONE: BAD, WITNESS: GOOD}, Trial(WITNESS), deleted=(WITNESS,))
    assert trials.suspects == [ONE]
    assert trials.work.useless == {WITNESS}
    trials.answer({ONE: BAD}, Trial(WITNESS))  # its row could not be read
    assert trials.suspects == [ONE]
    assert aside(trials) == []


def test_no_witness() -> None:
    """Of many none is taken: held. The only one there is: parked."""
    trials = Trials()
    trials.answer({ONE: BAD, TWO: BAD})
    trials.answer({ONE: BAD}, Trial(None))
    assert aside(trials) == []
    assert trials.told == [Held]
    trials = Trials()
    trials.answer({ONE: BAD})
    trials.answer({ONE: BAD}, Trial(None, sole=True))
    assert aside(trials) == [ONE]
    [parked] = trials.parking.to_park
    assert parked.reason == UNPROVEN + BAD.reason
    assert explain(parked.reason) == explain(BAD.reason) != ""


def test_the_row_of_refusals_is_counted_once() -> None:
    """Witnesses do not break it; and what is good between them does, whenever trials come."""
    trials = Trials()
    trials.parking._limit = 10_000
    for number in range(SAME_REASON - 1):
        key = (f"bad {number}",)
        trials.answer({key: BAD})
        trials.answer({key: BAD, WITNESS: GOOD}, Trial(WITNESS))
    assert len(aside(trials)) == SAME_REASON - 1
    assert trials.told == []
    trials.answer({ONE: BAD})
    assert trials.told == [Held]
    assert trials.outages.kinds[0].elasticsearch.brake is Brake.TOO_MANY
    trials.answer({TWO: GOOD})
    assert trials.told == [Held, Recovered]
    trials.answer({ONE: BAD})
    assert trials.suspects == [ONE]


def test_suspects_count_towards_the_limit() -> None:
    """Before any of them is parked: it bounds memory, too."""
    trials = Trials()
    for number in range(10):
        trials.answer({(f"good {number}",): GOOD, (f"bad {number}",): BAD})
    assert len(trials.suspects) == 10
    assert trials.told == []
    trials.answer({ONE: BAD})
    assert trials.told == [Held]


def test_a_proven_fault_needs_no_trial() -> None:
    """The version that stands in the index is the document's own."""
    trials = Trials()
    trials.answer({ONE: Verdict(Outcome.PARK, "a version", proven=True)})
    assert aside(trials) == [ONE]


def test_what_is_refused_is_a_witness_no_more() -> None:
    """Whether it is suspected or parked at once."""
    for verdict in (BAD, Verdict(Outcome.PARK, "a version", proven=True)):
        trials = Trials()
        trials.answer({ONE: GOOD})
        trials.answer({ONE: verdict})
        assert not trials.work.good


def test_the_last_trial_ends_the_brake() -> None:
    """Nothing else is left that could: while something is, trials say nothing of it."""
    trials = Trials()
    keys = [(f"bad {number}",) for number in range(10)]
    for number, key in enumerate(keys):
        trials.answer({(f"good {number}",): GOOD, key: BAD})
    trials.answer({ONE: BAD})
    assert trials.outages.kinds[0].elasticsearch.brake is Brake.TOO_MANY
    for key in keys:
        trials.answer({WITNESS: GOOD, key: GOOD}, Trial(WITNESS))
    trials.answer({ONE: BAD})
    assert trials.suspects == [ONE]
    assert trials.told == [Held]
    trials.answer({WITNESS: GOOD, ONE: BAD}, Trial(WITNESS))
    assert aside(trials) == [ONE]
    assert trials.told == [Held, Recovered]
