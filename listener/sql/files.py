"""Our own SQL: files under `listener/sql`, loaded by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """Text of `listener/sql/NAME.sql`, for example `load("watermark/draw")`.

    Raises FileNotFoundError for an unknown name, which is a defect of the package.
    """
    return files("listener").joinpath("sql", f"{name}.sql").read_text("utf-8")
