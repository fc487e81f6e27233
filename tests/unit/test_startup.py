"""What a start waits for, and what ends it: a table of listener may be there again soon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import OperationalError, adapters, errors

from listener import search
from listener.app.patience import Patience
from listener.app.startup import Startup
from listener.app.status import GIVEN_UP, Refused
from listener.changes import KeyType
from listener.checks import Finding
from listener.checks.id_types import ids_wrong
from listener.documents.files import Role
from listener.observations.events import CheckFailed, CheckWarning, Held, Observation, Waiting
from listener.runtime.lifecycle import Stop, Stopped
from listener.state.heartbeat import read_heartbeat
from listener.state.pulse import Pulse
from listener.triggers import Busy, TriggerError


def while_installing(cause: Exception) -> TriggerError:
    """What an installer says of this error of PostgreSQL."""
    error = TriggerError(f"triggers of content.film_work: {cause}")
    error.__cause__ = cause
    return error


class Looking:
    """A start whose first look at PostgreSQL fails, and whose second one does not."""

    def __init__(self, folder: Any, error: Exception, give_up_after: float = 5) -> None:
        self.told: list[Observation] = []
        self.looks = 0
        self._error = error
        config: Any = SimpleNamespace(
            postgres=SimpleNamespace(db_schema="listener"),
            backoff=SimpleNamespace(
                start=0.001, factor=1, limit=0.001, give_up_after=give_up_after
            ),
            state_file_name=folder / "state.yaml",
            fetch_delay=1.0,
        )
        self.stop = Stop()
        pulse = Pulse(config)
        self.patience = Patience(
            config, pulse=pulse, observe=self.told.append, stop=self.stop, once=True
        )
        self.startup = Startup(
            config,
            pulse=pulse,
            observe=self.told.append,
            stop=self.stop,
            once=True,
            force=False,
        )

    def look(self) -> str:
        """One look."""
        self.looks += 1
        if self.looks == 1:
            raise self._error
        return "seen"


@pytest.mark.parametrize(
    "error",
    [
        errors.UndefinedTable('relation "listener.meta" does not exist'),
        errors.InvalidSchemaName('schema "listener" does not exist'),
        while_installing(errors.InvalidSchemaName('schema "listener" does not exist')),
        while_installing(errors.UndefinedTable('relation "listener.journal" does not exist')),
        while_installing(errors.UndefinedFunction("function listener.film_stamp() does not exist")),
    ],
)
def test_what_is_removed_of_ours_is_looked_at_again(tmp_path: Any, error: Exception) -> None:
    """The next look finds that it is gone, and makes it anew."""
    looking = Looking(tmp_path, error)
    assert looking.patience.of_postgres(looking.look) == "seen"
    assert [type(one) for one in looking.told] == [Waiting]


@pytest.mark.parametrize(
    "error",
    [
        errors.UndefinedTable('relation "listeners" does not exist'),
        errors.UndefinedTable('relation "listener_films.film" does not exist'),
        errors.InvalidSchemaName('schema "listener_films" does not exist'),
        while_installing(errors.UndefinedTable('relation "listeners" does not exist')),
        while_installing(errors.UndefinedFunction("function listeners.f() does not exist")),
        while_installing(errors.UndefinedFunction("function my.listener.f() does not exist")),
        while_installing(errors.DuplicateObject('"listener.x" is there already')),
        TriggerError("no such table: content.film"),
    ],
)
def test_what_is_not_ours_ends_the_start(tmp_path: Any, error: Exception) -> None:
    """It would be waited for without end: a person must mend it."""
    looking = Looking(tmp_path, error)
    with pytest.raises(type(error)):
        looking.patience.of_postgres(looking.look)
    assert looking.looks == 1


@pytest.mark.parametrize(
    ("error", "told", "state", "reason"),
    [
        (OperationalError("refused"), Waiting, "waiting for PostgreSQL", "refused"),
        (errors.InvalidPassword("wrong"), Held, "held", "wrong"),
    ],
)
def test_a_server_that_is_not_up_yet(
    tmp_path: Any, error: Exception, told: type[Observation], state: str, reason: str
) -> None:
    """It is looked at again, and the heartbeat says why. What a person must mend may be mended."""
    looking = Looking(tmp_path, error)
    assert looking.patience.of_postgres(looking.look) == "seen"
    assert [type(one) for one in looking.told] == [told]
    beat = read_heartbeat(tmp_path / "state.yaml")
    assert beat is not None
    assert (beat.state, beat.reason) == (state, reason)


def test_a_start_that_others_are_in_the_way_of_looks_again(tmp_path: Any) -> None:
    """Another daemon may install for longer than the installer's patience, or be frozen there."""
    looking = Looking(tmp_path, Busy("the schema listener: another process installs triggers"))
    assert looking.patience.of_postgres(looking.look) == "seen"
    assert [type(one) for one in looking.told] == [Waiting]
    assert "another process installs" in str(looking.told[0])


def test_once_does_not_wait_for_ever_for_what_is_in_the_way(tmp_path: Any) -> None:
    """It ends as where a server is away for too long, and not as for a person's mistake."""
    looking = Looking(tmp_path, Busy("film: locks are held by process 7"), give_up_after=0)
    with pytest.raises(GIVEN_UP, match="process 7"):
        looking.patience.of_postgres(looking.look)


def test_once_gives_up(tmp_path: Any) -> None:
    """With the error that it met last."""
    looking = Looking(tmp_path, OperationalError("refused"), give_up_after=0)
    with pytest.raises(OperationalError):
        looking.patience.of_postgres(looking.look)
    assert (looking.looks, looking.told) == (1, [])


def test_a_stop_ends_the_wait(tmp_path: Any) -> None:
    """The first look is made in any case."""
    looking = Looking(tmp_path, OperationalError("refused"))
    looking.stop.request()
    with pytest.raises(Stopped):
        looking.patience.of_postgres(looking.look)
    assert looking.looks == 1


@pytest.mark.parametrize(("status", "looks"), [(503, 2), (403, 1)])
def test_an_answer_of_elasticsearch_that_it_cannot_answer_yet(
    tmp_path: Any, status: int, looks: int
) -> None:
    """It is asked again. A right that is missing is a person's matter."""
    meta: Any = SimpleNamespace(status=status)
    looking = Looking(tmp_path, search.Refused("no", meta, {"error": "no"}))
    if looks == 2:
        assert looking.patience.of_elasticsearch(looking.look) == "seen"
        assert [type(one) for one in looking.told] == [Waiting]
    else:
        with pytest.raises(search.Refused):
            looking.patience.of_elasticsearch(looking.look)
    assert looking.looks == looks


# -- what a look has found -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "types", "refuses"),
    [
        ("mapping", ("uuid",), False),
        ("mapping", ("uuid", "uuid"), True),
        ("query", ("uuid",), True),
        ("ids", ("uuid",), True),
    ],
)
def test_ids_of_another_type(
    tmp_path: Any, role: Role, types: tuple[KeyType, ...], refuses: bool
) -> None:
    """An error for `check`. A daemon goes on where only a mapping fails for each key: documents are
    compared instead. What would end it later ends the start."""
    connection: Any = SimpleNamespace(adapters=adapters)
    document: Any = SimpleNamespace(table="stall.item", key=["id", "part"][: len(types)])
    found = ids_wrong(connection, adapters.types["int4"].oid, document, types, role)
    assert found is not None
    assert (found.severity, found.refuses) == ("error", refuses)
    looking = Looking(tmp_path, Exception())
    if refuses:
        with pytest.raises(Refused, match="as id"):
            looking.startup._judge([found])
    else:
        looking.startup._judge([found])
    told = CheckFailed if refuses else CheckWarning
    assert looking.told == [told(found.what, found.mend)]


def test_what_costs_only_work_hides_no_error(tmp_path: Any) -> None:
    """Each is told as what it is, and the error alone is the reason."""
    looking = Looking(tmp_path, Exception())
    costly = Finding("error", "ids of another type", "return others", costly=True)
    with pytest.raises(Refused, match="no such table: make it"):
        looking.startup._judge([costly, Finding("error", "no such table", "make it")])
    assert [type(one) for one in looking.told] == [CheckWarning, CheckFailed]
    looking.startup._judge([costly], told=[costly])
    assert len(looking.told) == 2
