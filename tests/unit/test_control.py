"""The control document: only the generation in force writes there, and it only ever rises."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import search
from listener.observations.events import ControlNotSaved, Observation
from listener.search.versions import GENERATIONS, Versions
from listener.state.control import ControlDocument
from listener.state.nonce import Nonce
from listener.state.store import Keeper
from tests.kit.session import WATERMARK, facts, saved_state

SAVED = saved_state()
CONTENT = SAVED.model_dump(mode="json")


def refused(kind: type[search.Refused], status: int) -> search.Refused:
    """An answer of the server."""
    return kind("no", cast(Any, SimpleNamespace(status=status)), {})


class Server:
    """One document, with its sequence number. Writes compare and set, as Elasticsearch does."""

    def __init__(self) -> None:
        self.document: Mapping[str, Any] | None = None
        self.seq_no = 0
        self.writes = 0
        self.meanwhile: list[Callable[[], object]] = []
        """What happens between the next reads and what follows them, one for each."""
        self.fails: list[Exception] = []
        """What the next writes raise."""

    def put(self, generation: int, **other: Any) -> None:
        """Another process writes it."""
        self.document = {**CONTENT, "generation": generation, **other}
        self.seq_no += 1

    def perform_request(self, method: str, path: str, *, headers: object) -> Any:
        """Read it."""
        assert (method, path, headers) == (
            "GET",
            "/control/_doc/movies",
            {"accept": search.AS_SENT},
        )
        if self.document is None:
            raise refused(search.NotFound, 404)
        body = {"_source": self.document, "_seq_no": self.seq_no, "_primary_term": 1}
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return SimpleNamespace(body=json.dumps(body).encode())

    def index(
        self,
        *,
        index: str,
        id: str,
        document: Mapping[str, Any],
        op_type: str | None,
        if_seq_no: int | None,
        if_primary_term: int | None,
        timeout: str,
    ) -> Any:
        """Write it, where it is as it was read."""
        assert (index, id, timeout) == ("control", "movies", "5s")
        if self.fails:
            raise self.fails.pop(0)
        there = (self.seq_no, 1) if self.document is not None else (None, None)
        if (if_seq_no, if_primary_term) != there or (op_type == "create") != (there[0] is None):
            raise refused(search.Conflict, 409)
        self.document, self.seq_no = document, self.seq_no + 1
        self.writes += 1
        body = {"result": "updated", "_seq_no": self.seq_no, "_primary_term": 1}
        return SimpleNamespace(body=body)


class Daemon:
    """What one process keeps, and the document that it shares with others."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.now = 1000.0
        client: Any = server
        self.control = ControlDocument(client, "control", "movies")
        self.versions = Versions()
        self.told: list[Observation] = []
        self.keeper = Keeper(Path("state.yaml"), self.control, self.versions, self.told.append)
        self.nonces: list[str] = []
        """What was written to the database."""
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("listener.state.store.time", clock)
        monkeypatch.setattr("listener.state.file.write", lambda *_: None)

    def begin(self) -> None:
        """A session: its generation is raised."""
        self.keeper.begin(SAVED)
        self.versions.begin(self.control.raise_generation().generation)

    def renew_nonce(self) -> None:
        """Leave a new nonce in the database."""

        def execute(_: object, values: Sequence[str]) -> Any:
            self.nonces.append(values[0])
            return SimpleNamespace(fetchone=lambda: (1,))

        database: Any = SimpleNamespace(execute=execute)
        nonce = Nonce(self.keeper, "listener")
        nonce.begin(facts(nonce="nonce-1"))
        nonce.renew(database)


@pytest.fixture
def server() -> Server:
    """Without a document."""
    return Server()


@pytest.fixture
def daemon(server: Server, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """It has not begun."""
    return Daemon(server, monkeypatch)


# -- generations -----------------------------------------------------------------------------------


def test_generations_rise(server: Server, daemon: Daemon) -> None:
    """Above each other, and above all that was seen elsewhere. The rest of the document stays."""
    assert daemon.control.raise_generation().generation == 1
    assert daemon.control.raise_generation(above=7).generation == 8
    assert daemon.control.save(8, CONTENT)
    assert daemon.control.raise_generation(above=3).generation == 9
    assert server.document == {**CONTENT, "generation": 9}


@pytest.mark.parametrize("method", ["raise_generation", "succeed", "save"])
@pytest.mark.parametrize("there", [True, False])
def test_another_process_was_faster(
    server: Server, daemon: Daemon, method: str, there: bool
) -> None:
    """It wrote between the read and the write: nothing of it is written over."""
    if there:
        server.put(3)
        server.meanwhile = [lambda: server.put(4)]
    else:
        server.fails = [refused(search.Conflict, 409)]
    control = daemon.control
    if method == "raise_generation":
        with pytest.raises(search.Conflict):
            control.raise_generation()
    elif method == "succeed":
        assert control.succeed(3 if there else 0) is None
    else:
        assert not control.save(3 if there else 0, {"identity": "mine"})
    assert server.writes == 0


@pytest.mark.parametrize("first", ["succeed", "save"])
def test_the_threads_of_one_daemon(server: Server, daemon: Daemon, first: str) -> None:
    """One swaps an index, one saves the watermark: neither takes the other for another daemon."""
    daemon.begin()
    daemon.keeper.advance(WATERMARK + timedelta(minutes=1))
    results: list[object] = []

    def succeed() -> None:
        results.append(daemon.control.succeed(1) is not None)

    def save() -> None:
        results.append(daemon.keeper.save_control(now=True))

    one, other = (succeed, save) if first == "succeed" else (save, succeed)
    thread = threading.Thread(target=other)

    def meanwhile() -> None:
        thread.start()
        thread.join(0.2)  # it waits for the other, or would have written by now

    server.meanwhile = [meanwhile]
    one()
    thread.join(10)
    assert results == [True, True]
    assert server.document is not None
    assert server.document["generation"] == 2
    assert (
        server.document["last_processed"]
        == daemon.keeper.state.model_dump(mode="json")["last_processed"]
    )


@pytest.mark.parametrize("generation", [2, 4])
def test_another_generation_is_in_force(server: Server, daemon: Daemon, generation: int) -> None:
    """A lower one, too: the document was lost or put back, and a session must look into that."""
    server.put(generation)
    assert not daemon.control.save(3, CONTENT)
    assert daemon.control.succeed(3) is None
    assert server.writes == 0


@pytest.mark.parametrize("gone", [True, False])
def test_the_document_went_back(server: Server, daemon: Daemon, gone: bool) -> None:
    """It is an older copy, or is gone. What it tells must not be written over before a session has
    looked at it and accepted it."""
    daemon.begin()
    assert daemon.control.save(1, CONTENT)
    server.seq_no -= 1
    if gone:
        server.document = None
    with pytest.raises(search.Unreadable, match="went back"):
        daemon.control.raise_generation()
    assert daemon.control.succeed(1) is None
    assert not daemon.control.save(1, CONTENT)
    writes = server.writes
    daemon.control.accept(daemon.control.read())
    assert daemon.control.raise_generation(above=1).generation == 2
    assert server.writes == writes + 1


def test_no_generation_is_left(server: Server, daemon: Daemon) -> None:
    """Versions have no room for more: it is told, and not gone round."""
    server.put(GENERATIONS - 1)
    with pytest.raises(search.Unusable, match="remove the aliases that end in that number"):
        daemon.control.raise_generation(above=GENERATIONS - 1)
    assert daemon.control.succeed(GENERATIONS - 1) is None
    assert server.writes == 0


@pytest.mark.parametrize("above", [0, 7])
def test_a_generation_far_above_the_aliases(server: Server, daemon: Daemon, above: int) -> None:
    """No daemon raised it. Believed, it would leave no room for the next sessions."""
    server.put(GENERATIONS - 2)
    written = daemon.control.raise_generation(above=above)
    assert (written.generation, written.damage is None) == (above + 1, False)
    assert server.document == {**CONTENT, "generation": above + 1}
    again = daemon.control.raise_generation(above=above + 1)
    assert (again.generation, again.damage) == (above + 2, None)


@pytest.mark.parametrize("status", [400, 405])
def test_a_refusal_that_does_not_speak_of_the_index(
    server: Server, daemon: Daemon, status: int
) -> None:
    """Nobody is told to delete an index for it."""
    server.fails = [refused(search.BadRequest, status)]
    with pytest.raises(search.Unusable) as caught:
        daemon.control.raise_generation()
    assert "DELETE" not in str(caught.value.message)


@pytest.mark.parametrize("generation", [0, -1, GENERATIONS, True, "3", 1.0, None])
def test_a_damaged_generation(server: Server, daemon: Daemon, generation: object) -> None:
    """It counts as none, and nothing of the document is kept."""
    server.put(cast(int, generation))
    found = daemon.control.read()
    assert (found.generation, found.damage) == (0, "it has no valid generation")
    assert daemon.control.raise_generation(above=4).generation == 5
    assert server.document == {"generation": 5}


# -- what is saved beside it -----------------------------------------------------------------------


def test_it_is_saved_in_the_own_generation(server: Server, daemon: Daemon) -> None:
    """With the watermark of now."""
    daemon.begin()
    later = WATERMARK + timedelta(minutes=1)
    daemon.keeper.advance(later)
    assert daemon.keeper.save_control(now=True)
    found = daemon.control.read()
    assert (found.generation, found.damage) == (1, None)
    assert found.state is not None
    assert found.state.last_processed == later
    assert daemon.keeper.identity.control == server.seq_no


def test_nothing_is_saved_before_a_generation_is_raised(server: Server, daemon: Daemon) -> None:
    """It could be another daemon's document."""
    daemon.keeper.begin(SAVED)
    server.put(0)
    assert daemon.keeper.save_control(now=True)
    assert server.writes == 0


def test_where_another_daemon_is_in_force(server: Server, daemon: Daemon) -> None:
    """It is not written, and that is told at each call from then on, not only when it is due."""
    daemon.begin()
    assert daemon.keeper.save_control(now=True)
    server.put(2)
    written, number = server.document, daemon.keeper.identity.control
    for _ in range(3):
        daemon.now += 0.1
        assert not daemon.keeper.save_control(now=daemon.now < 1000.2)
    assert server.document == written
    assert daemon.keeper.identity.control == number


def test_the_nonce_where_another_daemon_is_in_force(server: Server, daemon: Daemon) -> None:
    """Neither database nor document get a nonce of this one: the other one's would look like a copy
    of the database, and it would load all of it."""
    daemon.begin()
    daemon.renew_nonce()
    [left] = daemon.nonces
    assert server.document is not None
    assert server.document["identity"]["nonce"] == left
    server.put(2)
    written = server.document
    daemon.renew_nonce()
    assert daemon.nonces == [left]
    assert server.document == written


def test_the_nonce_where_the_document_is_written_meanwhile(server: Server, daemon: Daemon) -> None:
    """The compare-and-set tells that another daemon was faster."""
    daemon.begin()
    server.meanwhile = [lambda: server.put(2)]
    daemon.renew_nonce()
    assert daemon.nonces == []


def test_it_is_saved_every_ten_seconds(server: Server, daemon: Daemon) -> None:
    """Or when it is asked for."""
    daemon.begin()
    daemon.keeper.save_control()
    writes = server.writes
    for seconds, due in ((9.9, 0), (0.2, 1), (9.9, 0)):
        daemon.now += seconds
        daemon.keeper.save_control()
        writes += due
        assert server.writes == writes
    daemon.keeper.control_soon()
    daemon.keeper.save_control()
    assert server.writes == writes + 1
    daemon.keeper.save_control(now=True)
    assert server.writes == writes + 2


@pytest.mark.parametrize("passing", [True, False])
def test_it_cannot_be_saved(server: Server, daemon: Daemon, passing: bool) -> None:
    """That says nothing of generations. What does not pass by itself is told."""
    daemon.begin()
    server.fails = [search.Away("away") if passing else refused(search.Forbidden, 403)]
    assert daemon.keeper.save_control(now=True)
    assert (daemon.keeper.trouble is None) is passing
    assert len([one for one in daemon.told if isinstance(one, ControlNotSaved)]) == (not passing)
    assert daemon.keeper.save_control(now=True)
    assert daemon.keeper.trouble is None
