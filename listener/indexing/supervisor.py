"""What indexing tells the session that it works for."""

from __future__ import annotations

from typing import Protocol


class Supervisor(Protocol):
    """Told, by any thread, what only a new session or a comparison can mend."""

    def fenced(self) -> None:
        """Writes are refused: another generation is in force, or an alias leads elsewhere."""

    def unmapped(self, kind: int, watch: str, reason: str) -> None:
        """A mapping file failed on rows of this watch: which documents they belong to is unknown.

        `kind`: number of the document kind. `reason`: the error in words.
        """
