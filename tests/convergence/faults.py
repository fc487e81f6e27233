"""Faults that stand until they are mended: writes go on meanwhile. Those of tests/kit/chaos mend
themselves after some seconds; these take no time."""

from __future__ import annotations

import signal
from random import Random
from typing import Final

from tests.kit.chaos.fault import Fault, fault
from tests.kit.chaos.world import Seat, World

_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'listener: %' {which}"""


def _one(world: World, choice: Random) -> Seat:
    return choice.choice(world.seats)


# -- daemons ---------------------------------------------------------------------------------------


def kill(world: World, choice: Random) -> None:
    """SIGKILL; it stays away."""
    _one(world, choice).kill()


def kill_and_start(world: World, choice: Random) -> None:
    """SIGKILL of the active one, and a start at once."""
    seat = world.active
    seat.kill()
    seat.start()


def start(world: World, choice: Random) -> None:
    """All that are away."""
    for seat in world.seats:
        seat.start()


def lose_state(world: World, choice: Random) -> None:
    """SIGKILL, and state.yaml is gone."""
    seat = _one(world, choice)
    seat.kill()
    seat.state_file.unlink(missing_ok=True)


def freeze(world: World, choice: Random) -> None:
    """SIGSTOP."""
    _signal(_one(world, choice), signal.SIGSTOP)


def thaw(world: World, choice: Random) -> None:
    """SIGCONT."""
    for seat in world.seats:
        _signal(seat, signal.SIGCONT)


def _signal(seat: Seat, number: signal.Signals) -> None:
    if seat.running:
        seat.process.signal(number)


# -- PostgreSQL ------------------------------------------------------------------------------------


def end_sessions(world: World, choice: Random) -> None:
    """All sessions of the daemons, or those of one kind."""
    with world.connect() as session:
        kinds = [""] + [
            f"AND application_name = '{name}'"
            for (name,) in session.execute(
                "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name "
                "LIKE 'listener: %' AND datname = current_database() ORDER BY 1"
            ).fetchall()
        ]
        session.execute(_SESSIONS.format(which=choice.choice(kinds)).encode())


def cut_postgres(world: World, choice: Random) -> None:
    """Connections are reset."""
    _one(world, choice).to_postgres.cut()


def stall_postgres(world: World, choice: Random) -> None:
    """Connections are silent."""
    _one(world, choice).to_postgres.stall()


def refuse_postgres(world: World, choice: Random) -> None:
    """The port is closed."""
    _one(world, choice).to_postgres.stop()


# -- Elasticsearch ---------------------------------------------------------------------------------


def cut_search(world: World, choice: Random) -> None:
    """Connections are reset."""
    _one(world, choice).to_search.cut()


def stall_search(world: World, choice: Random) -> None:
    """Connections are silent."""
    _one(world, choice).to_search.stall()


def refuse_search(world: World, choice: Random) -> None:
    """The port is closed."""
    _one(world, choice).to_search.stop()


def lose_answers(world: World, choice: Random) -> None:
    """The next writes are carried out, and nobody hears of it."""
    for seat in world.seats:
        seat.to_search.losing = choice.randint(1, 3)


def refuse_writes(world: World, choice: Random) -> None:
    """429 or 503."""
    _one(world, choice).to_search.refusing = choice.choice([429, 503])


def slow_search(world: World, choice: Random) -> None:
    """Every answer comes late."""
    _one(world, choice).to_search.delay = choice.choice([0.02, 0.2])


def block_writes(world: World, choice: Random) -> None:
    """403 for each item of a document's index."""
    alias = choice.choice(world.aliases)
    world.ask("PUT", f"/{alias}/_settings", {"index.blocks.write": True})


def lose_index(world: World, choice: Random) -> None:
    """It is deleted."""
    for physical in world.scene.behind(choice.choice(world.aliases)):
        world.ask("DELETE", f"/{physical}")


def lose_control(world: World, choice: Random) -> None:
    """The control document is deleted."""
    world.ask("DELETE", f"/{world.scene.prefix}-control/_doc/{world.scene.prefix}")


def mend_ways(world: World, choice: Random) -> None:
    """Nothing is in the way of anybody."""
    for seat in world.seats:
        seat.calm()


GROUPS: Final = {
    "daemons": (kill, kill_and_start, start, lose_state, freeze, thaw),
    "postgres": (end_sessions, cut_postgres, stall_postgres, refuse_postgres, mend_ways),
    "search": (
        cut_search,
        stall_search,
        refuse_search,
        lose_answers,
        refuse_writes,
        slow_search,
        block_writes,
        lose_index,
        lose_control,
        mend_ways,
    ),
}
"""What breaks."""
STANDING: Final[dict[str, Fault]] = {
    run.__name__: fault(run) for runs in GROUPS.values() for run in runs
}
"""By name."""
REBUILD: Final = ("lose_index", "lose_control", "lose_state")
"""After these an index may be loaded anew."""
