"""Faults of PostgreSQL and of the ways to it."""

from __future__ import annotations

from random import Random

import psycopg

from playground.proxy import TcpProxy
from playground.standby import StandbyServer
from playground.system import PlaygroundError
from tests.kit.chaos.fault import fault
from tests.kit.chaos.world import Seat, World

_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE "
)


def postgres_killed(world: World, choice: Random) -> None:
    """A crash of the server, which recovers."""
    with world.outage():
        world.scene.postgres.kill()
        world.rest(choice.uniform(0, 2))
        world.scene.postgres.start()


def postgres_restarted(world: World, choice: Random) -> None:
    """In good order, or at once."""
    with world.outage():
        world.scene.postgres.stop(choice.choice(["fast", "immediate"]))
        world.rest(choice.uniform(0, 1))
        world.scene.postgres.start()


def failover(world: World, choice: Random) -> None:
    """The standby, which lags at times, becomes the primary; a new standby is made."""
    old, new, replication = world.scene.postgres, world.standby, world.replication
    if new is None or replication is None or not _follows(new):
        new_standby(world)
        return
    if choice.random() < 0.5:
        replication.stall()
        world.rest(choice.uniform(0.1, 1))
    with world.outage():
        old.kill()
        world.rest(choice.uniform(0, 1))
        new.promote()
        world.lead_to(new)
    world.standby = None
    world.retire(old)
    new_standby(world)


def _follows(standby: StandbyServer) -> bool:
    """Whether the standby has what the primary has."""
    if not standby.running:
        return False
    try:
        standby.wait_caught_up(seconds=10)
    except (psycopg.Error, PlaygroundError):
        return False
    return True


def new_standby(world: World) -> None:
    """A standby of the present primary, by pg_basebackup."""
    if world.standby is not None:
        world.standby.close()
        world.standby = None
    primary = world.scene.postgres
    if world.replication is None:
        world.replication = TcpProxy("127.0.0.1", primary.port)
    world.replication.target = ("127.0.0.1", primary.port)
    world.replication.start()
    world.replication.cut()
    world.replication.unstall()
    standby = StandbyServer(primary, port=world.replication.port)
    try:
        standby.start()
    except BaseException:
        standby.close()
        raise
    world.standby = standby


def sessions_ended(world: World, choice: Random) -> None:
    """All sessions, or the daemons' only, are terminated, once or several times."""
    whose = choice.choice(["%", "listener%"])
    with world.outage():
        for _ in range(choice.randint(1, 3)):
            with world.connect() as session:
                session.execute(_END.encode() + b"%(whose)s", {"whose": whose})
            world.rest(choice.uniform(0.1, 0.7))


def postgres_cut(world: World, choice: Random) -> None:
    """The daemons' connections are reset; at times they are refused for a while."""
    ways = [seat.to_postgres for seat in _seats(world, choice)]
    for way in ways:
        if choice.random() < 0.5:
            way.cut()
        else:
            way.stop()
    world.rest(choice.uniform(0, 3))
    for way in ways:
        way.start()


def postgres_silent(world: World, choice: Random) -> None:
    """The connections of all stay open and say nothing."""
    _silence(world, choice.uniform(1, 8), *world.seats)


def active_cut_off(world: World, choice: Random) -> None:
    """Only the active daemon's connections are silent, for longer than a standby bears it."""
    seat, other = world.active, world.follower
    seat.to_postgres.stall()
    try:
        world.wait(lambda: other is not seat and other.leads, seconds=20)
        world.rest(choice.uniform(0, 2))
    finally:
        seat.to_postgres.unstall()


def _seats(world: World, choice: Random) -> list[Seat]:
    return choice.choice([[world.active], list(world.seats)])


def _silence(world: World, seconds: float, *seats: Seat) -> None:
    for seat in seats:
        seat.to_postgres.stall()
    try:
        world.rest(seconds)
    finally:
        for seat in seats:
            seat.to_postgres.unstall()


FAULTS = (
    fault(postgres_killed, "postgres"),
    fault(postgres_restarted, "postgres"),
    fault(failover, "postgres", "ways"),
    fault(sessions_ended, "postgres"),
    fault(postgres_cut, "ways"),
    fault(postgres_silent, "ways"),
    fault(active_cut_off, "ways"),
)
