"""Our own SQL: files under `listener/sql`, loaded by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast


@cache
def load(name: str) -> LiteralString:
    """Text of `listener/sql/NAME.sql`, for example `load("watermark/draw")`.

    Raises FileNotFoundError for an unknown name, which is a defect of the package.
    """
    text = files("listener").joinpath("sql", f"{name}.sql").read_text("utf-8")
    return cast(LiteralString, text)
