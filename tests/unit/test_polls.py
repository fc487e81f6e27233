"""Polls: what a sweep hands on, what it waits for, and what rows ask for that tell of lost changes.

Ids are in Elasticsearch before a sweep counts, and a sweep that failed counts for nothing.
"""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from listener.capture import journal
from listener.capture.sweep import SweptPage
from listener.coordinator.session import SessionLost
from listener.observations import events
from listener.resync.kind_state import Wanted
from tests.kit.coordinator import FILM, OVERLAP, PERSON, START, Asked, Floor, page
from tests.kit.session import NOW, WATERMARK

FAILED = "its mapping_file failed"


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon whose session has begun."""
    floor = Floor(monkeypatch)
    floor.session()
    return floor


def films(*keys: str) -> SweptPage:
    """A page of films."""
    return page((FILM, [(key,) for key in keys]))


# -- where a sweep starts --------------------------------------------------------------------------


def test_a_sweep_starts_at_the_earliest_moment(floor: Floor) -> None:
    """Of the watermark and of all loads under way, and an overlap before."""
    assert floor.polls.since() == START
    floor.jobs.began = [NOW]
    assert floor.polls.since() == START
    floor.jobs.began = [NOW, WATERMARK - timedelta(hours=1)]
    assert floor.polls.since() == START - timedelta(hours=1)
    floor.session(watermark=None)
    assert floor.polls.since() == START - timedelta(hours=1)
    floor.jobs.began = []
    assert floor.polls.since() is None


def test_what_lies_before_the_watermark_is_forgotten(floor: Floor) -> None:
    """Unless a load under way is to be swept from there."""
    floor.polls.advanced()
    assert floor.steps == ["memory forgotten"]
    floor.session(watermark=None)
    floor.polls.advanced()
    assert floor.steps == []


# -- what is handed on -----------------------------------------------------------------------------


def test_a_sweep_is_indexed_before_it_counts(floor: Floor) -> None:
    """Each page goes to the pipeline, and all of them are waited for. Then it is told."""
    floor.pages = [films("1", "2"), page((FILM, [("3",)]), (PERSON, [("9",)]))]
    assert floor.polls.scan(START) == 4
    film, person = f"submitted {FILM.id}", f"submitted {PERSON.id}"
    assert floor.steps == ["swept", film, film, person, *["indexed"] * 3]
    assert floor.told == [events.Swept(FILM.id, 4, 0.2)]


def test_a_sweep_holds_few_pages(floor: Floor) -> None:
    """Four at most: an hour of changes must not lie in memory while Elasticsearch is slow."""
    floor.pages = [films(str(number)) for number in range(8)]
    floor.polls.scan(START)
    submitted = indexed = 0
    for step in floor.steps[1:]:
        submitted += step.startswith("submitted")
        indexed += step == "indexed"
        assert submitted - indexed <= 5
    assert (submitted, indexed) == (8, 8)


def test_a_sweep_ends_with_its_session(floor: Floor) -> None:
    """While it waits for Elasticsearch, of which a sign of life is given."""
    floor.pages = [films("1")]
    floor.pipeline.slow["indexed"] = 9
    floor.meanwhile = [lambda: None, floor.mailbox.fenced]
    with pytest.raises(SessionLost):
        floor.polls.scan(START)
    assert floor.shown == [("serving", None)]
    assert floor.told == []


def test_parked_documents_that_an_operator_wants_tried(floor: Floor) -> None:
    """They are waited for like changes."""
    floor.pages = [page(retry=(("films", ("1", "2")),))]
    floor.polls.scan(START)
    assert floor.steps == ["swept", "retried films ('1', '2')", "indexed"]


def test_a_kept_doorbell_is_kept_while_a_sweep_waits(floor: Floor) -> None:
    """Writers would all ring again after two seconds."""
    for _ in range(5):
        floor.mailbox.ring()
    floor.pages = [films("1")]
    floor.pipeline.slow["indexed"] = 2
    floor.polls.answer()
    assert floor.steps.count("bell kept") == 3


# -- which sweep covers what was dropped -----------------------------------------------------------


def test_a_sweep_covers_what_was_dropped_before_it(floor: Floor) -> None:
    """Not what is dropped while it runs: its rows may have been read already."""
    floor.pipeline.overflows = 3
    floor.then["swept"] = lambda: setattr(floor.pipeline, "overflows", 4)
    floor.polls.scan(START)
    assert not floor.polls.complete
    floor.polls.scan(START)
    assert floor.polls.complete


@pytest.mark.parametrize("meanwhile", [True, False])
def test_what_was_handed_on_for_a_kind_that_is_held(floor: Floor, meanwhile: bool) -> None:
    """It was left out: the sweep after that remembers nothing of it, and reads all, also what is
    stamped in the future, and whatever it was asked for. Held and released meanwhile, too."""

    def held() -> None:
        floor.pipeline.interruptions += 2

    if meanwhile:
        floor.then["swept"] = held
    before = floor.polls._sweep
    floor.polls.scan(START)
    assert floor.polls._sweep is before
    if not meanwhile:
        held()
    for _ in range(2):
        floor.polls.scan(START, recent=OVERLAP)
    assert floor.polls._sweep is not before
    assert floor.asked == [
        Asked(START),
        Asked(START, ahead=True),
        Asked(START, recent=OVERLAP),
    ]


@pytest.mark.parametrize("step", ["swept", f"submitted {FILM.id}", "indexed", "compared"])
def test_a_sweep_that_failed_covers_nothing(floor: Floor, step: str) -> None:
    """Wherever it did."""
    floor.pipeline.overflows = 3
    floor.fails[step] = psycopg.OperationalError("gone")
    floor.pages = [page((FILM, [("1",)]), reconcile=((FILM.id, NOW, "42P01 x"),))]
    with pytest.raises(psycopg.OperationalError):
        floor.polls.scan(START)
    assert not floor.polls.complete


def test_a_silent_sweep_covers_nothing(floor: Floor) -> None:
    """What was dropped may be of tables that it does not read."""
    floor.pipeline.overflows = 3
    floor.polls.scan(START, silent=True)
    assert not floor.polls.complete


# -- what is stamped ahead -------------------------------------------------------------------------


def test_the_first_sweep_reads_what_is_ahead(floor: Floor) -> None:
    """No later one does."""
    floor.polls.catch_up()
    floor.polls.scan(START)
    assert floor.asked == [Asked(START, ahead=True), Asked(START)]


def test_what_is_ahead_is_read_once_more_when_it_is_proven(floor: Floor) -> None:
    """Transactions that were open when the session began have ended by then."""
    floor.news_ahead = [page((FILM, [("1",)]))]
    floor.polls.catch_up()
    floor.steps.clear()
    floor.polls.proven()
    floor.polls.proven()
    assert floor.steps == ["looked ahead", f"submitted {FILM.id}", "indexed"]


def test_what_was_ahead_when_the_session_began(floor: Floor) -> None:
    """Where notifications were missed and a sweep stood in for them, it may be past by now: it is
    looked for from the session's beginning on."""
    floor.pause(5)
    floor.polls.scan(START)
    floor.polls.proven()
    assert floor.steps[-1] == f"looked ahead from {NOW:%H:%M:%S}"


def test_a_look_ahead_that_failed(floor: Floor) -> None:
    """It is due still."""
    floor.fails["looked ahead"] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        floor.polls.proven()
    floor.fails.clear()
    floor.polls.proven()
    assert floor.steps == ["looked ahead"]


def test_looks_ahead_from_time_to_time(floor: Floor) -> None:
    """As often as an audit, of what sends no keys: a clock may be ahead between two ticks."""
    floor.polls.look_ahead()
    assert floor.steps == []
    for _ in range(2):
        floor.pause(61)
        floor.polls.look_ahead()
        floor.polls.look_ahead()
    assert floor.steps == ["looked ahead silently"] * 2


def test_a_new_session_begins_anew(floor: Floor) -> None:
    """What was handed on before may be missing again, and what is ahead is read again."""
    sweep = floor.polls._sweep
    floor.polls.scan(START)
    floor.polls.proven()
    floor.pause(61)
    floor.session(2)
    assert floor.polls._sweep is not sweep
    floor.polls.look_ahead()
    floor.polls.proven()
    assert floor.steps == ["looked ahead"]


# -- changes that are lost -------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [journal.REPAIR_ASKED, journal.REPAIR_ALLOWED])
def test_a_persons_word_is_not_lost_among_others(floor: Floor, asked: str) -> None:
    """A trigger that fails for each statement may write its rows before and after it."""
    rows = [(FILM.id, NOW, reason) for reason in ("42P01 x", asked, "42P01 x")]
    floor.pages = [page(reconcile=tuple(rows))]
    floor.polls.scan(START)
    wanted = Wanted(f"{FILM.id}: 42P01 x", asked == journal.REPAIR_ALLOWED, asked=True)
    assert floor.jobs.compared == [{0: wanted}]


@pytest.mark.parametrize("unknown_ids", [False, True])
def test_what_a_person_asks_for_is_no_sign_of_a_change(floor: Floor, unknown_ids: bool) -> None:
    """A load under way has missed nothing for it; but it has where ids are unknown."""
    if unknown_ids:
        floor.mailbox.put_off_unmapped(0, FAILED)
    floor.pages = [page(reconcile=((FILM.id, NOW, journal.REPAIR_ASKED),))]
    floor.polls.scan(START)
    [compared] = floor.jobs.compared
    assert (compared[0].asked, compared[0].missed) == (True, unknown_ids)


def test_all_kinds_of_a_table_are_compared(floor: Floor) -> None:
    """Those that its keys lead to, and no others. A TRUNCATE may empty their indexes."""
    floor.pages = [page(reconcile=((PERSON.id, NOW, journal.TRUNCATED),))]
    floor.polls.scan(START)
    wanted = Wanted(f"{PERSON.id}: TRUNCATE", unguarded=True, emptied=True)
    assert floor.jobs.compared == [{0: wanted, 1: wanted}]


def test_what_is_compared_since_is_not_compared_again(floor: Floor) -> None:
    """A row of the journal is met again after each start. The latest row counts."""
    floor.jobs.covered = {0: NOW}
    before, later = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    floor.pages = [page(reconcile=((PERSON.id, before, "x"),))]
    floor.polls.scan(START)
    assert [set(one) for one in floor.jobs.compared] == [{1}]
    floor.pages = [page(reconcile=((FILM.id, later, "x"), (FILM.id, before, "x")))]
    floor.polls.scan(START)
    assert [set(one) for one in floor.jobs.compared] == [{1}, {0}]


def test_a_truncate_after_a_comparison_that_could_not_delete(floor: Floor) -> None:
    """That one has not done what the TRUNCATE asks for."""
    floor.jobs.covered = {0: NOW + timedelta(hours=1)}
    truncated = page(reconcile=((FILM.id, NOW, journal.TRUNCATED),))
    floor.pages = [truncated]
    floor.polls.scan(START)
    floor.jobs.covers_deletes = True
    floor.pages = [truncated]
    floor.polls.scan(START)
    assert len(floor.jobs.compared) == 1


def test_changes_are_indexed_before_a_comparison_begins(floor: Floor) -> None:
    """The same sweep may bring both."""
    floor.pages = [page((FILM, [("1",)]), reconcile=((FILM.id, NOW, "x"),))]
    floor.polls.scan(START)
    assert floor.steps == ["swept", f"submitted {FILM.id}", "indexed", "compared"]


def test_unknown_ids_are_compared(floor: Floor) -> None:
    """Also where the mapping file fails in the very sweep. No comparison of before covers them, for
    it is not known what they are."""
    floor.jobs.covered = {0: NOW + timedelta(hours=1)}
    floor.pages = [films("1")]
    floor.then["indexed"] = lambda: floor.mailbox.put_off_unmapped(0, FAILED)
    floor.polls.scan(START)
    assert floor.jobs.compared == [{0: Wanted(FAILED, unguarded=False)}]
    floor.polls.scan(START)
    assert len(floor.jobs.compared) == 1


def test_unknown_ids_and_a_truncate(floor: Floor) -> None:
    """What the TRUNCATE allows is not lost."""
    floor.mailbox.put_off_unmapped(0, FAILED)
    floor.pages = [page(reconcile=((FILM.id, NOW, journal.TRUNCATED),))]
    floor.polls.scan(START)
    assert floor.jobs.compared == [{0: Wanted(FAILED, unguarded=True, emptied=True)}]


def test_unknown_ids_are_put_off_while_a_load_runs(floor: Floor) -> None:
    """A load that began anew each time would never end. They are compared when it is complete."""
    floor.jobs.loading = {0}
    floor.mailbox.put_off_unmapped(0, FAILED)
    floor.mailbox.put_off_unmapped(1, FAILED)
    floor.polls.scan(START)
    assert [set(one) for one in floor.jobs.compared] == [{1}]
    assert floor.mailbox.some_unmapped
    floor.jobs.loading = set()
    floor.polls.scan(START)
    assert floor.jobs.compared[1:] == [{0: Wanted(FAILED, unguarded=False)}]


# -- a poll for the doorbell -----------------------------------------------------------------------


def test_a_poll_for_the_doorbell(floor: Floor) -> None:
    """It is drawn and proven before it reads what is new of silent tables."""
    floor.mailbox.ring()
    floor.polls.answer()
    assert floor.steps == ["clock read", "xid burnt", "proof asked", "swept silently"]
    assert floor.asked == [Asked(START, silent=True, recent=timedelta(seconds=0.1))]
    assert timedelta(seconds=0.1) < OVERLAP
    assert floor.doorbell.due() is None


def test_a_ring_before_there_is_a_watermark(floor: Floor) -> None:
    """There is nothing to poll from; it is answered all the same."""
    floor.session(watermark=None)
    floor.mailbox.ring()
    floor.polls.answer()
    assert floor.asked == []
    assert floor.mailbox.rung == 0


def test_every_sweep_counts_as_a_poll(floor: Floor) -> None:
    """A ring just after one waits for its interval."""
    floor.pause(5)
    floor.polls.scan(START)
    floor.mailbox.ring()
    assert floor.doorbell.due() == pytest.approx(0.02)
