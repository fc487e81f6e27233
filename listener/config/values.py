"""What the sections of the configuration are made of: strict models, names, lists, paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)


class Strict(BaseModel):
    """A section of the file: unknown keys are errors, values never change.

    An empty text for an option that may be none counts as none (`password: ${PASSWORD:-}`), and
    a section with nothing in it (`kibana:`) is a section of defaults.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_blanks(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        for name, field in cls.model_fields.items():
            key = field.alias or name
            annotation = field.annotation
            if filled.get(key) == "" and type(None) in get_args(annotation):
                filled[key] = None
            elif (
                key in filled
                and filled[key] is None
                and isinstance(annotation, type)
                and issubclass(annotation, Strict)
            ):
                filled[key] = {}
        return filled


def _alone(value: Any) -> Any:
    """A single scalar where a list is meant: `key: id` is `key: [id]`."""
    return [value] if isinstance(value, str) else value


def _commas(value: Any) -> Any:
    """A list as one text: `host: db1,db2`, which is also how it comes from a variable."""
    if isinstance(value, int):
        return [value]
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _absolute(value: Path, info: ValidationInfo) -> Path:
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return value if folder is None else Path(folder) / value


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_alone), Field(min_length=1)]
Listed = Annotated[tuple[Text, ...], BeforeValidator(_commas), Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Ports = Annotated[tuple[Port, ...], BeforeValidator(_commas), Field(min_length=1)]
AnyPath = Annotated[Path, AfterValidator(_absolute)]
"""A path; a relative one starts at the folder of the configuration file."""
TextFile = AnyPath
"""The path of a file in UTF-8. It is read where it is used, and everything that is wrong with all
of them is told at once."""


def refuse_log_in(option: str, value: str) -> None:
    """Raise ValueError, without the value's text, where `value` of this option of PostgreSQL holds
    a connection string or a log-in: messages of libpq and of the server repeat what they are given.

    `option`: `host`, `dbname` or `user`. A socket in the abstract namespace begins with @, a role
    may be named like an address of mail.
    """
    signs = {"host": r"=|://|.@", "dbname": r"=|://|[:/].*@|@.*[:/]", "user": r"=|://|:.*@"}
    if re.search(signs[option], value, re.DOTALL):
        raise ValueError(
            "this is no connection string and holds no password: write host, port, dbname, user "
            "and password as options"
        )


def split_name(name: str) -> tuple[str, str]:
    """Split `schema.table` (schema `public` where it is missing).

    Raises ValueError where the name has an empty part, more than two parts or a stray quote.
    """
    parts: list[str] = []
    rest = name
    while True:
        if rest.startswith('"'):
            end = rest.find('"', 1)
            if end < 0:
                raise ValueError("the double quote is never closed")
            part, rest = rest[1:end], rest[end + 1 :]
        else:
            part, dot, rest = rest.partition(".")
            rest = dot + rest
        if not part or '"' in part:
            raise ValueError("write schema.table")
        parts.append(part)
        if not rest:
            break
        if not rest.startswith("."):
            raise ValueError("write schema.table")
        rest = rest[1:]
    if len(parts) > 2:
        raise ValueError(f"it has {len(parts)} parts: write schema.table")
    return ("public", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
