"""Tokens of SQL: what stands in a literal or a comment is known from code by them. Pure.

Nothing is parsed: a text that is no SQL has tokens, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$(?P<body>.*?)\$(?P=tag)\$)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*'(?:\s*\n\s*'(?:[^'\\]|\\.|'')*')*)
    | (?P<literal>(?:[uU]&)?'(?:[^']|'')*'(?:\s*\n\s*'(?:[^']|'')*')*)
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")+")
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d\w*(?:\.\d\w*)?)
    | (?P<cast>::)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK: Final = re.compile(r"/\*|\*/")


def tokens(text: str) -> Iterator[tuple[re.Match[str], int]]:
    """All tokens of a text, each with where it ends: the match of a comment has only its begin."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None
        at = _end_of_comment(text, match.end()) if match["block"] else match.end()
        yield match, at


def _end_of_comment(text: str, at: int) -> int:
    """Where a block comment ends: they nest."""
    depth = 1
    while depth:
        match = _BLOCK.search(text, at)
        if match is None:
            return len(text)
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
    return at
