"""Rows that are edited once: a change of theirs that is lost stays lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tests.kit.scene import Scene


@dataclass(frozen=True, slots=True)
class Probe:
    """One transaction on three films that no writer touches: update, delete, insert."""

    number: int
    stamp: datetime
    """When it was stamped, by the server's clock."""


class Probes:
    """Films that are edited once and never again: a change of theirs that is lost stays lost.

    (Those of the writers are written again and again, which would hide it.)
    """

    def __init__(self, scene: Scene, count: int) -> None:
        """Make them; before the daemon starts."""
        self._scene = scene
        self._count = count
        self._next = 0
        scene.sql(
            "INSERT INTO content.film_work (id, title, type) "
            "SELECT md5('probe ' || kind || n)::uuid, 'Probe ' || n, 'movie' "
            f"FROM generate_series(1, {count}) AS n, (VALUES ('update'), ('delete')) AS v (kind)"
        )

    def edit(self, *, flushed: bool = True) -> Probe:
        """The next three, in one transaction. Not `flushed`: it is visible before it is on disk."""
        self._next += 1
        assert self._next <= self._count, "too few probes"
        number = self._next
        self._scene.sql(
            f"BEGIN; SET LOCAL synchronous_commit = {'on' if flushed else 'off'}; "
            "UPDATE content.film_work SET title = 'Probed' "
            f"WHERE id = md5('probe update{number}')::uuid; "
            f"DELETE FROM content.film_work WHERE id = md5('probe delete{number}')::uuid; "
            "INSERT INTO content.film_work (id, title, type) "
            f"VALUES (md5('probe insert{number}')::uuid, 'Probed', 'movie'); "
            "COMMIT"
        )
        [(stamp,)] = self._scene.sql(
            "SELECT min(updated_at) FROM content.film_work WHERE id IN "
            f"(md5('probe update{number}')::uuid, md5('probe insert{number}')::uuid)"
        )
        return Probe(number, stamp)

    def is_indexed(self, probe: Probe) -> bool:
        """Whether the film that it inserts is in the index."""
        [(doc_id,)] = self._scene.sql(f"SELECT md5('probe insert{probe.number}')::uuid::text")
        status, _ = self._scene.search.request("GET", f"/{self._scene.index}/_doc/{doc_id}")
        return status == 200
