"""What a row can hold: keys and contents that bite, and which of them an index cannot take."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from psycopg import sql

from tests.kit.scene import Scene

IDS = {
    "a slash": "a/b",
    "two dots and a slash": "../_all/_delete_by_query",
    "a hash": "#1",
    "a question mark": "?x=1&y",
    "a percent sign": "100%",
    "an encoded slash": "a%2Fb",
    "a placeholder": "%(ids)s %s %%",
    "quotes": '"it\'s"',
    "a backslash": "back\\slash\\",
    "a leading underscore": "_doc",
    "an underscore": "_",
    "a space": " ",
    "spaces around": "  edge  ",
    "a tab": "\t",
    "a line break": "line\nbreak\r\n",
    "a bulk's line": 'x"}}\n{"delete":{"_index":"x","_id":"1"}}\n',
    "a control character": "\x01\x1f\x7f",
    "another script": "Ключ ключа",
    "right to left": "שלום\u202eabc",
    "combining": "e\u0301",
    "composed": "\u00e9",
    "astral": "\U0001f3ac" * 3,
    "a line separator": "\u2028\u2029\u0085",
    "a byte order mark": "\ufeff",
    "no character": "\uffff\U0010ffff",
    "a JSON array": '["a", 1]',
    "a JSON object": '{"v": 1}',
    "null": "null",
    "a number": "-0",
    "a date": "2026-01-01",
    "a wildcard": "*,-x",
    "what a server says": "current version [99999999999999999] is higher",
    "what a server says of pipelines": "pipeline with id [x] does not exist",
    "512 bytes": "x" * 512,
    "512 bytes of two": "é" * 256,
}
"""Ids that every server takes."""

TOO_LONG = {"513 bytes": "y" * 513, "513 bytes of characters": "é" * 256 + "z", "nothing": ""}
"""Ids that none takes: parked before they are sent."""

CONTENTS: dict[str, dict[str, Any]] = {
    "half a character": {"raw": r'{"a": "\ud800", "\udc00": "x\udfff\ud800y"}'},
    "NUL": {"raw": r'{"a\u0000": "\u0000"}'},
    "line breaks": {"raw": '{\n"a"\r\n:\r[1,\n\n2]\n}\n'},
    "bulk lines": {"raw": '{"a":1}\n'.replace("1", '\n{"delete":{"_index":"x","_id":"1"}}\n')},
    "separators": {"raw": '{"a": "\u2028\u2029\u0085\ufeff"}', "tag": "\u2028\u0085"},
    "odd names": {"raw": '{"": 1, ".": 2, "a..b": 3, " ": 4, "_id": 5, "a.b": {"": 6}, "a": 7}'},
    "large numbers": {
        "raw": '{"a": 1e400, "b": -1E-400, "e": 1.0000000000000000000001, "c": '
        + "9" * 900
        + ', "d": -0.0}'
    },
    "scalars": {"raw": "[]"},
    "a megabyte": {"raw": json.dumps({"a": "x\\\n\u2028" * 150_000})},
    "deep": {"raw": "[" * 400 + "]" * 400},
    "a date": {"moment": "9999-12-31 23:59:59.999999+00"},
    "year one": {"moment": "0001-01-01 00:00:00+00"},
    "least number": {"number": "4.9e-324", "amount": "-0.000"},
    "greatest number": {"number": "1.7976931348623157e308", "amount": "1" + "0" * 300},
    "flat": {"free": '{"a": {"b": ["c", 1.50, null, true]}, "": "nothing", "x.y": " "}'},
    "a long tag": {"tag": "k" * 32766},
    "empty": {"raw": "{}", "free": "{}", "tag": ""},
}
"""What an index takes, and must have exactly as it is."""

REFUSED: dict[str, dict[str, Any]] = {
    "NaN": {"number": "NaN"},
    "infinite": {"number": "-Infinity"},
    "NaN as numeric": {"amount": "NaN"},
    "a numeric beyond doubles": {"amount": "1" + "0" * 400},
    "before Christ": {"moment": "0044-03-15 12:00:00+00 BC"},
    "for ever": {"moment": "infinity"},
    "since ever": {"moment": "-infinity"},
    "year 294276": {"moment": "294276-12-31 23:59:59+00"},
    "a tag of 32,767 bytes": {"tag": "k" * 32767},
    "too deep for a flat field": {"free": '{"a":' * 30 + "1" + "}" * 30},
    "NUL in a flat field's name": {"free": r'{"a\u0000b": 1}'},
    "no object in a flat field": {"free": "[[1], 2]"},
    "a flat value too long": {"free": json.dumps({"a": "k" * 40_000})},
}
"""What an index refuses: that document alone is parked."""


@dataclass
class Rows:
    """Writes rows of odd.thing, and knows which of them no index may have."""

    scene: Scene
    refused: set[str] = field(default_factory=set)

    def put(self, thing: str, refused: bool = False, **columns: Any) -> None:
        """Insert a row, or overwrite all of it."""
        names = ["raw", "free", "number", "amount", "moment", "tag"]
        connection = self.scene.connect()
        connection.execute(
            sql.SQL(
                "INSERT INTO odd.thing (id, {names}) VALUES (%s, {values}) "
                "ON CONFLICT (id) DO UPDATE SET ({names}) = ROW ({new})"
            ).format(
                names=sql.SQL(", ").join(map(sql.Identifier, names)),
                values=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                new=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in names),
            ),
            [thing, *(columns.get(name) for name in names)],
        )
        connection.close()
        (self.refused.add if refused else self.refused.discard)(thing)

    def drop(self, thing: str) -> None:
        """Delete a row."""
        connection = self.scene.connect()
        connection.execute("DELETE FROM odd.thing WHERE id = %s", [thing])
        connection.close()
        self.refused.discard(thing)

    def settle(self, deadline: float = 30) -> None:
        """Wait until the index has all rows but the refused ones, which are parked, and no more."""
        until = time.monotonic() + deadline
        pause = threading.Event()
        while wrong := self._wrong():
            if time.monotonic() > until:
                pytest.fail(f"not settled:\n{wrong}\n\n{self.scene.processes.logs}")
            pause.wait(0.1)

    def _wrong(self) -> str:
        found = self.scene.differences()
        things = self.scene.index
        for one in self.refused:
            found.missing.pop((things, one), None)
            found.stale.pop((things, one), None)
        parked = {row[0] for row in self.scene.admin("SELECT id FROM listener.parked")}
        if found:
            return found.report()
        if parked != self.refused:
            return f"parked: {sorted(parked)}, not {sorted(self.refused)}"
        return ""
