"""Each fault of the soak by itself: it is made, told and made undone."""

from __future__ import annotations

import json
from random import Random

import pytest

from tests.kit.chaos.restores import COPY
from tests.soak.__main__ import KINDS
from tests.soak.settle import settle
from tests.soak.stage import Stage


class Brief(Random):
    """Draws as its seed says, but the shortest of the times that it is asked for."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("search_went_back", "written and indexed between: True"),
        ("document_left_out", "document_left_out: soak-"),
        ("view_replaced", "daemons"),
        ("alias_doubled", "the bulk's alias led to 2"),
        ("control_damaged", "control_damaged: "),
        ("tables_swapped", "tables_swapped: "),
        ("key_retyped", "ids over 2^31"),
        ("stamped_ahead", "s: True"),
        ("rights_revoked", " on "),
        ("path_altered", "to number "),
    ],
)
def test_faults_are_made_undone_and_told(soak_stage: Stage, name: str, told: str) -> None:
    """Each by itself, a moment after a daemon was started. Those that restart Elasticsearch take
    longer, and are left to the run. That all heals is asked once, below."""
    world, outcomes = soak_stage.world, list[str]()
    world.tell = outcomes.append
    before = json.dumps(world.scene.options["documents"])
    world.follower.kill()
    world.heal()
    KINDS[name].run(world, Brief(name))
    assert told in outcomes[-1]
    assert json.dumps(world.scene.options["documents"]) == before
    assert not world.answer("GET", f"/{COPY}*")
    assert not world.scene.admin(
        "SELECT 1 WHERE num_nonnulls(to_regclass('cards.ticket_other'), "
        "to_regclass('cards.card_other')) > 0"
    )
    [(kind,)] = world.scene.admin(
        "SELECT atttypid::regtype::text FROM pg_attribute "
        "WHERE attrelid = 'cards.ticket'::regclass AND attname = 'id'"
    )
    assert kind == "integer"
    world.all_up()  # none ended


@pytest.mark.parametrize(
    ("name", "told"), [("query_changed", "revision "), ("rolled_back", "status 0, went back")]
)
def test_files_are_changed_and_gone_back_to(soak_stage: Stage, name: str, told: str) -> None:
    """The files that are left are in force; the former index equals the query that it keeps."""
    world, outcomes = soak_stage.world, list[str]()
    world.tell = outcomes.append
    world.heal()
    KINDS[name].run(world, Brief(name))
    assert told in outcomes[-1]
    settle(soak_stage)


def test_all_of_them_heal(soak_stage: Stage) -> None:
    """After the faults above: index = query."""
    settle(soak_stage)
