"""What a start waits for, and what ends it: a table of listener may be there again soon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import errors

from listener.app.startup import Startup
from listener.observations.events import Observation, Waiting
from listener.runtime.lifecycle import Stop
from listener.triggers import TriggerError


def while_installing(cause: Exception) -> TriggerError:
    """What an installer says of this error of PostgreSQL."""
    error = TriggerError(f"triggers of content.film_work: {cause}")
    error.__cause__ = cause
    return error


class Looking:
    """A start whose first look at PostgreSQL fails, and whose second one does not."""

    def __init__(self, folder: Any, error: Exception) -> None:
        self.told: list[Observation] = []
        self.looks = 0
        self._error = error
        config: Any = SimpleNamespace(
            postgres=SimpleNamespace(db_schema="listener"),
            backoff=SimpleNamespace(start=0.001, factor=1, limit=0.001, give_up_after=5),
            state_file_name=folder / "state.yaml",
            fetch_delay=1.0,
        )
        self.startup = Startup(
            config, observe=self.told.append, stop=Stop(), once=True, force=False
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
    assert looking.startup._of_postgres(looking.look) == "seen"
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
        looking.startup._of_postgres(looking.look)
    assert looking.looks == 1
