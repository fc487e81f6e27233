"""What an administrator does beside the daemons, and what goes wrong with it."""

from __future__ import annotations

from random import Random

from tests.kit.chaos.fault import fault
from tests.kit.chaos.world import World

_A_LOAD = 240
"""Seconds for five loads under eight writers: on a machine that others use each new index took more
than a second, where it takes a tenth of one else, and a minute was not enough."""

MODES = ("rows", "doorbell", "off")
"""The settings of `notify`."""


def load(world: World, choice: Random) -> None:
    """`listener load` while no daemon runs, under writes; then they start."""
    seat = world.active
    for each in world.seats:
        each.kill()
    try:
        process = seat.command("load")
        try:
            world.wait(lambda: not process.running, seconds=_A_LOAD, what="the end of a load")
        finally:
            seat.bury(process)  # its log is kept, whatever became of it
    finally:
        for each in world.seats:
            each.start()


def load_killed(world: World, choice: Random) -> None:
    """`listener load` is killed midway; the daemons go on with it."""
    seat = world.active
    for each in world.seats:
        each.kill()
    try:
        process = seat.command("load")
        event = choice.choice(["started", "load_started", "load_progress"])
        world.wait(lambda: bool(process.found(event)) or not process.running, seconds=20)
        world.rest(choice.uniform(0, 0.3))
        seat.bury(process)
    finally:
        for each in world.seats:
            each.start()


def repair(world: World, choice: Random) -> None:
    """`listener verify --repair` beside the daemons, killed at times."""
    seat = world.active
    process = seat.command("verify", "--repair")
    world.wait(lambda: not process.running, seconds=choice.choice([0.5, 1, 20]))
    seat.bury(process)


def old_dropped(world: World, choice: Random) -> None:
    """`listener load --drop-old`, whatever the daemons are at."""
    seat = world.follower
    process = seat.command("load", "--drop-old")
    world.wait(lambda: not process.running, seconds=20)
    seat.bury(process)


def notify_changed(world: World, choice: Random) -> None:
    """Another `notify`, of all tables or of each its own."""
    mode = choice.choice([*MODES, None])
    modes = {
        watch["table"]: mode or choice.choice(MODES)
        for document in world.scene.options["documents"]
        for watch in document["watch"]
    }
    set_notify(world, modes)


def set_notify(world: World, modes: dict[str, str]) -> None:
    """All daemons stop, and start with these settings, by table; they install the triggers."""
    for seat in world.seats:
        seat.stop()
    for document in world.scene.options["documents"]:
        for watch in document["watch"]:
            watch["notify"] = modes[watch["table"]]
    with world.locking():
        for seat in world.seats:
            seat.start()
        world.wait(lambda: any(seat.leads for seat in world.seats), seconds=30)
        world.rest(1)


FAULTS = (
    fault(load, "daemons", "triggers"),
    fault(load_killed, "daemons", "triggers"),
    fault(repair, "daemons"),
    fault(old_dropped, "index"),
    fault(notify_changed, "daemons", "triggers"),
)
