"""The documents section: what is indexed, and which tables influence it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from listener.config.values import Names, Strict, Text, TextFile, split_name

Notify = Literal["rows", "doorbell", "off"]


class Table(Strict):
    """A section that names one table."""

    table: str = Field(description="Name of the table: `schema.table`, `public` if left out.")
    key: Names = Field(description="Key column, or a list of them: a composite key.")

    @field_validator("table")
    @classmethod
    def _check_table(cls, value: str) -> str:
        split_name(value)
        return value

    @field_validator("key")
    @classmethod
    def _check_key(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a column stands twice in the key")
        return value


class WatchConfig(Table):
    """A table whose rows influence a document."""

    updated_at: Text | None = Field(
        default=None,
        description="Column that listener stamps (the application's own value is overwritten) and "
        "polls: timestamptz or timestamp. Left out: changes are recorded in listener's journal.",
    )
    columns: Names | None = Field(
        default=None,
        description="An UPDATE that changes none of these columns sends nothing. None: any "
        "change sends.",
    )
    notify: Notify = Field(
        default="rows",
        description="`rows` sends the keys with NOTIFY; `doorbell` only rings; `off` leaves it to "
        "polling. All are correct; `rows` is the fastest reader, `off` the cheapest writer.",
    )
    mapping_file: TextFile | None = Field(
        default=None,
        description="SQL file: takes `%(keys)s`, returns the document ids as `id`. Left out: the "
        "keys are the document ids.",
    )


class DocumentConfig(Table):
    """One kind of document: an index and the query that fills it. `table` and `key` page it."""

    index: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$",
        description="Alias under which the documents are found; the real index behind it is "
        "named ALIAS-HASH-TIME.",
    )
    index_config_file: TextFile = Field(
        description="JSON file with `settings` and `mappings` of the index."
    )
    query_file: TextFile = Field(
        description="SQL file: takes `%(ids)s`, returns the columns `id` and `document`."
    )
    ids_file: TextFile | None = Field(
        default=None,
        description="SQL file that pages all ids (`%(after)s`, `%(limit)s`), where they are not "
        "simply the keys of `table`.",
    )
    watch: tuple[WatchConfig, ...] = Field(
        min_length=1, description="The watched tables: every table that the query reads."
    )
    static: tuple[str, ...] = Field(
        default=(), description="Tables that the query reads and that never change."
    )

    @field_validator("static")
    @classmethod
    def _check_static(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            split_name(name)
        return value

    @model_validator(mode="after")
    def _check_watch(self) -> Self:
        for one in self.watch:
            if one.mapping_file is None and len(one.key) != len(self.key):
                raise ValueError(
                    f"watch {one.table}: its key has {len(one.key)} columns, the document's has "
                    f"{len(self.key)}; give a mapping_file, or name the columns that hold the "
                    "document's key"
                )
        watched = {split_name(one.table) for one in self.watch}
        for name in self.static:
            if split_name(name) in watched:
                raise ValueError(f"static: {name} is watched, so it is not static")
        return self


def not_configured(index: str, known: Sequence[str]) -> str:
    """What is told of an index that no document has; `known`: those that there are."""
    near = difflib.get_close_matches(index, known, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"no document of the configuration has the index {index!r}: {meant}"
