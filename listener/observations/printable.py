"""Text of others on a line of ours: an id, or a reason that repeats it, may hold anything."""

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
    """Without what a terminal takes for a command, or a reader for a new line."""
    return text.translate(_CONTROL)


def one_line_of_json(text: str) -> str:
    """The same for JSON, which has escaped what is below a space already."""
    return text.translate(_CONTROL_IN_JSON)


def shown(text: str) -> str:
    """An id among other words: in quotes, as JSON, where it could be misread."""
    if text and text.strip() == text and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
