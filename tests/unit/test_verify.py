"""`verify` without servers: what is wrong, what is only late, and how long it waits."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from listener.observations.events import CompareProgress, VerifyImpatient
from listener.resync import compare
from listener.resync import verify as module
from listener.resync.verify import LOOKS, MOST_LOOKS, WATERMARK_PATIENCE, Verification, Verified
from listener.runtime.lifecycle import Stopped
from listener.search import counts
from tests.kit.comparing import Sides
from tests.kit.session import NOW, saved_state

OTHER = '{"title": "another"}'


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    """Three films, the same on both sides; no daemon."""
    return Sides(monkeypatch)


def verification(sides: Sides) -> Verification:
    """Of these sides."""
    daemon: Any = sides.daemon
    parked: Any = SimpleNamespace(ids=lambda *_: frozenset(sides.parked))
    return Verification(
        connection=sides.connection,
        client=sides.client,
        control=daemon,
        parked=parked,
        daemon=daemon,
        observe=sides.told.append,
        stop=sides.stop,
    )


def verify(sides: Sides) -> Verified:
    """Compare the films."""
    return verification(sides).run(sides.kind)


def wrong(found: Verified) -> list[str]:
    """The ids that are wrong."""
    return [key[0] for key in found.wrong]


# -- what is wrong ---------------------------------------------------------------------------------


def test_both_sides_are_the_same(sides: Sides) -> None:
    """Both are counted. Nothing is looked at again, and no daemon is asked."""
    sides.daemon.active = True
    found = verify(sides)
    assert (found.report.documents, found.report.indexed) == (3, 3)
    assert (found.report.wrong, found.wrong) == (0, ())
    assert [one for one in sides.steps if one.startswith("read")] == ["read 1,2,3"]
    assert "rung" not in sides.steps


def _missing(sides: Sides) -> None:
    del sides.index()["2"]


def _stale(sides: Sides) -> None:
    sides.index()["2"] = OTHER


def _orphaned(sides: Sides) -> None:
    del sides.rows["2"]


def _parked_orphan(sides: Sides) -> None:
    del sides.rows["2"]
    sides.parked.add("2")


@pytest.mark.parametrize(
    ("arrange", "difference"),
    [
        (_missing, "missing"),
        (_stale, "stale"),
        (_orphaned, "orphaned"),
        (_parked_orphan, "orphaned"),
    ],
)
def test_what_differs_is_wrong(sides: Sides, arrange: Any, difference: str) -> None:
    """A parked document whose row is gone, too: it was deleted, whatever was wrong with it."""
    arrange(sides)
    found = verify(sides)
    assert dict(found.report.counts) == {difference: 1}
    assert found.report.wrong == 1
    assert wrong(found) == ["2"]


def _put_aside(sides: Sides) -> None:
    sides.parked.add("2")
    sides.index()["2"] = OTHER


def _query_fails(sides: Sides) -> None:
    sides.faulty.add("2")


@pytest.mark.parametrize("arrange", [_put_aside, _query_fails])
def test_what_is_parked_is_named_and_not_wrong(sides: Sides, arrange: Any) -> None:
    """No daemon mends it: nothing is waited for."""
    sides.daemon.active = True
    arrange(sides)
    found = verify(sides)
    assert (found.report.wrong, found.report.parked, found.wrong) == (0, 1, ())
    assert found.to_repair, "a person may have it tried again"
    assert "rung" not in sides.steps


def test_a_misplaced_document_is_wrong_at_once(sides: Sides) -> None:
    """A second look by its id may find another copy, and call it right."""
    sides.routed.add("2")
    found = verify(sides)
    assert dict(found.report.counts) == {"misplaced": 1}
    assert found.report.wrong == 1
    assert [one for one in sides.steps if one.startswith("read")] == ["read 1,2,3"]


def test_many_are_counted_and_a_few_looked_at_again(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of which all is wrong is no matter of memory."""
    monkeypatch.setattr(module, "REMEMBERED", 2)
    sides.indexes["films-1"] = {}
    found = verify(sides)
    assert found.report.counts["missing"] == 3
    assert wrong(found) == ["1", "2"]
    assert sides.steps[-2:] == ["read 1,2", "films-1 asked"]


# -- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [3, 4])
def test_the_end_of_a_page(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Each document is looked at once: the last of a page, and the first of the next one."""
    monkeypatch.setattr(compare, "_MOST", 2)
    monkeypatch.setattr(counts, "_IDS", 2)
    sides = Sides(monkeypatch, number)
    for one in ("2", "3"):
        sides.index()[one] = OTHER
    sides.index().update({"7": OTHER, "8": OTHER, "9": OTHER})
    found = verify(sides)
    assert (found.report.documents, found.report.indexed) == (number, number + 3)
    assert dict(found.report.counts) == {"stale": 2, "orphaned": 3}
    assert wrong(found) == ["2", "3", "7", "8", "9"]


@pytest.mark.parametrize("step", ["read 1,2", "films-1 searched"])
def test_a_stop_between_pages(sides: Sides, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """On either side. The search is ended, too."""
    monkeypatch.setattr(compare, "_MOST", 2)
    sides.meanwhile[step] = sides.stop.request
    with pytest.raises(Stopped):
        verify(sides)
    if step == "read 1,2":
        assert "read 3" not in sides.steps
    else:
        assert sides.steps[-1] == "search ended"


def test_progress_is_told(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both sides."""
    monkeypatch.setattr(compare, "_MOST", 2)

    def slow() -> None:
        sides.clock += 10

    sides.meanwhile = {"read 3": slow, "films-1 searched": slow}
    verify(sides)
    told = [one for one in sides.told if isinstance(one, CompareProgress)]
    assert [(one.documents, one.total) for one in told] == [(3, 3), (6, 6)]


# -- the index behind the alias --------------------------------------------------------------------


def test_the_index_is_asked_by_its_own_name(sides: Sides) -> None:
    """The alias may have a filter or a routing."""
    verify(sides)
    assert "films-1 asked" in sides.steps
    assert "films-1 searched" in sides.steps


def test_a_load_swaps_the_alias_meanwhile(sides: Sides) -> None:
    """What differed is looked at in the new index: the one before is fed no more."""
    sides.index()["2"] = OTHER
    sides.indexes["films-2"] = dict(sides.rows)

    def swap() -> None:
        sides.behind = ["films-2"]

    sides.meanwhile["search ended"] = swap
    found = verify(sides)
    assert found.wrong == ()
    assert sides.steps[-2:] == ["read 2", "films-2 asked"]


@pytest.mark.parametrize("behind", [[], ["films-1", "films-2"]])
def test_an_alias_of_no_single_index(sides: Sides, behind: list[str]) -> None:
    """It is asked itself: what the server then says is told."""
    sides.behind = behind
    sides.indexes["films"] = dict(sides.rows)
    assert verify(sides).wrong == ()
    assert "films asked" in sides.steps


# -- what is looked at again -----------------------------------------------------------------------


def test_a_document_that_is_changed_during_the_run(sides: Sides) -> None:
    """It was written between the two reads: at the second look both sides are the same."""
    sides.meanwhile["read 1,2,3"] = lambda: sides.index().update({"2": OTHER})
    sides.meanwhile["search ended"] = lambda: sides.rows.update({"2": OTHER})
    found = verify(sides)
    assert (found.report.wrong, found.wrong) == (0, ())
    assert sides.steps[-2:] == ["read 2", "films-1 asked"]


def test_without_a_daemon_there_is_one_more_look(sides: Sides) -> None:
    """Nobody mends it, and nothing is waited for."""
    sides.index()["2"] = OTHER
    assert wrong(verify(sides)) == ["2"]
    assert sides.steps.count("read 2") == 1
    assert not {"rung", "moment taken", "waited"} & set(sides.steps)


def test_the_daemon_has_its_chance(sides: Sides) -> None:
    """What differs is looked at again when the daemon's watermark has passed the first look."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER

    def mend() -> None:
        sides.index().update(sides.rows)
        sides.daemon.passes()

    sides.daemon.at_rings = [lambda: None, mend]
    found = verify(sides)
    assert found.wrong == ()
    again = sides.steps.index("moment taken")
    assert sides.steps[again:] == [
        *("moment taken", "rung", "control read", "waited", "rung", "control read"),
        *("read 2", "films-1 asked"),
    ]


@pytest.mark.parametrize(("late", "called"), [(LOOKS - 1, []), (LOOKS, ["2"])])
def test_a_document_that_is_changed_again_and_again(
    sides: Sides, late: int, called: list[str]
) -> None:
    """It may differ at each look, and be late each time. What is wrong differs at all of them."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER
    looks = 0

    def passes() -> None:
        nonlocal looks
        looks += 1
        sides.daemon.passes()
        if looks > late:
            sides.index().update(sides.rows)

    sides.daemon.at_rings = [passes] * LOOKS
    assert wrong(verify(sides)) == called
    assert sides.steps.count("read 2") == LOOKS


@pytest.mark.parametrize(
    ("late", "called"), [(LOOKS, []), (MOST_LOOKS - 1, []), (MOST_LOOKS, ["2"])]
)
def test_a_document_that_the_daemon_is_at_work_on(
    sides: Sides, late: int, called: list[str]
) -> None:
    """While the index gets another copy from look to look, the daemon is not done with it."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER

    def passes() -> None:
        sides.daemon.passes()
        sides.written["2"] += 1
        if sides.written["2"] > late:
            sides.index().update(sides.rows)

    sides.daemon.at_rings = [passes] * MOST_LOOKS
    assert wrong(verify(sides)) == called
    assert sides.steps.count("read 2") == min(late + 1, MOST_LOOKS)


def test_the_daemon_is_done_and_the_copy_is_wrong(sides: Sides) -> None:
    """So many looks with one and the same copy, from its last write on."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER

    def written() -> None:
        sides.daemon.passes()
        sides.written["2"] += 1

    sides.daemon.at_rings = [written, written, *[sides.daemon.passes] * LOOKS]
    assert wrong(verify(sides)) == ["2"]
    assert sides.steps.count("read 2") == 2 + LOOKS


def test_only_what_still_differs_is_looked_at_again(sides: Sides) -> None:
    """What was right once is not called wrong for a change that came later."""
    sides.daemon.active = True
    sides.index().update({"1": OTHER, "2": OTHER})

    def write(body: str) -> None:
        sides.index()["1"] = body
        sides.daemon.passes()

    sides.daemon.at_rings = [lambda: write(sides.rows["1"]), *[lambda: write(OTHER)] * 2]
    assert wrong(verify(sides)) == ["2"]
    looks = [one for one in sides.steps if one.startswith("read")]
    assert looks == ["read 1,2,3", "read 1,2", "read 2", "read 2"]


def test_a_watermark_that_stands(sides: Sides) -> None:
    """It would stand at the next look, too: one look is enough. The doubt is told."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER
    assert wrong(verify(sides)) == ["2"]
    assert sides.told == [VerifyImpatient(WATERMARK_PATIENCE)]
    assert sides.steps.count("read 2") == 1
    assert sides.clock == 100 + WATERMARK_PATIENCE


def test_a_daemon_that_ends_meanwhile(sides: Sides) -> None:
    """It mends no more, and is not waited for again."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER

    def end() -> None:
        sides.daemon.active = False
        sides.daemon.passes()

    sides.daemon.at_rings = [end]
    assert wrong(verify(sides)) == ["2"]
    assert sides.steps.count("rung") == 1


def test_a_stop_while_the_daemon_is_waited_for(sides: Sides) -> None:
    """It ends at once."""
    sides.daemon.active = True
    sides.index()["2"] = OTHER
    sides.meanwhile["rung"] = sides.stop.request
    with pytest.raises(Stopped):
        verify(sides)
    assert sides.steps[-1] == "waited"


# -- waiting for the daemon ------------------------------------------------------------------------


@pytest.mark.parametrize(("microseconds", "enough"), [(-1, False), (0, True)])
def test_the_watermark_must_pass_the_moment(sides: Sides, microseconds: int, enough: bool) -> None:
    """The moment of the call, by the server's clock: what was seen before is stamped before."""
    moment = NOW + timedelta(microseconds=microseconds)
    sides.daemon.state = saved_state(last_processed=moment)
    assert verification(sides).wait_for_daemon() is enough


@pytest.mark.parametrize(
    ("lsn", "mended", "enough"),
    [("0/21", False, True), ("0/20", False, False), ("0/1F", False, False), ("0/21", True, False)],
)
def test_a_comparison_is_due_there(sides: Sides, lsn: str, mended: bool, enough: bool) -> None:
    """The watermark stands, perhaps for a person's word. A tick that began later will do, unless
    what is waited for is that comparison."""
    sides.daemon.state = saved_state({"wal_lsn": lsn}, reconcile={"films": False})
    assert verification(sides).wait_for_daemon(mended=mended) is enough
    assert bool(sides.told) is not enough


def test_a_repair_is_waited_for_as_long_as_it_may_take(sides: Sides) -> None:
    """It is a comparison as this one was, perhaps behind one that was under way."""
    verification(sides).wait_for_repair(took=100)
    assert sides.told == [VerifyImpatient(WATERMARK_PATIENCE + 300)]


def test_a_later_tick_is_not_enough_where_nothing_is_due(sides: Sides) -> None:
    """The watermark will move."""
    sides.daemon.state = saved_state({"wal_lsn": "0/21"})
    assert not verification(sides).wait_for_daemon(patience=3.0)
    assert sides.told == [VerifyImpatient(3.0)]


def test_a_control_document_that_is_not_there(sides: Sides) -> None:
    """It is looked at again."""
    sides.daemon.state = None
    sides.daemon.at_rings = [lambda: None, sides.daemon.passes]
    assert verification(sides).wait_for_daemon()
    assert sides.steps.count("control read") == 2
