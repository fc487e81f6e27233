"""A settle point: everything heals, writers pause, and the index must come to equal the query."""

from __future__ import annotations

import time
from dataclasses import dataclass

import yaml

from playground.convergence import Differences, differences
from tests.kit.chaos.daemons import remember_state
from tests.kit.chaos.world import World
from tests.kit.scene import OWNER
from tests.soak.changed_files import former_definitions
from tests.soak.stage import Stage

PATIENCE = 90.0
"""Seconds until a difference that stays is a divergence."""
MEMORY = 300 * 1024 * 1024
"""Resident bytes that no daemon may reach."""
_BUSY = 60.0
"""Seconds in which a writer ends its transaction."""
_PATH = f"""
    SELECT coalesce(max(substr(one, 13)), $$''$$)
    FROM pg_db_role_setting AS s, unnest(s.setconfig) AS one
    WHERE s.setrole = '{OWNER}'::regrole AND one LIKE 'search\\_path=%'"""
"""What the names without a schema mean to the daemon's role now."""


class Diverged(Exception):
    """The index does not come to equal the query."""

    def __init__(self, found: Differences, seconds: float) -> None:
        super().__init__(f"index is not query after {seconds:.0f} s:\n{found.report()}")
        self.found = found


class Broken(Exception):
    """Another promise was broken: the message says which."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a settle point went."""

    seconds: float
    """From the end of the last write until index = query."""
    guarded: bool
    """A daemon waited for a word on deletes, as it should, and was given it."""


def settle(stage: Stage, patience: float = PATIENCE) -> Settled:
    """Raises Diverged, or Broken, and NotInTime for writers that do not end."""
    world = stage.world
    world.heal()
    with stage.writers.gate.closed(_BUSY):
        began = time.monotonic()
        guarded = wait_converged(world, patience)
        seconds = time.monotonic() - began
        check(stage)
        stage.writers.settled()
        remember_state(world)
    return Settled(seconds, guarded)


def wait_converged(world: World, patience: float) -> bool:
    """Wait for index = query; whether a person had to allow deletes. Raises Diverged."""
    began = time.monotonic()
    guarded = False
    while found := compared(world):
        if time.monotonic() - began > patience:
            raise Diverged(found, time.monotonic() - began)
        if not guarded and found.orphaned and _waits_for_a_word(world):
            guarded = True
            process = world.active.command("verify", "--repair", "--allow-deletes")
            world.wait(lambda p=process: not p.running, seconds=30)  # type: ignore[misc]
            world.active.bury(process)
        world.rest(0.2)
    return guarded


def compared(world: World) -> Differences:
    """Where index and query do not agree now: the indexes in use by the files, the former ones that
    are fed by the queries that they keep."""
    scene = world.scene
    [(path,)] = scene.admin(_PATH)
    formers = scene.folder / "formers"
    documents = former_definitions(world, formers)
    both = scene.folder / "compared.yaml"
    both.write_text(
        yaml.safe_dump({"documents": [*scene.options["documents"], *documents]}), "utf-8"
    )
    return differences(both, scene.postgres.dsn(scene.database), scene.search.url, search_path=path)


def check(stage: Stage) -> None:
    """What must be so beside index = query. Raises Broken."""
    world = stage.world
    if stage.crashes:
        raise Broken(f"a daemon crashed: {stage.crashes[0]}")
    for seat in world.seats:
        seat.measure()
        if seat.deaths or not seat.running:
            raise Broken(f"the daemon {seat.name} ended by itself: {seat.deaths}")
        if seat.most_memory > MEMORY:
            raise Broken(f"the daemon {seat.name} took {seat.most_memory >> 20} MB")
        if seat.process.found("crashed"):
            raise Broken(f"the daemon {seat.name} crashed")
    trouble = stage.writers.trouble
    if trouble:
        raise Broken("writers: " + "\n  ".join(trouble[:5]))
    # a daemon makes its schema anew where it was dropped
    there = "SELECT to_regclass('listener.parked') IS NOT NULL"
    world.wait(lambda: bool(world.scene.admin(there)[0][0]), seconds=30, what="schema listener")
    [(parked,)] = world.scene.admin("SELECT count(*) FROM listener.parked")
    if parked:
        raise Broken(f"{parked} documents are parked")


def _waits_for_a_word(world: World) -> bool:
    return any(seat.running and seat.process.found("deletes_guarded") for seat in world.seats)
