"""The user's SQL files: which there are, and what is wrong with them that no server need tell.

Everything is told at once, with file and line, as a fault of the configuration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from listener import ListenerError
from listener.config import DocumentConfig
from listener.config.texts import NoText, read_text
from listener.documents.placeholders import (
    PLACEHOLDER,
    Piece,
    end_of,
    line_at,
    names,
    pieces_of,
)

Role = Literal["query", "mapping", "ids"]
_NAMES: Final[dict[Role, str]] = {"query": "ids", "mapping": "keys", "ids": "after"}


_BEGINNINGS: Final = ("SELECT", "WITH", "VALUES", "TABLE")
"""How a statement begins that reads alone, but for a bracket."""


class QueryFileError(ListenerError, ValueError):
    """A query, mapping or ids file breaks its contract. `problems` say what and where, one each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class FileFault(NamedTuple):
    """What is wrong with a file, and in which line; None: with all of it."""

    line: int | None
    what: str

    def at(self, path: Path) -> str:
        """The sentence for people."""
        return (
            f"{path}: {self.what}"
            if self.line is None
            else (f"{path}: line {self.line}: {self.what}")
        )


@dataclass(frozen=True, slots=True)
class ConfiguredFile:
    """One SQL file that an entry of `documents` names.

    `table`, `key`: whose keys its placeholders take.
    """

    index: str
    role: Role
    path: Path
    table: str
    key: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its placeholder: ids, keys or after."""
        return _NAMES[self.role]

    @property
    def array(self) -> bool:
        """Whether it takes arrays. An ids file takes the last id of a page, and `%(limit)s`."""
        return self.role != "ids"


def sql_files(document: DocumentConfig) -> Iterator[ConfiguredFile]:
    """All SQL files of a document kind, the query first."""
    index, own = document.index, (document.table, document.key)
    yield ConfiguredFile(index, "query", document.query_file, *own)
    for watch in document.watch:
        if watch.mapping_file is not None:
            yield ConfiguredFile(index, "mapping", watch.mapping_file, watch.table, watch.key)
    if document.ids_file is not None:
        yield ConfiguredFile(index, "ids", document.ids_file, *own)


def read(path: Path) -> str:
    """The text of a file. Raises QueryFileError."""
    try:
        return read_text(path)
    except NoText as error:
        raise QueryFileError(str(error)) from None


def faults(text: str, name: str, columns: int, *, array: bool) -> list[FileFault]:
    """What is wrong with the text of a file; `name`, `columns` and `array` as of `render`."""
    pieces = pieces_of(text)
    if all(one.kind == "space" or one.text == ";" for one in pieces):
        return [FileFault(None, "it is empty: write one SELECT")]
    first = next(one for one in pieces if one.kind != "space" and one.text != ";")
    if first.text.upper() not in _BEGINNINGS and first.text.isalpha():
        what = f"it begins with {first.text}, and is to read alone: write one SELECT"
        return [FileFault(line_at(text, first.at), what)]
    known = names(name, columns)
    taken = {*known, *(() if array else ("limit",))}
    used = [one for one in pieces if one.kind == "placeholder"]
    found = [
        FileFault(line_at(text, one.at), _unknown(one.text, known))
        for one in used
        if one.text not in taken
    ]
    if not found:
        missing = [one for one in known if one not in {each.text for each in used}]
        found = [_missing(text, pieces, one) for one in missing[:1]]
    second = _second(pieces)
    if second is not None:
        what = "a second statement begins here: write one SELECT a file"
        found.append(FileFault(line_at(text, second), what))
    return sorted(found, key=lambda one: one.line or 0)


def wrong_files(document: DocumentConfig) -> list[str]:
    """All that is wrong with the SQL files of a document kind, a sentence each."""
    found: list[str] = []
    for one in sql_files(document):
        try:
            text = read(one.path)
        except QueryFileError as error:
            found += [f"{one.index}: {problem}" for problem in error.problems]
        else:
            found += [
                f"{one.index}: {fault.at(one.path)}"
                for fault in faults(text, one.name, len(one.key), array=one.array)
            ]
    return found


def doubled(text: str) -> int | None:
    """The line of the first `%%` of a file that has no other percent sign, else None.

    Former versions read `%%` as one sign, and refused any other: such a file may be from then.
    """
    bare = PLACEHOLDER.sub(lambda match: " " * len(match[0]), text)
    runs = list(re.finditer("%+", bare))
    if runs and all(len(run[0]) % 2 == 0 for run in runs):
        return line_at(text, runs[0].start())
    return None


def _second(pieces: Sequence[Piece]) -> int | None:
    """Where another statement begins."""
    end, behind = end_of(pieces), False
    for one in pieces:
        if one.at >= end or one.kind == "space":
            continue
        semicolon = one.kind == "code" and one.text == ";"
        if behind and not semicolon:
            return one.at
        behind = behind or semicolon
    return None


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1) if len(known) == 1 else []
    takes = " and ".join(f"%({one})s" for one in known)
    told = f"did you mean %({near[0]})s?" if near else f"it takes {takes}"
    return f"unknown placeholder %({name})s; {told}"


def _missing(text: str, pieces: Sequence[Piece], name: str) -> FileFault:
    """That a placeholder is not used, and what may have been meant for it."""
    what = f"it does not use %({name})s"
    where = _stands(text, pieces, name, "text")
    if where is not None:
        return FileFault(
            where, f"{what}: it stands in quotes here, where it is text; leave these out"
        )
    if any(one.kind == "placeholder" for one in pieces):
        return FileFault(None, what)
    code = "".join(
        one.text if one.kind == "code" else re.sub(r"[^\n]", " ", one.text) for one in pieces
    )
    alike = re.search(
        rf"%?\(\s*{name}\s*\)(?:s\b)?|%\s+\(\s*{name}\s*\)s\b|(?<!:)[:$@%]{name}\b|\$\d+"
        rf"|\{{\s*{name}\s*\}}|%s\b",
        code,
    )
    if alike is not None:
        told = f"{what}: write that instead of {alike[0]}"
        return FileFault(line_at(code, alike.start()), told)
    where = _stands(text, pieces, name, "space")
    return FileFault(where, what if where is None else f"{what}, but in a comment")


def _stands(
    text: str, pieces: Sequence[Piece], name: str, kind: Literal["text", "space"]
) -> int | None:
    """The line of a placeholder that is none there."""
    for one in pieces:
        found = one.text.find(f"%({name})s") if one.kind == kind else -1
        if found >= 0:
            return line_at(text, one.at + found)
    return None
