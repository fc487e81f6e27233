"""Owners: the pipeline and the database whose documents an index holds. Pure.

The owner stands in the `_meta` of an index's mapping and of an index template, under `listener`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from listener.search.index_config import IndexError_


class ForeignIndex(IndexError_):
    """An index, or the name of an alias, belongs to another pipeline or another database."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a pipeline, as indexes name it.

    `system` (the cluster's identifier), `oid` and listener's `schema` in it tell it from all
    others. `name` is for people: a database may be renamed.
    """

    system: str
    oid: int
    schema: str
    name: str

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from others."""
        return self.system, self.oid, self.schema

    def __str__(self) -> str:
        return (
            f"the database {self.name} (oid {self.oid} of cluster {self.system}, postgres.schema "
            f"{self.schema})"
        )


class Owner:
    """One pipeline as the owner of indexes and templates.

    `database` is the one whose documents they hold. As long as it is None, that of no other
    database counts as foreign.
    """

    def __init__(self, pipeline: str, database: Database | None = None) -> None:
        self.pipeline = pipeline
        self.database = database
        self.formers: set[tuple[str, int, str]] = set()
        """Keys of databases whose place this one has taken, as a saved state says."""

    def meta(self) -> dict[str, Any]:
        """What is written into `_meta` to name the owner."""
        own: dict[str, Any] = {"pipeline": self.pipeline}
        if self.database is not None:
            own["database"] = asdict(self.database)
        return own

    def owns(self, pipeline: str | None, database: Database | None) -> bool:
        """Whether what names this pipeline and database is of this owner."""
        return pipeline == self.pipeline and self._is_same(database)

    def why_foreign(self, path: str, own: Any, alias: str, *, take: bool) -> str | None:
        """Why what is at this path belongs to another owner, and the way out; None: it does not.

        `path`: of an index or a template. `own`: what it says of its owner. What no pipeline has
        made is nobody's here. `take`: that of another database, but of a pipeline of this name,
        changes hands: the database was moved, and the operator says so.
        """
        if not isinstance(own, Mapping) or not isinstance(own.get("pipeline"), str):
            return None
        us = f"the pipeline {self.pipeline!r}"
        if self.database is not None:
            us += f" of {self.database}"
        theirs = database_of(own.get("database"))
        them = f"the pipeline {own['pipeline']!r}" + (f" of {theirs}" if theirs else "")
        name = path.rsplit("/", 1)[-1]
        clash = f"{name} belongs to {them}, and this is {us}: two cannot feed the alias {alias!r}"
        if own["pipeline"] != self.pipeline:
            return (
                f"{clash}. Give documents[].index another name; or, where the other pipeline is "
                f"gone for good, DELETE {path}"
            )
        if take or self._is_same(theirs):
            return None
        return (
            f"{clash}: it is another database, or another schema of ours in it. If they are one, "
            "and the database was moved or restored, or the schema renamed, run `listener load`: "
            "it loads everything anew and takes the name. Otherwise give pipeline and "
            "documents[].index other names"
        )

    def _is_same(self, other: Database | None) -> bool:
        own = self.database
        return other is None or own is None or other.key in {own.key, *self.formers}


def database_of(value: Any) -> Database | None:
    """The database that an owner's words name; None where a former release has written them."""
    try:
        return Database(
            str(value["system"]), int(value["oid"]), str(value["schema"]), str(value["name"])
        )
    except (TypeError, KeyError, ValueError):
        return None
