"""Reading the text files that the configuration names: SQL, and the configuration of an index."""

from __future__ import annotations

import difflib
from pathlib import Path

from listener import ListenerError


class NoText(ListenerError, ValueError):
    """A file cannot be read as text. The message says which file, and what to do."""


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with `\\n` at the ends of its lines. Raises NoText.

    A byte order mark at its begin is no part of it.
    """
    try:
        held = path.read_bytes()
    except OSError as error:
        near = _neighbour(path) if isinstance(error, FileNotFoundError) else None
        hint = f"; did you mean {near}?" if near else ""
        raise NoText(f"{path}: cannot read it: {error.strerror}{hint}") from None
    if held.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NoText(f"{path}: it is UTF-16: save it as UTF-8")
    try:
        text = held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = held.count(b"\n", 0, error.start) + 1
        byte = f"{held[error.start]:#04x}"
        raise NoText(f"{path}: line {line}: it is not UTF-8 (byte {byte}): save it so") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise NoText(f"{path}: line {line}: it has a NUL character: save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _neighbour(path: Path) -> str | None:
    """A file beside it whose name is nearly the same, and that may hold the like: the same ending,
    or one that is nearly so."""
    try:
        there = sorted(one.name for one in path.parent.iterdir() if one.is_file())
    except OSError:
        return None
    alike = difflib.get_close_matches(path.name, there, len(there) or 1)
    ending = path.suffix.lower()
    same = [one for one in alike if Path(one).suffix.lower() == ending]
    near = difflib.get_close_matches(ending, {Path(one).suffix for one in alike})
    other = [one for one in alike if not ending or Path(one).suffix in near]
    return next(iter(same or other), None)
