"""The log: one line on standard error for each observation, as text or as JSON."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from listener.observations.events import Level, Observation
from listener.observations.printable import one_line, one_line_of_json
from listener.observations.repeats import Repeats

_ORDER: Final[dict[Level, int]] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


class Log:
    """Writes observations as lines to a stream. It is an `Observe`: safe from any thread."""

    def __init__(
        self,
        level: Level = "INFO",
        form: Literal["text", "json"] = "text",
        stream: TextIO | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`level`: the least that is written; at DEBUG each repeat is, too. `stream`: None means
        standard error."""
        self._least = _ORDER[level]
        self._repeats = Repeats() if level != "DEBUG" else None
        self._as_line = as_json if form == "json" else as_text
        self._stream = stream
        self._now = now
        self._lock = threading.Lock()

    def __call__(self, observation: Observation, /) -> None:
        """Write one line; a stream that cannot be written to ends nothing."""
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = self._as_line(at, observation)
        stream = self._stream or sys.stderr
        with self._lock:
            repeats = self._repeats is not None and self._repeats.hides(observation)
            if repeats or _ORDER[observation.LEVEL] < self._least:
                return
            try:
                stream.write(line + "\n")
                stream.flush()
            except (OSError, ValueError):
                return


def as_text(at: str, observation: Observation) -> str:
    """The line for people: time, level, sentence."""
    return one_line(f"{at} {observation.LEVEL:<7} {observation.sentence()}")


def as_json(at: str, observation: Observation) -> str:
    """The line for machines: an object with `at`, `level`, `event`, `message`, and the fields."""
    record = {
        "at": at,
        "level": observation.LEVEL,
        "event": observation.event(),
        "message": observation.sentence(),
        **observation.values(),
    }
    return one_line_of_json(json.dumps(record, ensure_ascii=False, default=str))
