"""Escapes text that listener did not write, so that it stays on one line and controls no terminal.

An id of a document, or a reason that repeats it, may hold anything.
"""

from __future__ import annotations

import json
from typing import Final

_CONTROL: Final = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160))} | {
    10: " ",
    13: " ",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_CONTROL_IN_JSON: Final = {n: f"\\u{n:04x}" for n in (*range(127, 160), 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """The text without control characters; line breaks become spaces."""
    return text.translate(_CONTROL)


def one_line_of_json(text: str) -> str:
    """The same for a JSON text, in which all characters below a space are escaped already."""
    return text.translate(_CONTROL_IN_JSON)


def shown(text: str) -> str:
    """An id among other words: in quotes, as JSON, where it could be misread."""
    if text and text.strip() == text and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
