"""What a command works with, without a server: a configuration of two documents, and what both
servers and an active daemon would say. Arguments are read as on the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from listener import cli
from listener.app.daemon import Daemon
from listener.app.status import Status
from listener.config import Config
from listener.documents.topology import hash_of
from listener.indexing.parked_table import ParkedDocument, ParkedTable
from listener.observations.events import Observation
from listener.resync.survey import Asked
from listener.runtime.lifecycle import Stop
from listener.search.existing import Existing
from listener.search.indexes import Indexes
from listener.state.control import Control, ControlDocument
from listener.state.model import Kept, State
from tests.kit.session import NOW, OWN, film_index, film_kind, saved_state

LONG_AGO = NOW - timedelta(days=400)


def put_aside(doc_id: str, index: str = "films", count: int = 1) -> ParkedDocument:
    """One in the table of parked documents."""
    reason = "strict_dynamic_mapping_exception: no field [x]"
    return ParkedDocument(index, doc_id, reason, NOW - timedelta(hours=count), NOW, count)


class Surroundings:
    """Of one command. `steps`: what it did, in order. A stop's waits take no time, but on the clock
    that commands measure their patience by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.steps: list[str] = []
        self.meanwhile: dict[str, list[Any]] = {}
        """What happens beside the steps that begin so, one by one."""
        self.told: list[Observation] = []
        self.clock = 100.0
        self.stop = TimedStop(self)
        self.config = config_of(folder)
        self.active = False
        """Whether a daemon holds the lock."""
        self.state: State | None = saved_state()
        self.behind: dict[str, Existing | None] = {"films": film_index(), "persons": None}
        self.former: dict[str, Existing] = {}
        self.indexes: dict[str, Existing] = {}
        """Others, by their names."""
        self.parked: list[ParkedDocument] = []
        self.statuses: list[Status] = []
        """How daemons end that the command starts; then each ends well."""
        self.asked: list[Asked] = []
        """What these were asked for."""
        self.hashes = {one.index: hash_of(one) for one in self.config.documents}
        kinds = [
            film_kind(name, digest, place)
            for place, (name, digest) in enumerate(self.hashes.items())
        ]
        self.parts: Any = SimpleNamespace(
            watches=[SimpleNamespace(id="public.film(id)")],
            files=kinds,
            made_by=lambda _: kinds,
            speaker=lambda document: f"watch of {document}",
        )
        self.connection: Any = SimpleNamespace(transaction=self._transaction, execute=self._execute)
        self.client: Any = _Client(self)
        for name, does in {
            "listener.postgres.connect": self._connect,
            "listener.search.connect": lambda _: self.client,
            "listener.capture.watermark.now": lambda _: (NOW,),
            "listener.state.identity.database": lambda *_: OWN,
            "listener.resync.active.lock_holder": self.lock_holder,
            "listener.resync.active.ring": lambda *_: self.step("rung"),
        }.items():
            monkeypatch.setattr(name, does)
        monkeypatch.setattr(time, "monotonic", lambda: self.clock)
        monkeypatch.setattr(ControlDocument, "read", lambda _: self._control())
        monkeypatch.setattr(Indexes, "behind", lambda _, alias: self.behind[alias])
        monkeypatch.setattr(Indexes, "former", lambda _, alias: self.former.get(alias))
        monkeypatch.setattr(Indexes, "get", lambda _, name: self.indexes.get(name))
        monkeypatch.setattr(ParkedTable, "read", lambda *_: list(self.parked))
        monkeypatch.setattr(ParkedTable, "read_if_installed", lambda *_: list(self.parked))
        monkeypatch.setattr(Daemon, "run", lambda daemon: self._daemon(daemon._asked))

    def step(self, name: str) -> None:
        """Note it, and let happen what happens beside it."""
        self.steps.append(name)
        for begin in [one for one in self.meanwhile if name.startswith(one)]:
            if self.meanwhile[begin]:
                self.meanwhile[begin].pop(0)()

    def run(self, *words: str) -> int:
        """The command's exit status."""
        given = cli._parsed(cli.parser(words[0]), words)
        return cli.command(words[0]).run(self.config, self.told.append, self.stop, given)

    def keeps(self, name: str, alias: str = "films") -> None:
        """The state says that this former index is kept."""
        kept = Kept(physical=name, uuid="uuid-0", since=LONG_AGO, until=NOW + timedelta(hours=1))
        self.state = saved_state(kept={alias: kept})

    def _control(self) -> Control:
        self.step("state read")
        return Control(3, {}, 7, 1, self.state)

    def lock_holder(self, *_: object) -> int | None:
        """The process that holds the lock."""
        self.step("lock looked at")
        return 4711 if self.active else None

    @contextmanager
    def _connect(self, _config: object, name: str) -> Iterator[Any]:
        self.step(f"connected as {name}")
        try:
            yield self.connection
        finally:
            self.steps.append("connection closed")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.step("begun")
        yield
        self.step("committed")

    def _execute(self, *_: object) -> Any:
        return SimpleNamespace(fetchone=lambda: (NOW,))

    def _daemon(self, asked: Asked) -> Status:
        self.asked.append(asked)
        self.step("daemon run")
        return self.statuses.pop(0) if self.statuses else Status.OK


class TimedStop(Stop):
    """Its waits take no time, but on the clock."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self._around = around

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        assert seconds is not None
        self._around.clock += seconds
        self._around.step("waited")
        return self.requested


class _Client(nullcontext[Any]):
    """Of Elasticsearch: it can only be closed."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(self)
        self._around = around

    def close(self) -> None:
        """Close it."""
        self._around.steps.append("client closed")


def config_of(folder: Path) -> Config:
    """Of films and persons; their files are written."""
    (folder / "index.json").write_text('{"mappings": {"dynamic": "strict", "properties": {}}}')
    names: Sequence[str] = ("films", "persons")
    for one in names:
        text = f"SELECT id, document FROM {one} WHERE id = ANY(%(ids)s)"
        (folder / f"{one}.sql").write_text(text)
    return Config.model_validate(
        {
            "pipeline": "movies",
            "state_file_name": folder / "state.yaml",
            "postgres": {"dbname": "movies", "user": "listener"},
            "backoff": {"give_up_after": 5},
            "documents": [
                {
                    "index": one,
                    "table": one,
                    "key": "id",
                    "index_config_file": folder / "index.json",
                    "query_file": folder / f"{one}.sql",
                    "watch": [{"table": one, "key": "id"}],
                }
                for one in names
            ],
        }
    )
