"""What happened: the one typed list of moments worth telling.

Log lines, metrics and the waits of tests all come from these values; nothing else writes to the
log. Each class is one observation: its snake_case name is the event's name, its fields are the
event's fields, and `TEXT` with the fields filled in is the sentence that people read.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Protocol, TextIO

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
_ORDER: dict[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


@dataclass(frozen=True, slots=True)
class Observation:
    """Base of all observations."""

    LEVEL: ClassVar[Level] = "INFO"
    TEXT: ClassVar[str] = ""

    @classmethod
    def event(cls) -> str:
        """Name of the event: the class's name in snake_case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def values(self) -> dict[str, Any]:
        """The fields, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def sentence(self) -> str:
        """What people read."""
        return self.TEXT.format(**self.values())


class Observe(Protocol):
    """Takes an observation. Never raises; safe from any thread."""

    def __call__(self, observation: Observation, /) -> None:
        """Tell it."""


class Log:
    """Writes observations as lines to a stream (standard error), as text or as JSON."""

    def __init__(
        self,
        level: Level = "INFO",
        form: Literal["text", "json"] = "text",
        stream: TextIO | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._least = _ORDER[level]
        self._form = form
        self._stream = stream
        self._now = now
        self._lock = threading.Lock()

    def __call__(self, observation: Observation, /) -> None:
        """Write one line; a stream that cannot be written to is nobody's fault to die of."""
        if _ORDER[observation.LEVEL] < self._least:
            return
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            record = {
                "at": at,
                "level": observation.LEVEL,
                "event": observation.event(),
                "message": observation.sentence(),
                **observation.values(),
            }
            line = json.dumps(record, ensure_ascii=False, default=str)
        else:
            line = f"{at} {observation.LEVEL:<7} {observation.sentence()}"
        stream = self._stream or sys.stderr
        with self._lock:
            try:
                stream.write(line.replace("\n", " ") + "\n")
                stream.flush()
            except (OSError, ValueError):
                return
