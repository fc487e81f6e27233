"""Faults of Elasticsearch, of the ways to it, and of its indexes."""

from __future__ import annotations

from random import Random

from tests.kit.chaos.fault import fault
from tests.kit.chaos.world import Seat, World, unblock
from tests.kit.flood import Flood

_BLOCKS = ("write", "read_only", "read_only_allow_delete")


def search_killed(world: World, choice: Random) -> None:
    """A crash of the server."""
    world.scene.search.kill()
    world.rest(choice.uniform(0, 1))
    world.scene.search.start()


def search_cut(world: World, choice: Random) -> None:
    """Connections are reset; at times refused for a while."""
    ways = [seat.to_search for seat in world.seats]
    for way in ways:
        if choice.random() < 0.5:
            way.cut()
        else:
            way.stop()
    world.rest(choice.uniform(0, 3))
    for way in ways:
        way.start()


def search_silent(world: World, choice: Random) -> None:
    """Connections stay open and say nothing; what was sent arrives when its sender gave up."""
    for seat in world.seats:
        seat.to_search.stall()
    try:
        world.rest(choice.uniform(1, 6))
    finally:
        for seat in world.seats:
            seat.to_search.unstall()


def search_late(world: World, choice: Random) -> None:
    """Every answer comes late, at times later than the daemon waits."""
    timeout = float(world.scene.options["elasticsearch"].get("request_timeout", 15))
    delay = choice.choice([0.1, 0.3, 0.65 * timeout])
    for seat in world.seats:
        seat.to_search.delay = delay
    try:
        world.rest(choice.uniform(2, 5))
    finally:
        for seat in world.seats:
            seat.to_search.delay = 0


def answers_lost(world: World, choice: Random) -> None:
    """Writes are carried out, and their answers are lost."""
    for seat in world.seats:
        seat.to_search.losing = choice.randint(1, 3)
    try:
        world.wait(lambda: not world.active.to_search.losing, seconds=8)
    finally:
        for seat in world.seats:
            seat.to_search.losing = 0


def writes_refused(world: World, choice: Random) -> None:
    """A balancer before Elasticsearch answers 429 or 503."""
    status = choice.choice([429, 503])
    for seat in world.seats:
        seat.to_search.refusing = status
    try:
        world.rest(choice.uniform(1, 4))
    finally:
        for seat in world.seats:
            seat.to_search.refusing = None


def search_flooded(world: World, choice: Random) -> None:
    """Others write as fast as they can: 429, where the server's queue is short."""
    with Flood(world.scene.search, f"{world.scene.prefix}-others"):
        world.rest(choice.uniform(1, 4))


def writes_blocked(world: World, choice: Random) -> None:
    """An administrator, or a full disk, forbids to write."""
    alias, block = choice.choice(world.aliases), choice.choice(_BLOCKS)
    world.ask("PUT", f"/{alias}/_settings", {f"index.blocks.{block}": True})
    try:
        world.rest(choice.uniform(1, 4))
    finally:
        unblock(world)


def index_closed(world: World, choice: Random) -> None:
    """An index is closed, and opened again."""
    world.ask("POST", f"/{choice.choice(world.aliases)}/_close")
    try:
        world.rest(choice.uniform(0.5, 3))
    finally:
        unblock(world)


def index_deleted(world: World, choice: Random) -> None:
    """An index is deleted: it is loaded anew, without a copy to write to at first, at times."""
    if choice.random() < 0.3:
        nowhere = {"cluster.routing.allocation.enable": "none"}
        world.ask("PUT", "/_cluster/settings", {"persistent": nowhere})
    try:
        for physical in world.answer("GET", f"/_alias/{choice.choice(world.aliases)}"):
            world.ask("DELETE", f"/{physical}")
        world.rest(choice.uniform(1, 4))
    finally:
        unblock(world)


def control_lost(world: World, choice: Random) -> None:
    """The control document, or its whole index, is deleted."""
    index = f"{world.scene.prefix}-control"
    world.ask("DELETE", choice.choice([f"/{index}", f"/{index}/_doc/{world.scene.prefix}"]))


def search_cut_off(world: World, choice: Random) -> None:
    """Only the active daemon's way to Elasticsearch is silent; then it is killed, at times, and
    what it had sent arrives after its successor's writes."""
    seat: Seat = world.active
    seat.to_search.stall()
    try:
        world.rest(choice.uniform(0.5, 5))
        if choice.random() < 0.5:
            seat.kill()
            world.rest(choice.uniform(0, 3))
    finally:
        seat.to_search.unstall()
    seat.start()


FAULTS = (
    fault(search_killed, "search"),
    fault(search_cut, "ways"),
    fault(search_silent, "ways"),
    fault(search_late, "ways"),
    fault(answers_lost, "ways"),
    fault(writes_refused, "ways"),
    fault(search_flooded, "search"),
    fault(writes_blocked, "index"),
    fault(index_closed, "index"),
    fault(index_deleted, "index", rare=True),
    fault(control_lost, "index"),
    fault(search_cut_off, "ways", "daemons"),
)
