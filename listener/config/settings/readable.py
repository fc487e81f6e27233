"""What can be read of a configuration with mistakes: its documents, so that the mistakes in their
files are told at the same time."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from listener.config import DocumentConfig
from listener.config.settings.options import options
from listener.config.settings.source import Place, dotted

_LACKING: Final = ("missing", "too_short")
"""Of lists, pydantic counts only the items that are right."""


def readable(
    tree: Mapping[str, Any], details: Iterable[ErrorDetails], folder: Path
) -> tuple[DocumentConfig, ...]:
    """The documents of this file, without what is wrong with them. A misspelled option counts as
    the one that it is nearest to. Those of which too little is known are left out."""
    copy = deepcopy(dict(tree))
    for one in details:
        if one["type"] not in _LACKING:
            _mend(copy, tuple(one["loc"]), unknown=one["type"] == "extra_forbidden")
    found = []
    documents = copy.get("documents")
    for document in documents if isinstance(documents, list) else ():
        try:
            found.append(DocumentConfig.model_validate(document, context={"folder": folder}))
        except ValidationError:
            continue
    return tuple(found)


def nearest_option(place: Place) -> str | None:
    """The option that may be meant by a name that is none."""
    head, dot, name = re.sub(r"\[\d+\]", "[]", dotted(place)).rpartition(".")
    above = head + dot
    names = {
        one.path.removeprefix(above).split(".")[0].removesuffix("[]")
        for one in options()
        if one.path.startswith(above)
    }
    return next(iter(difflib.get_close_matches(name, names, 1)), None)


def _mend(tree: dict[str, Any], place: Place, *, unknown: bool) -> None:
    """Take out what stands there, or give it the name that was meant."""
    inside: Any = tree
    for part in place[:-1]:
        try:
            inside = inside[part]
        except (LookupError, TypeError):
            return
    if not isinstance(inside, dict) or place[-1] not in inside:
        return
    value = inside.pop(place[-1])
    near = nearest_option(place) if unknown else None
    if near is not None:
        inside.setdefault(near, value)
