"""A load that the active daemon is asked for: what a command beside it sees of it until its end."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from listener.indexing.parked_table import ParkedDocument
from listener.resync.asked_load import GIVEN_UP, REFUSED, SOME_PARKED, SWAPPED, AskedLoads
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.existing import Existing
from listener.state.model import Kept, Load, Refusal, RolledBackFiles, State
from tests.kit.session import NOW, film_index, film_kind, saved_state


def made(seconds: float) -> str:
    """The name of an index of films that a load has made then."""
    return f"films-00000001-{NOW + timedelta(seconds=seconds):%Y%m%dt%H%M%S%f}z"


class Impatient(Stop):
    """Its waits take no time. Too many of them are a defect, or a test that never ends."""

    waits = 0

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        self.waits += 1
        assert seconds == 1
        assert self.waits < 20
        return self.requested


class Daemon:
    """An active daemon: what it does at each ring. `state`: as its control document says it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: State = saved_state()
        self.behind = made(-10)
        self.loading: str | None = None
        self.others: dict[str, Existing] = {}
        """Indexes that were not made by these files."""
        self.does: list[Any] = []
        self.asked: list[str | None] = []
        self.accepted: list[bool] = []
        self.active = True
        self.stop = Impatient()
        self.clock = 0.0
        self.rings = 0
        self.parked: list[ParkedDocument] = []
        self.documents = 5
        """How many the index has that people search."""
        self.rows = True
        """Whether the table has any."""
        monkeypatch.setattr(time, "monotonic", lambda: self.clock)
        monkeypatch.setattr("listener.capture.watermark.now", lambda _: (NOW,))
        monkeypatch.setattr("listener.capture.journal.ask_load", self._ask)

    def _ask(self, *_: object, waiting: str | None, accept: bool, **__: object) -> datetime:
        self.asked.append(waiting)
        self.accepted.append(accept)
        return NOW + timedelta(seconds=2)

    def ring(self) -> None:
        """It looks at its journal, and works on. The first one tells it of the request."""
        self.rings += 1
        if self.does:
            self.does.pop(0)()

    def load(self, *names: str, **accept: str) -> int | None:
        """The command's end."""
        source = SimpleNamespace(estimate=lambda _: 5, any_row=lambda _: self.rows)
        kind = SimpleNamespace(index="films", hash=film_kind().hash, document=0, source=source)
        nothing: Any = None
        parts: Any = SimpleNamespace(files=[kind], speaker=lambda _: "film")
        indexes: Any = SimpleNamespace(
            behind=lambda _: self.others.get(self.behind) or film_index(self.behind),
            get=lambda name: self.others.get(name) or film_index(name),
            aliases=lambda *_: {} if self.loading is None else {"films.l3": [self.loading]},
            count=lambda _: self.documents,
        )
        control: Any = SimpleNamespace(read=lambda: SimpleNamespace(state=self.state))
        parked: Any = SimpleNamespace(read=lambda _: self.parked)
        daemon: Any = SimpleNamespace(ring=self.ring, at_work=lambda: self.active)
        loads = AskedLoads(
            connection=nothing,
            parts=parts,
            indexes=indexes,
            control=control,
            parked=parked,
            daemon=daemon,
            stop=self.stop,
            patience=30,
        )
        return loads.run(names or ["films"], "listener", accept=accept)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """It has nothing to do."""
    return Daemon(monkeypatch)


def test_an_index_that_is_made_for_it(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Also for the request of another command of that moment: the daemon makes one for both."""

    def begins() -> None:
        daemon.loading = made(1)

    def swaps() -> None:
        daemon.behind, daemon.loading = made(1), None

    daemon.does = [begins, swaps]
    assert daemon.load() == SWAPPED
    told = capsys.readouterr().out
    assert "under way already" not in told
    assert f"are searched now, in {made(1)}" in told


def test_one_that_is_under_way_is_followed(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what is asked for. The daemon is asked nevertheless: that load may end another way."""
    daemon.loading = made(-1)

    def swaps() -> None:
        daemon.behind, daemon.loading = made(-1), None

    daemon.does = [swaps]
    assert daemon.load() == SWAPPED
    assert daemon.asked == [None]
    told = capsys.readouterr().out
    assert f"a load into {made(-1)} is under way already: it is followed" in told


def test_one_that_waits_for_a_person_is_not_followed(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another one is loaded."""
    daemon.loading = made(-1)
    held = {"films": Refusal(physical=made(-1), reason="too many are gone")}
    daemon.state = saved_state(refused=held)

    def swaps() -> None:
        daemon.behind, daemon.loading, daemon.state = made(1), None, saved_state()

    daemon.does = [swaps]
    assert daemon.load() == SWAPPED
    assert "under way already" not in capsys.readouterr().out


@pytest.mark.parametrize("files", ["other", "same"])
@pytest.mark.parametrize("when", [-1, 1])
def test_a_rollback_gives_it_up(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], when: int, files: str
) -> None:
    """One that came later; somebody may have gone back before, too. Files that made both indexes
    are in force after it: then what was in use up to it tells."""
    since = NOW + timedelta(seconds=when)
    rolled = RolledBackFiles(hash="hash1", since=since)
    kept = Kept(physical=made(-20), uuid="uuid-0", since=since, until=since + timedelta(hours=1))

    def goes_back() -> None:
        daemon.state = (
            saved_state(rolled_back={"films": rolled})
            if files == "other"
            else saved_state(kept={"films": kept})
        )

    def swaps() -> None:
        daemon.behind = made(1)

    daemon.does = [goes_back] if when > 0 else [goes_back, swaps]
    assert daemon.load() == (REFUSED if when > 0 else SWAPPED)
    assert ("a person went back" in capsys.readouterr().err) is (when > 0)


def swaps(daemon: Daemon, seconds: float = 1) -> Any:
    """A load of that moment is swapped in."""

    def swap() -> None:
        daemon.behind, daemon.loading = made(seconds), None

    return swap


def test_a_daemon_with_other_files(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """It would load by those. It is asked for nothing."""
    daemon.state = saved_state({"config_hash": "hash8-hash9"})
    assert daemon.load() == REFUSED
    assert "films: the active daemon was started with other files" in capsys.readouterr().err
    assert (daemon.asked, daemon.rings) == ([], 0)


@pytest.mark.parametrize("what", ["in use", "former", "rolled back"])
def test_a_daemon_that_feeds_these_files_and_was_started_with_others(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """They are put back while it is at work. The index in use, or the former one, is fed by what
    made it; a request for it would be passed over, and waited for in vain."""
    files = RolledBackFiles(hash="hash2", since=NOW - timedelta(seconds=5))
    daemon.state = saved_state(
        {"config_hash": "hash2-hash1"},
        rolled_back={"films": files} if what == "rolled back" else {},
    )
    if what == "in use":
        daemon.loading = made(-5)
        daemon.others[daemon.loading] = film_index(daemon.loading, hash="hash2")
    elif what == "former":
        daemon.others[daemon.behind] = film_index(daemon.behind, hash="hash2")
    assert daemon.load() == REFUSED
    assert "films: the active daemon was started with other files" in capsys.readouterr().err
    assert (daemon.asked, daemon.rings) == ([], 0)


@pytest.mark.parametrize("what", ["loading", "rolled back", "another owner's"])
def test_a_daemon_with_these_files_and_an_index_of_others(daemon: Daemon, what: str) -> None:
    """It loads by them already, or a person went back from them; or nothing is known of the index
    that people search."""
    files = RolledBackFiles(hash="hash1", since=NOW - timedelta(seconds=5))
    daemon.state = saved_state(
        {"config_hash": "hash1-hash2"},
        rolled_back={"films": files} if what == "rolled back" else {},
    )
    other = "hash9" if what == "another owner's" else "hash2"
    daemon.others[daemon.behind] = film_index(daemon.behind, hash=other)
    if what == "loading":
        daemon.loading = made(-5)
    daemon.does = [swaps(daemon, -5 if what == "loading" else 1)]
    assert daemon.load() == SWAPPED


def test_how_far_it_is(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step is told once. More documents than were expected are no more than all."""

    def begins() -> None:
        daemon.loading = made(1)

    def reads(documents: int) -> Any:
        def read() -> None:
            load = Load(
                index="films",
                physical=made(1),
                started_at=NOW,
                documents=documents,
                written=documents - 1,
            )
            daemon.state = saved_state(loads=(load,))

        return read

    daemon.does = [list, begins, list, reads(3), list, reads(7), swaps(daemon)]
    assert daemon.load() == SWAPPED
    assert capsys.readouterr().out.splitlines() == [
        "asked the active daemon to load films",
        f"films: loading into {made(1)}",
        "films: read 3 of about 5: 2 written",
        "films: read 7 of about 7: 6 written",
        f"films: 5 documents are searched now, in {made(1)}; 0 are parked",
    ]


def test_a_load_of_before_is_another_one(daemon: Daemon) -> None:
    """What people search already, or what is loaded by other files, is not what was asked for."""
    daemon.loading = made(-1)
    daemon.does = [list, list, swaps(daemon)]
    daemon.others[made(-1)] = film_index(made(-1), hash="hash9")
    assert daemon.load() == SWAPPED
    assert daemon.rings == 3


@pytest.mark.parametrize(
    ("of", "first_at", "status"),
    [
        ("films", NOW + timedelta(seconds=2), SOME_PARKED),
        ("films", NOW - timedelta(days=1), SWAPPED),
        ("persons", NOW + timedelta(seconds=2), SWAPPED),
        (made(1), NOW - timedelta(days=1), SOME_PARKED),
    ],
    ids=["of this one", "of the one before", "of another document", "by its own name"],
)
def test_parked_documents(daemon: Daemon, of: str, first_at: datetime, status: int) -> None:
    """Those of this load count, and those of the index before do not."""
    daemon.parked = [ParkedDocument(of, "7", "no", first_at, first_at, 1)]
    daemon.does = [swaps(daemon)]
    assert daemon.load() == status


@pytest.mark.parametrize(("rows", "status"), [(True, SOME_PARKED), (False, SWAPPED)])
def test_no_document_at_all(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], rows: bool, status: int
) -> None:
    """Where the table has rows the query is at fault. An empty table is none."""
    daemon.documents, daemon.rows = 0, rows
    daemon.does = [swaps(daemon)]
    assert daemon.load() == status
    assert ("no document was written" in capsys.readouterr().err) is rows


def test_an_index_that_is_held(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Why, and what allows it, is told. One that was held before is not this one."""
    old = {"films": Refusal(physical=made(-1), reason="an old one")}
    new = {"films": Refusal(physical=made(1), reason="too many are gone")}
    daemon.state = saved_state(refused=old)

    def holds() -> None:
        daemon.state = saved_state(refused=new)

    daemon.does = [list, holds]
    assert daemon.load() == REFUSED
    assert capsys.readouterr().err == "films: too many are gone\n"


def test_a_word_for_one_that_is_held(daemon: Daemon) -> None:
    """It is bound to that index. That it is held still is no end."""
    daemon.state = saved_state(refused={"films": Refusal(physical=made(-1), reason="many")})
    daemon.does = [list, list, swaps(daemon, -1)]
    assert daemon.load(films=made(-1)) == SWAPPED
    assert (daemon.asked, daemon.accepted) == ([made(-1)], [True])
    assert daemon.rings == 3


def test_stop(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon goes on, and that is said."""
    daemon.does = [daemon.stop.request]
    with pytest.raises(Stopped):
        daemon.load()
    assert "the daemon goes on with it" in capsys.readouterr().out
    assert daemon.rings == 1


def test_the_daemon_ends_before(daemon: Daemon) -> None:
    """The command loads by itself then."""

    def ends() -> None:
        daemon.active = False

    daemon.does = [list, ends]
    assert daemon.load() is None


def test_the_daemon_ends_with_it(daemon: Daemon) -> None:
    """As one does that runs once, or is stopped in that second. Nothing is loaded a second time."""

    def swaps_and_ends() -> None:
        daemon.behind, daemon.active = made(1), False

    daemon.does = [list, swaps_and_ends]
    assert daemon.load() == SWAPPED


@pytest.mark.parametrize(
    ("begins", "seconds"), [(False, 31), (True, 301)], ids=["it does not begin", "it stands still"]
)
def test_patience(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], begins: bool, seconds: int
) -> None:
    """One that has begun gets more: waiting for replicas shows nothing. Where to look is told."""

    def passes(number: float) -> Any:
        def passed() -> None:
            if begins:
                daemon.loading = made(1)
            daemon.clock += number

        return passed

    daemon.does = [list, passes(0), passes(seconds - 1), passes(1)]
    assert daemon.load() == GIVEN_UP
    assert f"nothing was seen of it for {seconds - 1} s" in capsys.readouterr().err
    assert daemon.rings == 4
