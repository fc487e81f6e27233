"""What a new index may lose beside the one in use, and what holds a load for a person's word."""

from __future__ import annotations

from typing import Any

import pytest

from listener.resync.swap_guard import SwapGuard, Weighed
from tests.kit.resync import Resync, new_load


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
