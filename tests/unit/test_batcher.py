"""What goes into a batch: all that waits, nothing that flies, and nobody starves."""

from __future__ import annotations

from typing import Any, cast

import psycopg

from listener.changes import Key, Route
from listener.indexing.batch import Batch, Limits, Trial
from listener.indexing.batcher import Batcher
from listener.indexing.id_sources import KeysTask, MappedTask
from listener.indexing.ledger import Lane
from listener.indexing.queue import Job
from listener.search.bulk import Document
from listener.search.verdicts import Outcome, Verdict
from listener.search.write_aliases import Role, Target
from tests.kit.indexing import Noted, OneKind, sent

DIRECT = (Route(0, mapped=False),)
LANE = Lane(0)
CONNECTION = cast(Any, None)
"""Ids that are known already need no connection."""


class Setting(OneKind):
    """A batcher for one document kind, of which four fit a batch."""

    def __init__(self, *, documents: int = 4) -> None:
        super().__init__(Limits(documents=documents, bytes=10_000_000, pending=100, parked=10))
        self.supervisor = Noted()
        self.batcher = Batcher(
            ledger=self.ledger,
            gate=self.gate,
            size=self.size,
            sources=self.sources,
            outages=self.outages,
            supervisor=self.supervisor,
        )

    def answer(self, batch: Batch) -> None:
        """Elasticsearch has them."""
        for key, jobs in batch.items.items():
            self.work.finish(key, jobs)

    def note(self, *names: str) -> None:
        """Notifications name these."""
        self.ledger.add("w", [(name,) for name in names], DIRECT)

    def page(self, *names: str) -> Job:
        """A sweep, or a load, hands these on."""
        job = Job()
        job.add(len(names))
        job.seal()
        keys: list[Key] = [(name,) for name in names]
        self.ledger.put(KeysTask(0, keys, job))
        return job

    def gather(self, lane: Lane = LANE) -> Batch | None:
        """The next batch of a lane."""
        return self.batcher.gather(CONNECTION, lane)

    def names(self, lane: Lane = LANE) -> list[str]:
        """Which ids it has."""
        batch = self.gather(lane)
        return [] if batch is None else [key[0] for key in batch.items]


def test_one_batch_takes_from_everybody() -> None:
    """A change, and pages of two sweeps: one request."""
    setting = Setting()
    setting.note("a")
    setting.page("b")
    setting.page("c", "d", "e")
    assert setting.names() == ["a", "b", "c", "d"]
    assert setting.names() == ["e"]
    assert not setting.tasks
    assert setting.batcher.choose() is None


def test_the_first_batches_after_a_rest_are_small() -> None:
    """Elasticsearch should not wait for a large one to be read; one in flight is no rest."""
    setting = Setting(documents=2000)
    setting.page(*map(str, range(6000)))
    assert [len(setting.names()) for _ in range(5)] == [500, 1000, 2000, 2000, 500]
    setting.ledger.sent(0)
    assert setting.batcher.choose() is None
    setting.page(*map(str, range(6000, 9000)))
    assert len(setting.names()) == 2000
    assert len(setting.names()) == 1000
    setting.ledger.lost(0, OSError("gone"))
    assert setting.batcher.choose() is None
    setting.page(*map(str, range(9000, 10_000)))
    assert len(setting.names()) == 500


def test_a_page_is_finished_before_the_next_is_begun() -> None:
    """Whoever hands pages on waits for them in their order: a remainder at the end of the queue
    would let the pipeline run dry."""
    setting = Setting()
    setting.page(*"abcdef")
    setting.page(*"ghijkl")
    assert setting.names() == [*"abcd"]
    assert setting.names() == [*"efgh"]
    assert setting.names() == [*"ijkl"]


def test_news_go_before_pages() -> None:
    """Keys of a mapped watch that were just told are looked up before the pages that wait; one
    that leads to many ids takes turns with them."""
    setting = Setting()
    many = [(str(number),) for number in range(6)]

    def mapped_page(*_: object) -> tuple[list[Key], str | None]:
        return cast(list[Key], many), None

    setting.source.mapped_page = mapped_page
    setting.page(*"abcd")
    setting.page(*"efgh")
    setting.ledger.add("m", [("genre",)], (Route(0, mapped=True),))
    assert setting.names() == ["0", "1", "2", "3"]
    assert setting.names() == [*"abcd"]
    assert setting.names() == [*"efgh"]
    assert setting.names() == ["4", "5"]


def test_pages_are_not_starved_by_changes() -> None:
    """More changes than a batch holds, again and again: half of each batch is the pages'."""
    setting = Setting()
    job = setting.page("p", "q")
    setting.note(*"abcdefgh")
    batch = setting.gather()
    assert batch is not None
    assert [key[0] for key in batch.items] == ["a", "b", "p", "q"]
    setting.answer(batch)
    assert job.finished


def test_an_id_that_flies_is_not_taken() -> None:
    """Neither from the changes nor from a page: it waits until its request is answered."""
    setting = Setting()
    setting.note("a")
    batch = setting.gather()
    assert batch is not None
    setting.note("a")
    job = setting.page("a")
    assert setting.names() == []
    assert setting.batcher.choose() is None
    setting.answer(batch)
    again = setting.gather()
    assert again is not None
    assert list(again.items) == [("a",)]
    setting.answer(again)
    assert job.finished


def test_an_id_serves_whoever_waits_for_it() -> None:
    """A page waits for an id that flies; the next batch with it is enough for both."""
    setting = Setting()
    setting.note("a")
    first = setting.gather()
    assert first is not None
    waits = setting.page("a")
    assert setting.gather() is None
    setting.answer(first)
    setting.page("a", "b")
    second = setting.gather()
    assert second is not None
    setting.answer(second)
    assert waits.finished
    assert len(setting.pending) == 0


def test_a_change_heard_of_while_a_batch_gathers() -> None:
    """The documents are read later, so the same batch is enough for it, and counts for it."""
    setting = Setting()

    class Slow(KeysTask):
        def next_page(self, connection: Any, most: int) -> tuple[list[Key], bool]:
            setting.note("a")
            return super().next_page(connection, most)

    setting.note("a")
    job = Job()
    job.add()
    setting.ledger.put(Slow(0, [("b",)], job))
    before = setting.pending.mark()
    batch = setting.gather()
    meanwhile = setting.pending.mark()
    assert batch is not None
    assert len(setting.pending) == 0
    assert not setting.pending.settled(before)
    setting.answer(batch)
    assert setting.pending.settled(meanwhile)


def test_what_a_failed_query_had_taken_is_given_back() -> None:
    """Nothing is lost, and the page is asked for again."""
    setting = Setting()

    class Broken(KeysTask):
        def next_page(self, connection: Any, most: int) -> tuple[list[Key], bool]:  # noqa: ARG002
            raise OSError("gone")

    setting.note("a")
    setting.ledger.put(Broken(0, [], Job()))
    for _ in range(2):
        try:
            setting.gather()
        except OSError:
            assert not setting.work.flying
    setting.tasks.clear()
    assert setting.names() == ["a"]


def test_changes_of_mapped_tables_that_never_pause() -> None:
    """Each batch would be full of what they lead to: a page has its turn all the same."""
    setting = Setting()
    count = iter(range(100))
    setting.source.mapped_page = lambda *_: ([(f"news {next(count)}",) for _ in range(4)], None)
    page = setting.page("page")
    batches = []
    while not page.finished:
        setting.ledger.add("m", [("genre",)], (Route(0, mapped=True),))
        batch = setting.gather()
        assert batch is not None
        batches.append([key[0] for key in batch.items])
        setting.answer(batch)
        assert len(batches) < 10, batches
    assert "page" in batches[1]
    assert all(any(name.startswith("news") for name in one) for one in batches)


def test_what_becomes_of_keys_that_a_mapping_fails_on() -> None:
    """Those of notifications may be forged: they count as dropped, and a sweep brings the true
    ones. Those of a sweep are rows, and only a comparison finds their documents."""
    setting = Setting()

    def mapped_page(*_: object) -> None:
        raise psycopg.errors.DivisionByZero("division by zero")

    setting.source.mapped_page = mapped_page
    setting.source.mapping_fault = lambda *_: "division by zero"
    setting.ledger.add("m", [("genre",)], (Route(0, mapped=True),))
    mark = setting.ledger.mark()
    assert setting.gather() is None
    assert setting.ledger.wait_settled(mark, 0)
    assert (setting.ledger.overflows, setting.supervisor.told) == (1, [])
    job = Job()
    setting.ledger.put(MappedTask(0, setting.sources[0], "m", [("genre",)], job=job))
    assert setting.gather() is None
    assert job.finished
    assert setting.ledger.overflows == 1
    assert setting.supervisor.told == [(0, "m", "division by zero")]


def test_a_mapping_fails_of_an_index_that_is_kept() -> None:
    """Nothing is compared for it: its kind is held, and so it is given up."""
    setting = Setting()
    setting.gate.targets[0] = Target("a.f1", "a-1", Role.KEPT)

    def mapped_page(*_: object) -> None:
        raise psycopg.errors.DivisionByZero("division by zero")

    setting.source.mapped_page = mapped_page
    setting.source.mapping_fault = lambda *_: "division by zero"
    setting.ledger.put(MappedTask(0, setting.sources[0], "m", [("genre",)], job=Job()))
    assert setting.gather() is None
    assert setting.supervisor.told == []
    assert not setting.ledger.whole
    trouble = setting.outages.trouble_of(0)
    assert trouble is not None
    assert (trouble.held, trouble.reason) == (True, "m: division by zero")


def test_a_request_is_lost_while_a_batch_gathers() -> None:
    """Its id goes back, and would be taken into the batch that is being made: under the same
    generation it must not be sent again, or the lost request might win later."""
    setting = Setting()
    setting.note("a")
    flying = cast(Batch, setting.gather())
    flying.documents = [Document(("a",), "a", b"{}")]
    setting.ledger.sent(0)

    class Slow(KeysTask):
        def next_page(self, connection: Any, most: int) -> tuple[list[Key], bool]:
            gone = Verdict(Outcome.RETRY, "gone")
            setting.ledger.answered(flying, sent(gone, lost=True))
            return super().next_page(connection, most)

    job = Job()
    job.add()
    setting.ledger.put(Slow(0, [("b",)], job))
    assert setting.gather() is None
    assert setting.waiting == {("a",), ("b",)}
    assert not setting.work.flying
    setting.gate.begin(2)
    setting.gate.open()
    assert {*setting.names(), *setting.names()} == {"a", "b"}


TRIAL = Lane(0, trial=True)


class Suspecting(Setting):
    """Some ids were refused; the table has these rows, of which the query returns all."""

    def __init__(self, *suspects: str, rows: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.note(*suspects)
        self.suspect(*suspects)
        keys: list[Key] = [(name,) for name in rows]
        self.source.id_page = lambda _connection, after, _limit: keys if after is None else []
        self.source.existing = lambda _connection, asked: set(asked)


def test_suspects_have_turns_of_their_own() -> None:
    """One at a time, beside the last that was good; no ordinary batch has them."""
    setting = Suspecting("bad", "worse")
    setting.note("news")
    setting.ledger.is_good(0, ("older",))
    setting.ledger.is_good(0, ("good",))
    lanes = [setting.batcher.choose() for _ in range(4)]
    assert lanes == [TRIAL, LANE, TRIAL, LANE]
    assert setting.names() == ["news"]
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert list(batch.items) == [("good",), ("bad",)]
    assert batch.trial == Trial(("good",))
    assert batch.target == Target("a.w1")
    other = setting.gather(TRIAL)  # the good one is on its way
    assert other is not None
    assert list(other.items) == [("older",), ("worse",)]
    assert setting.batcher.choose() is None


def test_a_witness_is_looked_for_in_the_table() -> None:
    """Not among those that are suspected, parked, or were of no use."""
    setting = Suspecting("bad", rows=("bad", "parked", "useless", "row"))
    setting.parking.known = {(0, "parked")}
    setting.work.useless = {("useless",)}
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(("row",))


def test_no_witness_is_found() -> None:
    """There is no other document: said so. Others fail, too: not that. Others fly: later."""
    setting = Suspecting("bad", rows=("bad",))
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(None, sole=True)
    setting = Suspecting("bad", "worse", rows=("bad", "worse"))
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(None)
    setting = Suspecting("bad", rows=("bad", "row"))
    setting.work.flying.add(("row",))
    assert setting.gather(TRIAL) is None
    assert ("bad",) in setting.pending.ids[0].waiting
    assert setting.work.flying == {("row",)}


def test_none_is_said_only_where_all_were_seen() -> None:
    """More ids than are looked at, or one that is parked: there are others, too."""
    setting = Suspecting("bad")
    pages = iter(range(1000))

    def id_page(*_: object) -> list[Key]:
        return [(f"no document {next(pages)}",)]

    setting.source.id_page = id_page
    setting.source.existing = lambda *_: set()
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(None)
    setting = Suspecting("bad", rows=("bad", "parked"))
    setting.parking.known = {(0, "parked")}
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(None)
    setting = Suspecting("bad", rows=("bad",))
    setting.parking.known = {(0, "bad")}  # tried again: no other than itself
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(None, sole=True)


def test_the_next_look_goes_on_where_this_one_ended() -> None:
    """A witness may stand behind thousands of ids that are no documents."""
    setting = Suspecting("bad")

    def id_page(_: object, after: Key | None, limit: int) -> list[Key]:
        first = 0 if after is None else int(after[0]) + 1
        return [(str(number),) for number in range(first, min(first + limit, 2500))]

    setting.source.id_page = id_page
    setting.source.existing = lambda _, keys: {key for key in keys if key == ("2400",)}
    found: list[Key | None] = []
    while not found or found[-1] is None:
        assert len(found) < 5
        batch = setting.gather(TRIAL)
        assert batch is not None
        assert batch.trial is not None
        assert not batch.trial.sole
        found.append(batch.trial.witness)
        setting.ledger.give_back(0, batch.items)
    assert found == [None, None, ("2400",)]


def test_no_turn_while_the_witness_is_on_its_way() -> None:
    """The worker would ask the database without a pause. Answered, given back, or another: now."""

    def waiting() -> Suspecting:
        setting = Suspecting("bad", rows=("bad", "row"))
        setting.work.flying.add(("row",))
        assert setting.batcher.choose() == TRIAL
        assert setting.gather(TRIAL) is None
        assert setting.batcher.choose() is None
        settings.append(setting)
        return setting

    settings: list[Suspecting] = []
    waiting().work.finish(("row",), ())
    waiting().work.give_back(("row",), ())
    waiting().work.is_good(("other",))
    for setting in settings:
        setting.pending.ids[0].pop(("row",))
        assert setting.batcher.choose() == TRIAL


def test_what_flies_does_not_keep_suspects_from_their_turn() -> None:
    """Others change without a pause; a witness may be in the table nevertheless."""
    setting = Suspecting("bad", rows=("bad", "row"))
    setting.work.flying.add(("other",))
    assert setting.batcher.choose() == TRIAL
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(("row",))


def test_a_parked_one_is_no_witness() -> None:
    """Another is looked for. One that was taken since is; and where only a load may have taken it,
    it is better than none."""
    setting = Suspecting("bad", rows=("bad", "parked", "row"))
    parking = setting.parking
    parking.known = {(0, "parked")}
    setting.ledger.is_good(0, ("parked",))
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert batch.trial == Trial(("row",))
    for rows, cleared in (("bad", "parked", "row"), True), (("bad", "parked"), False):
        setting = Suspecting("bad", rows=rows)
        parking = setting.parking
        parking.known = {(0, "parked")}
        parking.to_clear = parking.known.copy() if cleared else set()
        setting.ledger.is_good(0, ("parked",))
        batch = setting.gather(TRIAL)
        assert batch is not None
        assert batch.trial == Trial(("parked",))


def test_a_suspect_that_was_dropped_is_none() -> None:
    """An overflow took it: a sweep will bring it, as any other."""
    setting = Suspecting("bad")
    setting.pending.ids[0].pop(("bad",))
    assert setting.gather(TRIAL) is None
    assert not setting.work.suspects


def test_parked_ones_are_tried_many_at_a_time() -> None:
    """Each was proven alone before."""
    names = [str(number) for number in range(60)]
    setting = Suspecting(*names)
    setting.parking.known = {(0, name) for name in names}
    setting.ledger.is_good(0, ("good",))
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert len(batch.items) == 51


def test_one_that_is_parked_is_tried_beside_no_new_suspect() -> None:
    """The new one's fault is not proven, and would hold the other up."""
    setting = Suspecting("parked", "new")
    setting.parking.known = {(0, "parked")}
    setting.ledger.is_good(0, ("good",))
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert list(batch.items) == [("good",), ("parked",)]


def test_those_of_no_use_are_tried_anew_when_all_were() -> None:
    """What refused them may have passed since."""
    setting = Suspecting("bad", rows=("bad", "row"))
    setting.work.useless = {("row",)}
    witnesses = []
    for _ in range(2):
        batch = setting.gather(TRIAL)
        assert batch is not None
        assert batch.trial is not None
        witnesses.append(batch.trial.witness)
        setting.ledger.give_back(0, batch.items)
    assert witnesses == [None, ("row",)]


def test_a_trial_ends_the_wait_for_a_witness() -> None:
    """The next suspect is looked for anew, though what was awaited is in flight still."""
    setting = Suspecting("bad", "worse", rows=("bad", "worse", "row"))
    setting.work.flying.add(("row",))
    assert setting.gather(TRIAL) is None
    assert setting.batcher.choose() is None
    setting.ledger.is_good(0, ("other",))
    batch = setting.gather(TRIAL)
    assert batch is not None
    assert list(batch.items) == [("other",), ("bad",)]
    assert setting.batcher.choose() == TRIAL
