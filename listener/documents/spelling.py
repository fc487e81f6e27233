"""How the ids of one document kind are written, for people who have written one otherwise."""

from __future__ import annotations

import json
from functools import cached_property

from listener.changes import PayloadError, key_of_id
from listener.documents import paging
from listener.documents.statements import Statements
from listener.observations.printable import shown
from listener.postgres import Connection


class Spelling:
    """Tells how an id is written, by the types of the key and by one id of the table."""

    def __init__(self, statements: Statements, connection: Connection) -> None:
        self._statements = statements
        self._connection = connection

    def meant(self, text: str) -> str | None:
        """The id whose parts these are; None: they are no parts of an id."""
        try:
            return self._statements.id_of(key_of_id(text, self._statements.types))
        except PayloadError:
            return None

    def other(self, text: str) -> str | None:
        """The same id, where it was written as JSON with other spaces; else None."""
        meant = self.meant(text)
        if len(self._statements.types) < 2 or meant is None or meant == text:
            return None
        return meant if json.loads(meant) == json.loads(text) else None

    def of(self, text: str) -> str:
        """How to write what was written as `text`. Raises psycopg.Error and QueryFileError."""
        meant = self.meant(text)
        if meant is not None and meant != text:
            return f"it is written {shown(meant)}"
        parts = [
            f"{name} ({kind})"
            for name, kind in zip(
                self._statements.definition.key, self._statements.types, strict=True
            )
        ]
        told = f"an id is {parts[0]}"
        if len(parts) > 1:
            told = f"an id is the JSON array of {', '.join(parts)}"
        return f"{told}, such as {shown(self._example)}" if self._example else told

    @cached_property
    def _example(self) -> str:
        """One id that there is; empty: there is none."""
        keys = paging.id_page(self._statements, self._connection, None, 1)
        return self._statements.id_of(keys[0]) if keys else ""
