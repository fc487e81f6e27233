"""An application that writes without a pause, over outages of PostgreSQL too."""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType
from typing import Self

import psycopg
import pytest

from tests.kit.scene import Connection, Scene


class Writer:
    """Edits of all kinds in a thread of its own, each a transaction, from the block's start to its
    end. The choice of edits is the same in every run; only their timing differs.

    `pace` is the seconds between two transactions: enough to be busy, little enough for two cores.
    """

    def __init__(self, scene: Scene, seed: int = 1, pace: float = 0.01) -> None:
        self._scene = scene
        self._pace = pace
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._committed = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def committed(self) -> int:
        """Transactions so far."""
        with self._changed:
            return self._committed

    def wait(self, more: int = 30, deadline: float = 30) -> None:
        """Wait until so many more transactions are committed, for `deadline` seconds at most."""
        until = time.monotonic() + deadline
        with self._changed:
            wanted = self._committed + more
            while self._committed < wanted:
                left = until - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    pytest.fail(
                        f"{self._committed} transactions of {wanted}: {self._error!r}\n"
                        f"{self._scene.processes.logs}"
                    )
                self._changed.wait(left)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def _run(self) -> None:
        connection: Connection | None = None
        try:
            while not self._stop.wait(self._pace):
                try:
                    if connection is None or connection.closed:
                        connection = self._scene.connect()
                    connection.execute(self._edit().encode())
                except psycopg.IntegrityError:
                    continue
                except psycopg.OperationalError:
                    if connection is not None:
                        connection.close()
                    continue
                with self._changed:
                    self._committed += 1
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error

    def _edit(self) -> str:
        number = self._random.randrange
        film = f"md5('film {number(300) + 1}')::uuid"
        person = f"md5('person {number(120) + 1}')::uuid"
        genre = f"md5('genre {number(12) + 1}')::uuid"
        link = f"md5('person link {number(300) + 1} {number(4) + 1}')::uuid"
        text = f"Text {number(1_000_000)}"
        return self._random.choice(
            [
                f"UPDATE content.film_work SET title = '{text}' WHERE id = {film}",
                f"UPDATE content.film_work SET rating = {number(100)} WHERE id = {film}",
                f"UPDATE content.person SET full_name = '{text}' WHERE id = {person}",
                f"UPDATE content.genre SET name = '{text}' WHERE id = {genre}",
                f"DELETE FROM content.film_work WHERE id = {film}",
                "INSERT INTO content.film_work (id, title, type) "
                f"VALUES ({film}, '{text}', 'movie') "
                "ON CONFLICT (id) DO UPDATE SET title = excluded.title",
                "INSERT INTO content.genre_film_work (film_work_id, genre_id) "
                f"VALUES ({film}, {genre}) ON CONFLICT DO NOTHING",
                f"DELETE FROM content.genre_film_work WHERE film_work_id = {film}",
                f"UPDATE content.person_film_work SET film_work_id = {film} WHERE id = {link}",
                f"DELETE FROM content.person_film_work WHERE id = {link}",
                "INSERT INTO content.person_film_work (id, film_work_id, person_id, role) "
                f"VALUES ({link}, {film}, {person}, 'writer') ON CONFLICT DO NOTHING",
                f"BEGIN; UPDATE content.film_work SET title = '{text}' WHERE id = {film}; "
                f"SELECT pg_sleep({number(40) / 1000}); "
                f"UPDATE content.person SET full_name = '{text}' WHERE id = {person}; COMMIT",
            ]
        )
