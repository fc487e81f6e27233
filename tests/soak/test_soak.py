"""The soak itself: its plan, a short run, and that it finds what is wrong."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.kit.chaos.fault import fault
from tests.kit.chaos.operations import MODES
from tests.kit.chaos.vocabulary import FAULTS
from tests.kit.chaos.world import World
from tests.soak.__main__ import KINDS, main
from tests.soak.plan import Step, plan
from tests.soak.run import Run
from tests.soak.stage import Stage

HOUR = 200
"""Faults that an hour has at least."""


def steps(seed: int, count: int) -> list[Step]:
    """The first steps of a plan."""
    return list(itertools.islice(plan(seed, KINDS, 20), count))


def test_plan_is_drawn_from_the_seed_alone() -> None:
    """The same seed gives the same faults, pauses and choices; another one does not."""
    assert steps(7, 300) == steps(7, 300)
    assert steps(7, 300) != steps(8, 300)
    one, other = steps(7, 2)
    assert one.choice(7, 0).random() == one.choice(7, 0).random()
    draws = {one.choice(7, 0).random(), one.choice(7, 1).random(), other.choice(7, 0).random()}
    assert len({*draws, one.choice(8, 0).random()}) == 4


@pytest.mark.parametrize("seed", range(5))
def test_plan_of_an_hour_has_everything(seed: int) -> None:
    """All kinds, all modes several times, settle points often, some faults at once; two at once
    never break the same part."""
    found: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    since = together = 0
    for step in steps(seed, HOUR):
        found.update(one.name for one in step.faults)
        modes.update([step.notify] if step.notify else [])
        since = 0 if step.settle else since + len(step.faults)
        assert since <= 8
        if len(step.faults) == 2:
            together += 1
            assert not step.faults[0].holds & step.faults[1].holds
        if found.total() >= HOUR:
            break
    assert set(found) == set(KINDS)
    assert len(found) >= 40
    assert set(modes) == set(MODES)
    assert min(modes.values()) >= 3
    assert together >= 20


def test_usage() -> None:
    """A fault that there is not."""
    with pytest.raises(SystemExit) as ended:
        main(["--only", "no_such_fault"])
    assert ended.value.code == 2


@pytest.mark.long
def test_short_run(soak_stage: Stage) -> None:
    """A takeover under writes: nothing to complain of."""
    run = Run(soak_stage, 1, 0, {"kill_active": FAULTS["kill_active"]})
    assert run.go() == 0
    print(run.line)
    assert run.faults == {"kill_active": 1}
    assert len(run.settled) == 2
    assert run.line.endswith("0 divergences")
    assert soak_stage.writers.committed > 0


def lie(world: World, choice: Random) -> None:
    """Somebody changes the index behind the daemon's back."""
    [(key,)] = world.scene.admin("SELECT md5('bulk 77')::uuid::text")
    assert world.ask("DELETE", f"/{world.aliases[0]}/_doc/{key}")


def test_difference_ends_the_run(soak_stage: Stage) -> None:
    """Status 1, and what is needed to understand it is kept."""
    run = Run(soak_stage, 1, 0, {"lie": fault(lie, "index")}, patience=6)
    assert run.go() == 1
    assert run.line.endswith("1 divergences")
    [document] = json.loads((soak_stage.folder / "documents.json").read_text("utf-8"))
    assert document["query"]["title"] == "Bulk 77"
    assert document["index"] is None
    assert any(row[0] == "content.film_work" for row in document["rows"])
    assert "missing: 1 documents" in (soak_stage.folder / "differences.txt").read_text("utf-8")
    kept = {path.name for path in soak_stage.folder.iterdir()}
    assert kept >= {"history.txt", "writers.txt", "index.json", "database.json", "why.txt"}
    assert any((soak_stage.folder / "daemons").glob("*-one.log"))
    assert any(soak_stage.folder.glob("postgres-*.log"))
    assert Path(soak_stage.folder, "why.txt").read_text("utf-8").count("(no ") == 0
