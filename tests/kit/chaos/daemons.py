"""Faults of the daemons: killed, frozen, stopped, and what they remember lost."""

from __future__ import annotations

import shutil
import signal
from random import Random

from tests.kit.chaos.fault import fault
from tests.kit.chaos.world import Seat, World, give_back

_TAKEOVER = 25.0
"""Seconds in which a standby gives up a silent daemon; it takes about ten."""
OLDER = "older"
"""Suffix of a copy of state.yaml that was made some time ago."""


def kill_active(world: World, choice: Random) -> None:
    """The standby takes over."""
    _kill(world, choice, world.active)


def kill_standby(world: World, choice: Random) -> None:
    """The daemon that stands by is killed: the active one goes on."""
    _kill(world, choice, world.follower)


def kill_both(world: World, choice: Random) -> None:
    """No daemon runs for a while; they come back in any order."""
    for seat in world.seats:
        seat.kill()
    world.rest(choice.uniform(0, 2))
    for seat in choice.sample(world.seats, len(world.seats)):
        seat.start()


def stop_active(world: World, choice: Random) -> None:
    """A restart in good order."""
    seat = world.active
    seat.stop()
    world.rest(choice.uniform(0, 1))
    seat.start()


def stop_both(world: World, choice: Random) -> None:
    """As for an update."""
    for seat in (world.follower, world.active):
        seat.stop()
    world.rest(choice.uniform(0, 2))
    for seat in world.seats:
        seat.start()


def freeze_active(world: World, choice: Random) -> None:
    """Longer than a standby bears it; then it wakes up, a zombie."""
    seat, other = world.active, world.follower
    with _Frozen(seat):
        world.wait(lambda: other is not seat and other.leads, seconds=_TAKEOVER)
        world.rest(choice.uniform(0, 3))


def freeze_both(world: World, choice: Random) -> None:
    """Shorter than anybody notices."""
    with _Frozen(*world.seats):
        world.rest(choice.uniform(0.5, 3))


def lose_state(world: World, choice: Random) -> None:
    """state.yaml of one or both is gone at the next start."""
    for seat in _some(world, choice):
        seat.kill()
        seat.state_file.unlink(missing_ok=True)
        world.rest(choice.uniform(0, 1))
        seat.start()


def restore_state(world: World, choice: Random) -> None:
    """state.yaml of one or both is an older one."""
    for seat in _some(world, choice):
        seat.kill()
        older = seat.state_file.with_suffix(f".{OLDER}")
        if older.exists():
            shutil.copy(older, seat.state_file)
        world.rest(choice.uniform(0, 1))
        seat.start()


def remember_state(world: World) -> None:
    """Keep a copy of each state.yaml, to be restored later."""
    for seat in world.seats:
        if seat.state_file.exists():
            shutil.copy(seat.state_file, seat.state_file.with_suffix(f".{OLDER}"))


def state_unwritable(world: World, choice: Random) -> None:
    """The folder of the active daemon's state is gone, and cannot be made; killed at times."""
    seat = world.active
    if not world.wait(
        lambda: seat.leads and bool(seat.process.found("generation_raised")), seconds=10
    ):
        return  # it has not read its state yet, without which it is right to end
    folder = seat.state_file.parent
    away = folder.with_name("state.away")
    folder.rename(away)
    try:
        folder.touch()
        world.rest(choice.uniform(1, 4))
        if choice.random() < 0.5 or not seat.running:
            seat.kill(excused=True)
    finally:
        give_back(seat, away)
    seat.start()


def _kill(world: World, choice: Random, seat: Seat) -> None:
    seat.kill()
    world.rest(choice.uniform(0, 2))
    seat.start()


def _some(world: World, choice: Random) -> list[Seat]:
    return choice.choice([[world.active], [world.follower], list(world.seats)])


class _Frozen:
    """SIGSTOP, and SIGCONT at the end."""

    def __init__(self, *seats: Seat) -> None:
        self._processes = [seat.process for seat in seats if seat.running]

    def __enter__(self) -> None:
        for process in self._processes:
            process.signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.signal(signal.SIGCONT)


FAULTS = (
    fault(kill_active, "daemons"),
    fault(kill_standby, "daemons"),
    fault(kill_both, "daemons"),
    fault(stop_active, "daemons"),
    fault(stop_both, "daemons"),
    fault(freeze_active, "daemons"),
    fault(freeze_both, "daemons"),
    fault(lose_state, "daemons"),
    fault(restore_state, "daemons"),
    fault(state_unwritable, "daemons"),
)
