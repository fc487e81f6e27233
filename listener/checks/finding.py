"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and the SQL, the command or the lines of the configuration that mend it.

    With an `error` listener would write wrong documents or none; a `warning` is for people to
    judge. `mend` may have several lines, and is empty where there is nothing to write down.
    `costly`: an error that costs work and no document. A daemon tells it and goes on.
    """

    severity: Literal["error", "warning"]
    what: str
    mend: str = ""
    costly: bool = field(default=False, kw_only=True)

    @property
    def refuses(self) -> bool:
        """Whether no daemon may work with it."""
        return self.severity == "error" and not self.costly
