"""TRUNCATE of tables of both schemas, with nobody else at work in them."""

from __future__ import annotations

from random import Random

from tests.kit.chaos.fault import Fault
from tests.kit.chaos.world import World
from tests.kit.writes.statements import SLICES
from tests.kit.writes.vocabulary import VOCABULARY
from tests.soak.stage import refill

_ALONE = [write for schema in VOCABULARY.values() for write in schema.values() if write.alone]


def truncated(world: World, choice: Random) -> None:
    """One of the writes that must be alone; then the tables are filled again, in part."""
    with world.alone(), world.connect(lock_timeout="5s") as session:
        choice.choice(_ALONE).run(session, choice, choice.randrange(SLICES))
    world.rest(choice.uniform(0, 2))
    with world.alone(), world.connect(lock_timeout="5s") as session:
        for schema in VOCABULARY.values():
            for number in range(SLICES):
                schema["refill"].run(session, choice, number)
        refill(world)


TRUNCATED = Fault("truncated", truncated, frozenset({"rows", "triggers"}))
