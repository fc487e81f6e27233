"""What a new index may lose beside the one in use, and what holds a load for a person's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from listener.resync.swap_guard import SwapGuard, Weighed
from listener.search.existing import Existing
from listener.search.owners import Owner
from tests.kit.resync import Cancelled, FakeIndexes, Resync, new_load
from tests.kit.session import film_index


def weighed(**said: Any) -> Weighed:
    """A load of as many documents as before."""
    return Weighed(**{"alias": "films", "physical": "films-2", "read": 300, "written": 300, **said})


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({"before": 300}, False),
        ({"before": 0, "written": 0}, False),
        ({"before": 300, "written": 0, "lost": 300}, True),
        ({"before": 1, "written": 0, "lost": 1}, True),
        ({"before": 300, "written": 300, "lost": 300}, True),
        ({"before": 300, "written": 1, "lost": 299}, False),
        ({"before": 1001, "written": 1, "lost": 1000}, False),
        ({"before": 1002, "written": 1, "lost": 1001}, True),
        ({"before": 40_000, "written": 38_000, "lost": 2000}, False),
        ({"before": 40_000, "written": 37_999, "lost": 2001}, True),
        ({"before": 40_000, "written": 38_000, "parked": 2000}, False),
        ({"before": 40_000, "written": 40_000, "parked": 2001}, True),
        ({"before": 0, "written": 40_000, "parked": 2000}, False),
        ({"before": 0, "written": 40_000, "parked": 2001}, True),
        ({"before": 300, "untaken": 1}, True),
        ({"before": 0, "written": 0, "parked": 77}, False),
        ({"before": 0, "written": 0, "parked": 100}, True),
        ({"before": 300, "written": 0, "parked": 77}, True),
    ],
)
def test_what_is_not_swapped_in(said: dict[str, Any], held: bool) -> None:
    """More than 1,000 documents and 5 % lost or refused; or nothing left of what there was."""
    assert (weighed(**said).refusal is not None) is held


def test_what_is_said() -> None:
    """Numbers, the first ids and reasons, and the command."""
    told = weighed(
        before=9696,
        written=12,
        lost=9690,
        gone=["a", "b\n"],
        parked=7,
        untaken=3,
        reasons=["mapper_parsing_exception: no", "x" * 500],
    ).refusal
    assert told is not None
    for part in (
        "the new index has 12 documents, and the one in use 9696",
        '9690 of these are gone (a, "b\\n", …)',
        "10 are refused, the first for: mapper_parsing_exception: no; xxx",
        "What is searched now stays, and is fed by what made it.",
        "`listener load films --accept`",
    ):
        assert part in told.told, told
    assert "x" * 300 not in told.told


@pytest.mark.parametrize("others", [True, False])
def test_what_a_comparison_may_delete(monkeypatch: pytest.MonkeyPatch, others: bool) -> None:
    """It is allowed for the index in use. Where the new one is of another definition, that is no
    word on it."""
    room = Resync(monkeypatch)
    if others:
        room.made_by_others()
    nothing: Any = None
    guard = SwapGuard(
        client=nothing,
        indexes=nothing,
        parked=nothing,
        pipeline=nothing,
        under_way=room.under_way,
        keeper=room.keeper,
        observe=room.told.append,
        patience=1,
    )
    room.keeper.want_reconcile("films", unguarded=True)
    lost = weighed(before=300, written=0, lost=300)
    assert guard.holds(room.state, new_load(done=True), lost) is others
    room.state.accepted = True
    assert not guard.holds(room.state, new_load(done=True), lost)


class Behind(FakeIndexes):
    """The indexes behind the alias."""

    def __init__(self, room: Resync, found: Sequence[Existing]) -> None:
        super().__init__(room)
        self.owner = Owner("movies")
        self._found = {one.name: one for one in found}

    def aliases(self, *names: str) -> dict[str, list[str]]:
        """They have the one alias, but where there are none."""
        return {name: list(self._found) for name in names if self._found}

    def get(self, name: str) -> Existing | None:
        """One of them."""
        return self._found.get(name)


IN_USE = film_index("films-1", "uuid-1")
FOREIGN = film_index("theirs", "uuid-7", hash=None, pipeline=None, database=None)


@pytest.mark.parametrize(
    ("found", "saved", "before"),
    [
        ([IN_USE], {"films": "uuid-1"}, 300),
        ([IN_USE], {}, 300),
        ([IN_USE, FOREIGN], {"films": "uuid-1"}, 300),
        ([FOREIGN], {"films": "uuid-1"}, 0),
        ([FOREIGN], {}, 0),
        ([film_index("films-1", "uuid-7", pipeline=None)], {"films": "uuid-1"}, 0),
        ([film_index("films-1", "uuid-7")], {"films": "uuid-1"}, 0),
        ([film_index("others-1", "uuid-7", pipeline="others")], {}, 0),
        ([], {"films": "uuid-1"}, 0),
    ],
    ids=[
        "in use",
        "in use, by no state",
        "shared",
        "moved",
        "moved, by no state",
        "its name by hand",
        "its name and its mapping by hand",
        "of another pipeline",
        "deleted",
    ],
)
def test_what_a_load_is_weighed_against(
    monkeypatch: pytest.MonkeyPatch,
    found: Sequence[Existing],
    saved: Mapping[str, str],
    before: int,
) -> None:
    """Documents that people searched before: of the index that was in use, and of none that
    somebody has put in its place."""
    room = Resync(monkeypatch)
    room.keeper.identify(indexes=saved)
    monkeypatch.setattr("listener.search.counts.count", lambda *_: 256)
    monkeypatch.setattr(
        "listener.search.counts.missing",
        lambda _client, name, ids: [one for one in ids if name == "films-2"],
    )
    monkeypatch.setattr(
        "listener.search.counts.hits",
        lambda _client, name: [[{"_id": f"{name}-{one}"} for one in range(300)]],
    )
    fake: Any = SimpleNamespace(
        indices=SimpleNamespace(refresh=lambda **_: None),
        read=lambda _: [],
        wait_noted=lambda _: True,
    )
    guard = SwapGuard(
        client=fake,
        indexes=Behind(room, found),
        parked=fake,
        pipeline=fake,
        under_way=room.under_way,
        keeper=room.keeper,
        observe=room.told.append,
        patience=1,
    )
    load = new_load(done=True, physical="films-2")
    weighed = guard.weigh(room.connection, room.kinds[0], load, Cancelled(room))
    assert (weighed.before, weighed.lost) == (before, before)
    assert guard.holds(room.state, load, weighed) is bool(before)
    if weighed.before and not saved:  # from here on the saved state speaks of the one that stays
        assert room.disk.identity.indexes == {"films": "uuid-1"}
