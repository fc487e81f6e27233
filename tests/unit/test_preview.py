"""A preview without servers: what becomes of each document, what is tried, and what ends it."""

from __future__ import annotations

import pytest

from listener import search
from listener.observations.events import CompareProgress
from listener.resync import preview_all
from listener.resync.preview_all import LOOKS, ONE_IN
from listener.resync.preview_report import Previewed, PreviewReport
from listener.runtime.lifecycle import Stopped
from tests.kit.previewing import REASON, Previewing

OTHER = '{"title":"another"}'


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Previewing:
    """Three films, the same on both sides; no daemon."""
    return Previewing(monkeypatch)


def counts(report: PreviewReport) -> dict[str, int]:
    """How many there are of each state."""
    return {state: number for state, number in report.counts.items() if number}


# -- all documents ---------------------------------------------------------------------------------


def test_nothing_differs(sides: Previewing) -> None:
    """One of many unchanged documents is tried, and nothing is looked at again."""
    report = sides.all()
    assert counts(report) == {"unchanged": 3}
    assert (report.looked_at, report.indexed, report.tried) == (3, 3, 1)
    assert not report.differs
    assert sides.tried == ["1"]
    assert sides.steps == [
        "scratch index made",
        "read 1,2,3",
        "films-1 asked",
        "films-1 refreshed",
        "films-1 searched",
        "search ended",
        "scratch index removed",
    ]


def test_what_becomes_of_each(sides: Previewing) -> None:
    """A query that fails counts as refused, as does what the mapping does not take."""
    for one in ("4", "5", "6"):
        sides.rows[one] = "{}"
    sides.rows["2"] = OTHER
    del sides.rows["3"]
    sides.faulty.add("5")
    sides.refused.add("6")
    report = sides.all()
    assert counts(report) == {"unchanged": 1, "changed": 1, "gone": 1, "new": 1, "refused": 2}
    assert report.examples == {"changed": ["2"], "gone": ["3"], "new": ["4"], "refused": ["5", "6"]}
    assert [(one.reason, one.ids) for one in report.causes.all()] == [
        ("division by zero", ["5"]),
        (REASON, ["6"]),
    ]
    lines = list(report.lines())
    assert lines[0] == "films: 5 ids of the database, 3 in films-1"
    assert '    title: 1; 2: ~ title: "film 2" → "another"' in lines
    assert report.json()["fields"][0]["before"] == "film 2"


def test_the_same_content_in_other_words(sides: Previewing) -> None:
    """Spaces, and how a number is written, make no document another one."""
    sides.rows["1"], sides.index()["1"] = '{"a": 1.0}', '{"a":1}'
    assert counts(sides.all()) == {"unchanged": 3}


def test_documents_of_a_first_index_are_tried(sides: Previewing) -> None:
    """All of them: no index has taken the like of them."""
    sides.behind = []
    report = sides.all()
    assert sides.tried == ["1", "2", "3"]
    assert counts(report) == {"new": 3}
    assert next(iter(report.lines())) == "films: 3 ids of the database, no index yet"


def test_unchanged_documents_are_tried_in_another_mapping(sides: Previewing) -> None:
    """All of them. That it is another one is a difference by itself."""
    sides.differing = [("mappings", {"dynamic": False}, {"dynamic": "strict"})]
    report = sides.all()
    assert sides.tried == ["1", "2", "3"]
    assert (counts(report), report.differs) == ({"unchanged": 3}, True)
    assert '    ~ mappings.dynamic: false → "strict"' in report.lines()


def test_some_of_many_unchanged_documents_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are spread over all pages, however small these are."""
    monkeypatch.setattr(preview_all, "_MOST", 20)
    sides = Previewing(monkeypatch, 2 * ONE_IN + 1)
    report = sides.all()
    assert sides.tried == ["1", "51", "101"]
    assert (report.tried, report.looked_at) == (3, 101)


def test_other_files_load_anew(sides: Previewing) -> None:
    """That is told, and is no difference by itself: a comment in a query changes its hash."""
    sides.hash = "hash9"
    report = sides.all()
    assert not report.differs
    assert list(report.lines())[-1] == (
        "  films-1 was made by other files: the next start loads a new index"
    )


def test_another_owner_of_the_alias(sides: Previewing) -> None:
    """Nothing is read, and nothing made."""
    sides.foreign = search.Unusable("films belongs to another pipeline")
    with pytest.raises(search.Unusable, match="another pipeline"):
        sides.preview()
    assert sides.steps == []


def test_pages(sides: Previewing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last page is a short one; each document is read once."""
    monkeypatch.setattr(preview_all, "_MOST", 2)
    sides.rows |= dict.fromkeys(("4", "5"), "{}")
    report = sides.all()
    assert [one for one in sides.steps if one.startswith("read")] == [
        "read 1,2",
        "read 3,4",
        "read 5",
        "read 4,5",  # once more, since these differ
    ]
    assert (report.looked_at, counts(report)) == (5, {"unchanged": 3, "new": 2})


def test_how_far_it_is(sides: Previewing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides count."""
    monkeypatch.setattr(preview_all, "_MOST", 2)

    def slow() -> None:
        sides.clock += 6

    sides.meanwhile = {"read 3": slow, "films-1 searched": slow}
    sides.all()
    told = [one for one in sides.told if isinstance(one, CompareProgress)]
    assert [(one.documents, one.total) for one in told] == [(3, 3), (6, 6)]


def test_a_row_that_the_query_returns_only_alone(sides: Previewing) -> None:
    """It depends on the other ids: that is a fault of the query, whatever else is found."""
    row = sides.rows["2"]

    def without() -> None:
        del sides.rows["2"]

    sides.meanwhile["read 1,2,3"] = without
    sides.meanwhile["read 2"] = lambda: sides.rows.update({"2": row})
    report = sides.all()
    assert (report.unsteady, report.not_returned, report.differs) == (["2"], 1, True)
    assert "  the query returns 2 only when asked for alone" in "\n".join(report.lines())


def test_a_row_that_the_query_does_not_return(sides: Previewing) -> None:
    """Alone neither: a filter of the query's. What is not in the index is no difference."""
    sides.filtered.add("4")
    report = sides.all()
    assert (report.unsteady, report.not_returned, report.differs) == ([], 1, False)
    assert "read 4" in sides.steps
    assert "  the query returns no document for 1 ids" in report.lines()


def test_stop(sides: Previewing, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after the page that is under way, and the scratch index goes."""
    monkeypatch.setattr(preview_all, "_MOST", 1)
    sides.meanwhile["read 2"] = sides.stop.request
    with pytest.raises(Stopped):
        sides.all()
    assert "read 3" not in sides.steps
    assert sides.steps[-1] == "scratch index removed"


def test_stop_while_the_index_is_read(sides: Previewing) -> None:
    """What differs is not looked at again."""
    sides.rows["1"] = OTHER
    sides.meanwhile["films-1 searched"] = sides.stop.request
    with pytest.raises(Stopped):
        sides.all()
    assert [one for one in sides.steps if one.startswith("read")] == ["read 1,2,3"]
    assert sides.steps[-1] == "scratch index removed"


def test_a_trial_that_cannot_go_on(sides: Previewing) -> None:
    """The index in use is not searched any more."""
    sides.fails = search.Unreadable("no room")
    with pytest.raises(search.Unreadable, match="no room"):
        sides.all()
    assert "films-1 searched" not in sides.steps
    assert sides.steps[-1] == "scratch index removed"


def test_what_mends_a_refusal_takes_other_documents_too(sides: Previewing) -> None:
    """A type is told that holds the values of documents that were taken as well."""
    sides.rows = {"1": '{"title":7}', "2": '{"title":8}', "3": '{"title":"x"}'}
    sides.behind = []
    sides.refused.add("1")
    [cause] = sides.all().causes.all()
    assert (cause.example, cause.count) == (7, 1)
    assert '"title": {"type": "keyword"}' in cause.mend


def test_fields_of_many_documents(sides: Previewing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the first ones are told; all are counted."""
    monkeypatch.setattr(preview_all, "_IN_FIELDS", 2)
    sides.rows = dict.fromkeys(sides.rows, OTHER)
    report = sides.all()
    assert counts(report) == {"changed": 3}
    assert report.fields["title"].count == 2


# -- once more -------------------------------------------------------------------------------------


def test_what_differs_is_looked_at_again(sides: Previewing) -> None:
    """Each was late: a row written since, one deleted on both sides, one that is back."""
    sides.rows["1"] = sides.rows["4"] = OTHER
    row = sides.rows.pop("3")

    def later() -> None:
        sides.index()["1"] = OTHER
        del sides.rows["4"]
        sides.rows["3"] = row

    sides.meanwhile["search ended"] = later
    report = sides.all()
    assert counts(report) == {"unchanged": 3}
    assert report.fields == {}
    assert "waited" not in sides.steps


def test_beside_a_daemon(sides: Previewing) -> None:
    """It gets some time, and no more than that: what differs then is told, with its fields."""
    sides.daemon.active = True
    sides.rows["1"] = sides.rows["2"] = OTHER
    sides.meanwhile["waited"] = lambda: sides.index().update({"1": OTHER})
    report = sides.all()
    assert counts(report) == {"unchanged": 2, "changed": 1}
    assert report.fields["title"].count == 1
    assert sides.steps.count("waited") == LOOKS - 1
    assert [one for one in sides.steps if one.startswith("read")][1:] == [
        "read 1,2",
        "read 1,2",
        "read 2",
    ]


def test_a_daemon_that_has_caught_up(sides: Previewing) -> None:
    """Then nothing is left to be looked at."""
    sides.daemon.active = True
    sides.rows["1"] = OTHER
    sides.meanwhile["waited"] = lambda: sides.index().update({"1": OTHER})
    assert counts(sides.all()) == {"unchanged": 3}
    assert sides.steps.count("waited") == 1


def test_stop_while_a_daemon_gets_time(sides: Previewing) -> None:
    """No report is made of what may only be late."""
    sides.daemon.active = True
    sides.rows["1"] = OTHER
    sides.meanwhile["waited"] = sides.stop.request
    with pytest.raises(Stopped):
        sides.all()


def test_a_query_that_fails_by_now(sides: Previewing) -> None:
    """It counts once, as what it is now."""
    sides.rows["1"] = OTHER
    sides.meanwhile["search ended"] = lambda: sides.faulty.add("1")
    report = sides.all()
    assert counts(report) == {"unchanged": 2, "refused": 1}
    assert [one.ids for one in report.causes.all()] == [["1"]]


def test_too_many_to_remember(sides: Previewing, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted at once; a look at some of them would say nothing of the others."""
    monkeypatch.setattr(preview_all, "REMEMBERED", 1)
    sides.daemon.active = True
    sides.rows = dict.fromkeys(sides.rows, OTHER)
    report = sides.all()
    assert counts(report) == {"changed": 3}
    assert report.fields["title"].count == 3
    assert [one for one in sides.steps if one.startswith("read")] == ["read 1,2,3"]
    assert "waited" not in sides.steps


# -- a sample --------------------------------------------------------------------------------------


def test_a_sample(sides: Previewing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both sides as many: an id of the index without a row is gone there, too."""
    monkeypatch.setattr(preview_all, "_MOST", 2)
    sides.index().clear()
    sides.index().update({"title": "{}", "1": sides.rows["1"], "9": "{}"})
    report = sides.all(3)
    assert sides.sampled == [3]
    assert counts(report) == {"unchanged": 1, "new": 2, "gone": 2}
    assert (report.looked_at, report.indexed, report.sampled) == (3, 3, True)
    assert "films: a sample of 3 ids of the database, 3 in films-1" in report.lines()
    assert "films-1 refreshed" not in sides.steps


@pytest.mark.parametrize("remembered", [0, preview_all.REMEMBERED])
def test_a_sampled_row_that_the_query_does_not_return(
    sides: Previewing, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    """It is gone where the index has it, drawn from there or not, and it is counted once."""
    monkeypatch.setattr(preview_all, "REMEMBERED", remembered)
    for one in ("1", "2"):
        sides.filtered.add(one)
        del sides.rows[one]
    sides.index().clear()
    sides.index().update({"3": sides.rows["3"], "1": "{}"})
    assert counts(sides.all(2)) == {"gone": 1}
    sides.index().clear()
    sides.index().update({"3": sides.rows["3"], "9": "{}", "1": "{}"})
    report = sides.all(2)
    assert sorted(report.examples["gone"]) == ["1", "9"]
    assert (report.not_returned, report.differs) == (2, True)


def test_a_sample_without_an_index(sides: Previewing) -> None:
    """Nothing is searched."""
    sides.behind = []
    report = sides.all(2)
    assert counts(report) == {"new": 2}
    assert (report.looked_at, report.indexed) == (2, 0)


# -- some documents --------------------------------------------------------------------------------


def some(sides: Previewing, *ids: str) -> dict[str, Previewed]:
    """Those documents."""
    return {one.id: one for one in sides.preview().some(ids)}


def test_some_documents(sides: Previewing) -> None:
    """In the order in which they were asked for, each once; others are left alone."""
    sides.rows["2"], sides.rows["4"] = OTHER, "{}"
    del sides.rows["3"]
    sides.faulty.add("5")
    sides.parked.add("2")
    asked = ["4", "2", "1", "2", "3", "5", "6"]
    found = some(sides, *asked)
    assert list(found) == ["4", "2", "1", "3", "5", "6"]
    assert [one.state for one in found.values()] == [
        "new",
        "changed",
        "unchanged",
        "gone",
        "refused",
        "absent",
    ]
    assert [one.path for one in found["2"].fields] == ["title"]
    assert [one.id for one in found.values() if one.parked] == ["2"]
    assert [one.id for one in found.values() if one.differs] == ["4", "2", "3", "5"]
    assert found["5"].cause is not None
    assert found["5"].cause.reason == "division by zero"
    assert sides.steps[-1] == "scratch index removed"
    assert sides.sampled == []


def test_an_id_that_no_row_can_have(sides: Previewing) -> None:
    """The query is not asked for it. How ids are written is told; what the index has of it is
    gone."""
    sides.index()["title"] = "{}"
    found = some(sides, "007", "title", "1")
    assert [(one.state, one.impossible) for one in found.values()] == [
        ("absent", True),
        ("gone", False),
        ("unchanged", False),
    ]
    told = "no row can have this id: an id is id (bigint), such as 1"
    assert [found[one].reason for one in ("007", "title", "1")] == [told, told, ""]
    assert f"  {told}" in found["007"].lines()
    assert [one for one in sides.steps if one.startswith("read")] == ["read 1"]


def test_an_id_that_is_written_otherwise(sides: Previewing) -> None:
    """PostgreSQL takes it for the key of a row; as an id it is of no document."""
    row = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    sides.keyed(("uuid",), ("id",))
    sides.rows = {row: "{}"}
    one = some(sides, row.upper())[row.upper()]
    assert (one.state, one.impossible) == ("absent", True)
    assert one.reason == f"no row can have this id: it is written {row}"


def test_ids_of_several_parts(sides: Previewing) -> None:
    """Any spacing will do, but where the index has a document under what was written."""
    sides.keyed(("bigint", "text"), ("id", "language"))
    sides.rows = {'[1, "de"]': "{}", '[2, "de"]': "{}"}
    sides.index().clear()
    sides.index().update({'[1, "de"]': "{}", '[2,"de"]': "{}"})
    found = some(sides, '[1,"de"]', '[ 1, "de" ]', '[2,"de"]')
    assert [(one.id, one.state) for one in found.values()] == [
        ('[1, "de"]', "unchanged"),
        ('[2,"de"]', "gone"),
    ]


def test_a_refused_document(sides: Previewing) -> None:
    """Others are read once, however many are refused: a mapping must take their values, too. Those
    of which the query makes nothing say nothing."""
    sides.rows = {"1": '{"title":7}', "2": '{"title":8}', "3": '{"title":"x"}'}
    sides.faulty.add("4")
    sides.filtered.add("5")
    sides.refused |= {"1", "2"}
    sides.held = True
    found = some(sides, "1", "2")
    for doc_id, value in (("1", 7), ("2", 8)):
        one = found[doc_id]
        assert (one.state, one.document) == ("refused", {"title": value})
        assert [(field.before, field.after) for field in one.fields] == [(f"film {doc_id}", value)]
        assert one.cause is not None
        assert (one.cause.reason, one.cause.example, one.cause.held) == (REASON, value, True)
        assert '"title": {"type": "keyword"}' in one.cause.mend
    assert len(sides.sampled) == 1


def test_many_ids(sides: Previewing) -> None:
    """They are read by the hundred, and told as they come: the first before the last are read."""
    sides.rows = {str(one): "{}" for one in range(150)}
    told = sides.preview().some(list(sides.rows))
    assert next(told).id == "0"
    assert len([one for one in sides.steps if one.startswith("read")]) == 1
    assert len(list(told)) == 149
    assert len([one for one in sides.steps if one.startswith("read")]) == 2
    assert sides.steps[-1] == "scratch index removed"


def test_an_id_that_elasticsearch_does_not_take(sides: Previewing) -> None:
    """It is not asked for, or the whole request would be refused."""
    long = "1" * 600
    sides.keyed(("text",), ("id",))
    sides.rows[long] = "{}"
    assert some(sides, long, "1")[long].state == "new"
    assert long not in sides.asked
