"""What a session begins with and an audit looks at, without a server: fakes that note each step.

A `World` holds what PostgreSQL, Elasticsearch and the disk would say. Each look at it and each
write to it is one entry of `steps`, and any of them can be told to fail.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typing_extensions import override

from listener.changes import Watch
from listener.config import PostgresConfig
from listener.documents.connections import Connections
from listener.documents.kinds import Kind
from listener.observations.events import Observation
from listener.resync.audit import Auditor
from listener.resync.lookout import Lookout
from listener.resync.meanings import Meanings
from listener.resync.needs import Needs
from listener.resync.plan import Planner
from listener.resync.scope import Scope
from listener.resync.survey import Asked, Surveyor
from listener.resync.went_back import SearchPast
from listener.search.aliases import Astray
from listener.search.existing import Existing
from listener.search.index_config import IndexError_
from listener.search.indexes import Indexes
from listener.search.owners import Database, Owner
from listener.search.shards import Shard
from listener.search.versions import Versions
from listener.state.control import Control, ControlDocument
from listener.state.file import StateError
from listener.state.identity import Facts
from listener.state.model import Identity, Load, Mark, State
from listener.state.store import Keeper
from tests.kit.definitions import film_definition

NOW = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
WATERMARK = NOW - timedelta(minutes=1)
SETTLED = NOW - timedelta(minutes=5)
"""The watermark at the last look at the shards."""
OWN = Database("system-1", 16384, "listener", "app")
SHARD = Shard("history", "process", 10, 10)
MEANING = {"function app.title()": "abc"}
FINGERPRINT = {"trigger on film": "1", "table film": "2"}


class Failed(Exception):
    """A step that a test lets fail."""


def facts(**other: Any) -> Facts:
    """What the database says, as it was left but for what is given."""
    said: dict[str, Any] = {
        "system_identifier": OWN.system,
        "timeline": 1,
        "database_oid": OWN.oid,
        "schema": OWN.schema,
        "wal_lsn": "0/20",
        "nonce": "nonce-1",
        "tables": {"public.film": 1},
        "fingerprint": FINGERPRINT,
        "now": NOW,
        "asked": NOW,
        "answered": NOW,
        "line": "line-1",
        "renewals": 5,
    }
    return Facts(**{**said, **other})


def film_kind(
    index: str = "films", digest: str = "hash1", number: int = 0, document: int | None = None
) -> Kind:
    """A document kind of which only names, key types and texts are asked."""
    source = SimpleNamespace(name=index, types=("bigint",), texts=("SELECT",))
    definition = film_definition(digest, index)
    entry = number if document is None else document
    return Kind(number, cast(Any, source), cast(Any, None), definition, entry)


def film_index(name: str = "films-1", uuid: str = "uuid-1", **other: Any) -> Existing:
    """The index behind the alias, as it was left but for what is given."""
    said: dict[str, Any] = {"hash": "hash1", "pipeline": "movies", "mapping": "mapping-1"}
    return Existing(name, uuid, **{**said, "database": OWN, **other})


def saved_state(identity: Mapping[str, Any] | None = None, **other: Any) -> State:
    """What the last session left, but for what is given."""
    known: dict[str, Any] = {
        "pipeline": "movies",
        "system_identifier": OWN.system,
        "timeline": 1,
        "database_oid": OWN.oid,
        "db_schema": OWN.schema,
        "wal_lsn": "0/10",
        "nonce": "nonce-1",
        "config_hash": "hash1",
        "tables": {"public.film": 1},
        "indexes": {"films": "uuid-1"},
        "triggers": facts().triggers,
        "meanings": {"films": MEANING},
        "marks": {
            "films-1": Mark(shards={"0": SHARD.note()}, mapping="mapping-1", settled=SETTLED)
        },
        "control": 7,
        "line": "line-1",
        "renewals": 5,
    }
    said = {"last_processed": WATERMARK, "identity": Identity(**{**known, **(identity or {})})}
    return State(**{**said, **other})


def unfinished(**other: Any) -> Load:
    """A load into a second index that was interrupted."""
    said: dict[str, Any] = {
        "index": "films",
        "physical": "films-2",
        "started_at": WATERMARK,
        "after": ("5",),
        "documents": 5,
    }
    return Load(**{**said, **other})


class World:
    """Both servers and the disk, as all was left: a session finds nothing to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.fails: str | None = None
        """How the step begins that raises Failed."""
        self.told: list[Observation] = []
        self.facts = facts()
        self.meaning: Mapping[str, str] = MEANING
        self.meanings: dict[str, Mapping[str, str]] = {}
        """By the name of a definition, where they are not all the same."""
        self.pruned: datetime | None = None
        self.disk: State | None = saved_state()
        self.disks: list[State] = []
        """What was written to state.yaml, the oldest first."""
        self.remote: Control = Control(3, {}, 7, 1, saved_state())
        self.remotes: list[Mapping[str, Any]] = []
        """What was written to the control document."""
        self.generation_is_ours = True
        self.behind: Existing | str | None = film_index()
        """What stands behind the alias; a text: why it cannot be told."""
        self.others: dict[str, Existing] = {"films-2": film_index("films-2", "uuid-2")}
        self.former: Existing | None = None
        """What the write alias of a former index leads to."""
        self.foreign: set[str] = set()
        """Names of indexes that do not say that they are ours."""
        self.astray: Astray | None = None
        self.shards: dict[str, Shard] = {"films-1": SHARD, "films-2": SHARD}
        self.wrong: tuple[str, ...] = ()
        self.refusal: Exception | None = None
        """What the judge raises."""
        monkeypatch.setattr("listener.state.identity.read", self._read_facts)
        monkeypatch.setattr("listener.documents.session_settings.settings_now", self._settings)
        monkeypatch.setattr("listener.documents.meaning.read", self._read_meanings)
        monkeypatch.setattr("listener.capture.journal.pruned_below", self._pruned_below)
        monkeypatch.setattr("listener.triggers.fingerprint", self._read_fingerprint)
        monkeypatch.setattr("listener.state.file.read", self._read_state)
        monkeypatch.setattr("listener.state.file.write", self._write_state)

    def step(self, name: str) -> None:
        """Note it, or fail."""
        if self.fails is not None and name.startswith(self.fails):
            raise Failed(name)
        self.steps.append(name)

    def place(self, step: str) -> int:
        """Where this step stands among the others; it was made once."""
        assert self.steps.count(step) == 1, self.steps
        return self.steps.index(step)

    # -- PostgreSQL ------------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """A connection that can only tell the database's name and take a nonce."""
        return SimpleNamespace(info=SimpleNamespace(dbname=OWN.name), execute=self._execute)

    def _execute(self, _statement: object, values: Sequence[str]) -> Any:
        self.step("nonce in the database")
        nonce, line = values
        renewals = self.facts.renewals + 1
        self.facts = facts(nonce=nonce, line=line, renewals=renewals)
        return SimpleNamespace(fetchone=lambda: (renewals,))

    def _read_facts(self, *_: object) -> Facts:
        self.step("facts read")
        return self.facts

    def _settings(self, _connection: object) -> dict[str, str]:
        self.step("settings read")
        return {"search_path": "app"}

    def _read_meanings(self, _connection: object, _watches: object, texts: Any) -> Any:
        self.step("meanings read")
        return {index: dict(self.meanings.get(index, self.meaning)) for index in texts}

    def _pruned_below(self, *_: object) -> datetime | None:
        self.step("pruned_below read")
        return self.pruned

    def _read_fingerprint(self, *_: object) -> Mapping[str, str]:
        self.step("triggers read")
        return self.facts.fingerprint

    # -- the disk --------------------------------------------------------------------------------

    def _read_state(self, _path: Path) -> State | None:
        self.step("state.yaml read")
        return self.disk

    def _write_state(self, _path: Path, value: State) -> None:
        try:
            self.step("state.yaml written")
        except Failed as error:
            raise StateError("the disk is full") from error
        self.disk = value
        self.disks.append(value)


class FakeControl(ControlDocument):
    """The control document."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.newest: int | None = None

    @override
    def prepare(self) -> None:
        """Make its index."""
        self._world.step("control prepared")

    @override
    def read(self) -> Control:
        """As the world has it."""
        self._world.step("control read")
        return self._world.remote

    @override
    def accept(self, seen: Control) -> None:
        """Go on from it."""
        self._world.step("control accepted")
        self.newest = seen.seq_no

    @override
    def save(self, generation: int, content: Mapping[str, Any]) -> bool:
        """Write it, where the generation is ours."""
        self._world.step("control saved" if self._world.generation_is_ours else "control refused")
        if self._world.generation_is_ours:
            self._world.remotes.append(content)
        return self._world.generation_is_ours


class FakeIndexes(Indexes):
    """The indexes and aliases of the pipeline."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.owner = Owner("movies")

    @override
    def protect(self, alias: str, *, take: bool = False) -> None:
        """Take the alias's name."""
        self._world.step(f"{alias} protected" + (", taken" if take else ""))

    @override
    def behind(self, alias: str) -> Existing | None:
        """The index behind an alias."""
        self._world.step(f"{alias} looked behind")
        if isinstance(self._world.behind, str):
            raise IndexError_(self._world.behind)
        return self._world.behind

    @override
    def former(self, alias: str) -> Existing | None:
        """The index that a write alias of a former one leads to."""
        self._world.step(f"{alias} former read")
        return self._world.former

    @override
    def left_astray(self, alias: str, generation: int, current: str | None) -> Astray | None:
        """Whether the write aliases are as they were left."""
        self._world.step(f"{alias} write aliases read")
        return self._world.astray

    @override
    def is_ours(self, found: Existing) -> bool:
        """Whether the index says that it is ours."""
        return found.name not in self._world.foreign

    @override
    def get(self, name: str) -> Existing | None:
        """An index by its own name."""
        self._world.step(f"{name} read")
        return self._world.others.get(name)

    @override
    def adopt(self, found: Existing, definition: Mapping[str, Any]) -> None:
        """Say in an index that it is ours."""
        self._world.step(f"{found.name} adopted")

    @override
    def shards(self, names: Collection[str]) -> dict[str, dict[str, Shard]]:
        """The primaries of these indexes."""
        self._world.step("shards read")
        found = self._world.shards
        return {name: {"0": found[name]} for name in names if name in found}


class Judging:
    """What the daemon would say of the user's SQL files."""

    def __init__(self, world: World) -> None:
        self._world = world

    def judge_queries(self, _connection: object, *, again: bool) -> None:
        """Say so, and raise what the world has."""
        self._world.step("queries judged again" if again else "queries judged")
        if self._world.refusal is not None:
            raise self._world.refusal

    def wrong(self, _connection: object) -> Sequence[str]:
        """What is wrong with the triggers."""
        self._world.step("triggers checked")
        return self._world.wrong


class Process:
    """A daemon's planner and auditor in that world. A second one stands for its next start."""

    def __init__(
        self,
        world: World,
        asked: Asked | None = None,
        *kinds: Kind,
        others: Sequence[Kind] = (),
        unfit: Mapping[str, str] | None = None,
        keep_former: float = 0,
    ) -> None:
        self.world = world
        scope = Scope(
            "movies",
            OWN.schema,
            (Watch("public", "film", ("id",)),),
            kinds or (film_kind(),),
            timedelta(seconds=2),
            others,
            unfit or {},
            keep_former,
        )
        control = FakeControl(world)
        self.indexes = indexes = FakeIndexes(world)
        versions = Versions()
        versions.begin(3)
        self.keeper = Keeper(Path("state.yaml"), control, versions, world.told.append)
        self.lookout = lookout = Lookout(indexes, self.keeper)
        meanings = Meanings(scope, self.keeper, Judging(world))
        self.auditor = Auditor(
            scope,
            keeper=self.keeper,
            indexes=indexes,
            lookout=lookout,
            meanings=meanings,
            status=Judging(world),
        )
        self.connections = Connections(cast(PostgresConfig, None))
        surveyor = Surveyor(
            scope,
            asked or Asked(),
            control=control,
            indexes=indexes,
            keeper=self.keeper,
            past=SearchPast(indexes, lookout, world.told.append),
            meanings=meanings,
            observe=world.told.append,
        )
        self.planner = Planner(
            scope,
            surveyor=surveyor,
            needs=Needs(scope, indexes, self.keeper, world.told.append),
            keeper=self.keeper,
            meanings=meanings,
            auditor=self.auditor,
            connections=self.connections,
            observe=world.told.append,
        )
