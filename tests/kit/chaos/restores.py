"""Faults after which Elasticsearch is not where it was: restored, emptied, or set otherwise.

Each writes rows of its own whose last state only the lost time had, so that a daemon that notices
nothing is found out at the next settle point.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.kit.chaos.fault import fault
from tests.kit.chaos.world import NotInTime, World

REPOSITORY = "chaos"
"""A folder of snapshots; the server's setting `path.repo` must name `repo`."""
COPY = "restored-"
"""How the names of indexes begin that a snapshot was restored to."""

_ROWS = 20
"""How many rows are updated, deleted and inserted each."""
_WAYS = ("beside", "stopped", "killed")
"""What the daemons do while Elasticsearch goes back."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Rows that no other writer writes: some to update, some to delete, some to insert."""

    world: World
    first: int
    text: str

    @classmethod
    def drawn(cls, world: World, choice: Random) -> Marks:
        """Other rows than the last time, most likely."""
        return cls(
            world,
            choice.randint(100, world.bulk_rows - 3 * _ROWS),
            f"Bulk after {choice.randrange(1_000_000)}",
        )

    def prepare(self) -> None:
        """All but those to insert are there."""
        first, last = self.first, self.first + 2 * _ROWS - 1
        self._run(
            f"INSERT INTO {self.world.bulk} (id, title, type) SELECT md5('bulk ' || n)::uuid, "
            f"'Bulk before', 'movie' FROM generate_series({first}, {last}) AS n "
            "ON CONFLICT (id) DO UPDATE SET title = excluded.title",
            f"DELETE FROM {self.world.bulk} WHERE id IN ({_ids(last + 1)})",
        )
        self._indexed("Bulk before")

    def write(self) -> bool:
        """`change`, and whether the index had it soon."""
        self.change()
        return self._indexed(self.text)

    def change(self) -> None:
        """Update, delete, insert."""
        third = self.first + 2 * _ROWS
        self._run(
            f"UPDATE {self.world.bulk} SET title = '{self.text}' WHERE id IN ({_ids(self.first)})",
            f"DELETE FROM {self.world.bulk} WHERE id IN ({_ids(self.first + _ROWS)})",
            f"INSERT INTO {self.world.bulk} (id, title, type) SELECT id, '{self.text}', 'movie' "
            f"FROM ({_ids(third)}) AS new (id) ON CONFLICT DO NOTHING",
        )

    @property
    def there(self) -> bool:
        """Whether the index has what was written."""
        return self.title == self.text

    @property
    def title(self) -> str | None:
        """The title that the index has for the first row."""
        key = uuid.UUID(hashlib.md5(f"bulk {self.first}".encode()).hexdigest())
        found = self.world.answer("GET", f"/{bulk_alias(self.world)}/_doc/{key}")
        title: str | None = found.get("_source", {}).get("title")
        return title

    def _indexed(self, title: str) -> bool:
        return self.world.wait(lambda: self.title == title, seconds=40)

    def _run(self, *statements: str) -> None:
        with self.world.connect(lock_timeout="5s") as session:
            for statement in statements:
                session.execute(statement.encode())


def _ids(first: int) -> str:
    return f"SELECT md5('bulk ' || n)::uuid FROM generate_series({first}, {first + _ROWS - 1}) AS n"


def passed(world: World) -> bool:
    """Wait until the saved watermark has passed this moment by more than a session looks back."""
    [(now,)] = world.scene.admin("SELECT clock_timestamp()")
    behind = timedelta(seconds=1 + float(world.scene.options.get("overlap", 2)))

    def ready() -> bool:
        try:
            saved = yaml.safe_load(world.active.state_file.read_text("utf-8"))["last_processed"]
        except (OSError, ValueError, TypeError, LookupError):
            return False
        return isinstance(saved, datetime) and saved > now + behind

    return world.wait(ready, seconds=40)


def bulk_alias(world: World) -> str:
    """The alias of the documents whose table is the bulk's."""
    documents = world.scene.options["documents"]
    return str(next(one["index"] for one in documents if one["table"] == world.bulk))


def behind(world: World, *aliases: str) -> list[str]:
    """The indexes that these aliases lead to."""
    return sorted({name for one in aliases for name in world.answer("GET", f"/_alias/{one}")})


def must(world: World, method: str, path: str, body: object = None, seconds: float = 60) -> Any:
    """A request without which there is no fault. Raises NotInTime where it is refused."""
    status, answer = world.scene.search.request(method, path, body, timeout=seconds)
    if status >= 300:
        raise NotInTime(f"{method} {path}: {status} {answer}")
    return answer


@contextlib.contextmanager
def snapshot(world: World, indexes: Sequence[str]) -> Iterator[str]:
    """A snapshot of these indexes; its path. It is gone after the block."""
    place = f"/_snapshot/{REPOSITORY}"
    settings = {"location": REPOSITORY, "compress": False}
    must(world, "PUT", place, {"type": "fs", "settings": settings})
    path = f"{place}/{uuid.uuid4().hex}"
    body = {"indices": ",".join(indexes), "include_global_state": False}
    made = must(world, "PUT", f"{path}?wait_for_completion=true", body)
    if made["snapshot"]["state"] != "SUCCESS":
        raise NotInTime(f"the snapshot is {made['snapshot']}")
    try:
        yield path
    finally:
        world.ask("DELETE", path)


@contextlib.contextmanager
def daemons_away(world: World, way: str) -> Iterator[None]:
    """The daemons go on `beside`, or they are `stopped` or `killed` before the block, and started
    after it."""
    if way == "stopped":
        for seat in (world.follower, world.active):
            seat.stop()
    elif way == "killed":
        for seat in world.seats:
            seat.kill()
    try:
        yield
    finally:
        for seat in world.seats:
            seat.start()


def search_went_back(world: World, choice: Random) -> None:
    """Last night's snapshot is restored into the same names, with the control index or without."""
    way, control = choice.choice(_WAYS), choice.random() < 0.5
    replaced = way != "beside" and choice.random() < 0.4
    aliases = replaced or choice.random() < 0.5
    which = choice.choice([[bulk_alias(world)], world.aliases])
    marks = Marks.drawn(world, choice)
    marks.prepare()
    names = behind(world, *which)
    index = f"{world.scene.prefix}-control"
    with snapshot(world, [*names, index] if control else names) as path:
        world.rest(choice.uniform(0, 1))
        indexed = marks.write()
        if choice.random() < 0.5:
            passed(world)
        world.rest(choice.uniform(0, 2))
        with daemons_away(world, way):
            names = [name for name in names if name in behind(world, *which)]
            restored = [*names, index] if control else names
            if not restored:  # an empty list would restore all that the snapshot holds
                world.tell("search_went_back: a load has replaced the index meanwhile")
                return
            for name in restored:
                if replaced:
                    must(world, "DELETE", f"/{name}")
                else:
                    must(world, "POST", f"/{name}/_close")
            body = {"indices": ",".join(restored), "include_aliases": aliases}
            must(world, "POST", f"{path}/_restore?wait_for_completion=true", body)
            if way != "beside" and names and indexed and marks.there:
                raise NotInTime("the restored index has what was written after its snapshot")
    world.tell(
        f"search_went_back: {len(names)} indexes {'deleted' if replaced else 'closed'} and "
        f"restored, daemons {way}, control {'too' if control else 'not'}, aliases "
        f"{'too' if aliases else 'not'}, written and indexed between: {indexed}"
    )


def search_folder_put_back(world: World, choice: Random) -> None:
    """The data folder of Elasticsearch is an older copy of itself: a restored volume."""
    search, way = world.scene.search, choice.choice(_WAYS)
    data, kept = Path(search.directory, "data"), Path(search.directory, "data.kept")
    marks = Marks.drawn(world, choice)
    marks.prepare()
    try:
        search.stop()
        _copy(data, kept)
        search.start()
        indexed = marks.write()
        if choice.random() < 0.5:
            passed(world)
        world.rest(choice.uniform(0, 2))
        with daemons_away(world, way):
            search.kill()
            shutil.rmtree(data)
            kept.rename(data)
            search.start()
            if way != "beside" and marks.there:
                raise NotInTime("the older folder has what was written after it was copied")
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        search.start()
    world.tell(f"search_folder_put_back: daemons {way}, written and indexed between: {indexed}")


def shard_lost(world: World, choice: Random) -> None:
    """The disk of a shard is lost; an administrator allocates an empty one in its place."""
    search, way = world.scene.search, choice.choice(_WAYS)
    [name] = behind(world, choice.choice(world.aliases)) or [""]
    if not name:
        return
    settings = must(world, "GET", f"/{name}/_settings")[name]["settings"]["index"]
    shard = choice.randrange(int(settings["number_of_shards"]))
    folder = Path(search.directory, "data", "indices", settings["uuid"], str(shard))
    with daemons_away(world, way):
        search.kill()
        shutil.rmtree(folder)
        search.start_process()
        world.wait(lambda: bool(world.answer("GET", "/_cluster/health")), seconds=60, what="a node")
        command = {
            "index": name, "shard": shard, "node": "playground", "accept_data_loss": True,
        }  # fmt: skip
        body = {"commands": [{"allocate_empty_primary": command}]}
        world.wait(
            lambda: world.ask("POST", "/_cluster/reroute", body), seconds=30, what="an empty shard"
        )
        search.wait_ready()
    world.tell(f"shard_lost: {name} has an empty shard {shard}, daemons {way}")


def alias_doubled(world: World, choice: Random) -> None:
    """A snapshot is restored under another name and brings all aliases along, for a moment."""
    names = behind(world, *choice.choice([[bulk_alias(world)], world.aliases]))
    marks = Marks.drawn(world, choice)
    marks.prepare()
    with snapshot(world, names) as path:
        body = {
            "indices": ",".join(names), "include_aliases": True,
            "rename_pattern": "(.+)", "rename_replacement": f"{COPY}$1",
        }  # fmt: skip
        whole = str(choice.random() < 0.5).lower()  # the aliases are there from the begin on
        try:
            must(world, "POST", f"{path}/_restore?wait_for_completion={whole}", body)
            twice = len(behind(world, bulk_alias(world)))
            marks.change()
            world.rest(choice.choice([0.2, 0.5, 1, 4]))  # an audit comes between, or none does
        finally:
            for name in names:
                world.ask("DELETE", f"/{COPY}{name}")
    world.tell(f"alias_doubled: {len(names)} indexes, the bulk's alias led to {twice}")


def settings_altered(world: World, choice: Random) -> None:
    """While the daemons are away an index gets settings under which a crash loses what was
    acknowledged; they start, rows are written, and Elasticsearch is killed."""
    alias = bulk_alias(world)
    marks = Marks.drawn(world, choice)
    marks.prepare()
    settings = choice.choice(
        [{"translog.durability": "async", "translog.sync_interval": "60s"},
         {"translog.durability": "async", "translog.sync_interval": "60s", "gc_deletes": "1s"},
         {"gc_deletes": "1s"}]
    )  # fmt: skip
    way = choice.choice(_WAYS)
    with daemons_away(world, way):
        applied = world.ask("PUT", f"/{alias}/_settings", {"index": settings})
    indexed = marks.write()
    acknowledged = passed(world)  # below the watermark nothing is read again by itself
    world.scene.search.kill()
    world.rest(choice.uniform(0, 1))
    world.scene.search.start()
    world.tell(
        f"settings_altered: {settings} applied: {applied}, daemons {way}; "
        f"written: {indexed}, watermark beyond: {acknowledged}, killed"
    )


def control_damaged(world: World, choice: Random) -> None:
    """The control document has a field of a newer release, or is nonsense, or is an older one."""
    place = f"/{world.scene.prefix}-control/_doc/{world.scene.prefix}"
    old = world.answer("GET", place).get("_source")
    if old is None:
        return
    kind = choice.choice(["newer", "nonsense", "moment", "older", "empty"])
    content: dict[str, Any] = {
        "newer": {**old, "of_a_newer_release": {"deep": [1]}},
        "nonsense": {"generation": "x", "last_processed": [], "loads": 7},
        "moment": {**old, "last_processed": "yesterday"},
        "older": old,
        "empty": {},
    }[kind]
    if kind == "older":
        world.rest(choice.uniform(1, 4))
    with daemons_away(world, choice.choice(_WAYS)):
        must(world, "PUT", place, content)
        if choice.random() < 0.3:
            for seat in world.seats:
                if not seat.running:
                    seat.state_file.unlink(missing_ok=True)
    seat = world.active
    seat.kill()
    seat.start()
    world.tell(f"control_damaged: {kind}")


def _copy(source: Path, target: Path) -> None:
    """A folder, with its owners and times."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


FAULTS = (
    fault(search_went_back, "search", "index", "daemons"),
    fault(search_folder_put_back, "search", "index", "daemons", rare=True),
    fault(shard_lost, "search", "index", "daemons", rare=True),
    fault(alias_doubled, "search", "index"),
    fault(settings_altered, "search", "index", "daemons"),
    fault(control_damaged, "search", "index", "daemons"),
)
