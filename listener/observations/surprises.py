"""Surprises: errors that data of others can raise in listener's own code. They are no defects.

A key that is no longer of its type, a stamp that Python cannot tell, an answer of another shape:
what is met there is data. Whatever meets it skips nothing, says what and where, and begins anew,
for a new session looks at the catalog again; the watermark waits.

Where the line is: a value can be wrong (ValueError, with all of Unicode's errors), of another type,
too large, too deep, or not there (LookupError). A name or an attribute that is missing and an
assertion that fails are faults of the program, whatever was read: they end the process.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from listener import ListenerError
from listener.observations.printable import one_line

SURPRISES: Final[tuple[type[Exception], ...]] = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)
_SHOWN: Final = 300


class Unfit(ListenerError, ValueError):
    """What was read is not what it should be; the message is for people."""


class Surprise(ListenerError):
    """Something that was read is not what it should be; the message says what and where."""


def told(error: BaseException) -> str:
    """One line: the message of an error of listener's own; else the error, and where it was met."""
    text = one_line(" ".join(str(error).split())[:_SHOWN])
    if isinstance(error, ListenerError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if Path(one.filename).parent.name != "site-packages"]
    place = "".join(f", at {Path(one.filename).name}:{one.lineno}" for one in ours[-1:])
    return f"unexpected {type(error).__name__}: {text}{place}"


@contextmanager
def reading() -> Iterator[None]:
    """What is read inside is data of others: its surprises come out as Surprise."""
    try:
        yield
    except SURPRISES as error:
        raise Surprise(told(error)) from error
