"""Write aliases: each generation writes through aliases of its own, named after it. Pure.

A later generation removes them. So a process that was thought dead meets a 404, and no document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Role(StrEnum):
    """What an index is to its alias: the letter in the names of its write aliases."""

    IN_USE = "w"
    """People search it."""
    LOADING = "l"
    """A load fills it."""
    KEPT = "f"
    """It was in use, and is fed like the one in use, so that a person can go back to it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A write alias that a bulk goes to. `index`: the one that the alias was made for; None where
    it is not known."""

    alias: str
    index: str | None = None
    role: Role = Role.IN_USE


def write_alias(index: str, generation: int, role: Role = Role.IN_USE) -> str:
    """The alias through which one generation writes. `index`: the alias that people search."""
    return f"{index}.{role}{generation}"


def patterns(alias: str, roles: Iterable[Role] = tuple(Role)) -> list[str]:
    """What the names of the write aliases of this alias match, as servers know patterns.

    They know `*` and no digits, so `ALIAS.w1x` of another program matches, too; `ALIAS.web` does
    not.
    """
    return [f"{alias}.{role}{digit}*" for role in roles for digit in range(1, 10)]


def made_at(alias: str, name: str | None) -> datetime | None:
    """When a load made the index of this name for the alias, by the database server's clock; None:
    no load did."""
    if name is None or not made_for(alias).fullmatch(name):
        return None
    try:
        return datetime.strptime(name.rpartition("-")[2], "%Y%m%dt%H%M%S%fz").replace(tzinfo=UTC)
    except ValueError:
        return None


def made_for(alias: str) -> re.Pattern[str]:
    """Matches the names of the indexes that loads have made for this alias, and none of an alias
    that begins with the name of this one."""
    return re.compile(re.escape(alias) + r"-[0-9a-f]{8}-[0-9]{8}t[0-9]{12}z")


def owned(alias: str) -> re.Pattern[str]:
    """Matches the names of the write aliases of this alias; the group is the generation.

    Numbers from versions.GENERATIONS on do not match: versions have no room for them.
    """
    return re.compile(re.escape(alias) + r"\.[wlf]([1-9][0-9]{0,5}|[1-3][0-9]{6})\Z")
