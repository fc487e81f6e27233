"""Reading the configuration: YAML, variables, overrides, and errors that name their place.

Every scalar of the file is taken as the text that stands there, and the models say what it means:
so `notify: off`, `password: 0123` and `key: on` are what they look like, which the usual rules of
YAML 1.1 make False, 83 and True. Only a plain `null`, `~` or nothing is no value.

No message repeats a value of the file or of a variable: it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from listener.config import Config
from listener.config.settings.files import check_files, secret
from listener.config.settings.options import PREFIX, Option, options
from listener.config.settings.readable import nearest_option, readable
from listener.config.settings.source import (
    FILE_VARIABLE,
    VARIABLE,
    ConfigError,
    Place,
    Problem,
    Source,
    upwards,
    variables,
)

__all__ = [
    "ConfigError",
    "Option",
    "Problem",
    "check_files",
    "config_path",
    "load",
    "misspelt",
    "options",
    "secret",
]

DEFAULT_FILE: Final = Path("config.yaml")
_SENTENCES: Final = {
    "missing": "it is missing",
    "tuple_type": "it should be a list",
    "too_short": "it is empty",
    "string_too_short": "it is empty",
    "model_type": "it should be a section with options",
    "dict_type": "it should be a section with options",
}
_EITHER: Final = (("password", "password_file"), ("api_key", "api_key_file"))


def config_path(argument: Path | None, env: Mapping[str, str] = os.environ) -> Path:
    """The file of `--config`, else of LISTENER_CONFIG, else config.yaml."""
    return argument or Path(env.get(FILE_VARIABLE) or DEFAULT_FILE)


def load(path: Path, env: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration; all paths in it come back absolute.

    Raises ConfigError with everything that is wrong, each with its place, at once.
    """
    source = Source(variables(path, env))
    tree = source.tree(path)
    overrides, gone = _override(tree, source.variables)
    problems = [one for one in source.problems if one.place not in gone]
    folder = path.absolute().parent
    try:
        config = Config.model_validate(tree, context={"folder": folder})
    except ValidationError as error:
        known = {problem.place for problem in problems}
        details = error.errors(include_url=False, include_context=False)
        documents = readable(tree, details, folder)
        for detail in details:
            place = tuple(detail["loc"])
            if detail["type"] == "too_short" and any(
                len(one["loc"]) > len(place) and one["loc"][: len(place)] == place
                for one in details
            ):
                continue  # pydantic counts only the items that are right
            # What a missing variable or a key given twice broke is not told a second time.
            if any(place == one[: len(place)] or one == place[: len(one)] for one in known):
                continue
            problems.append(
                Problem(
                    place,
                    _sentence(detail, place),
                    *_origin(place, source, overrides),
                )
            )
    else:
        if not problems:
            return config
        documents = config.documents
    # Outside of the handler: pydantic's error, in the chain, would show what it was given.
    raise ConfigError(path, sorted(problems, key=lambda one: one.line or 0), documents)


def misspelt(path: Path, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """LISTENER_ variables that mean nothing but nearly one that does: which one it may be.

    Names that the file itself uses mean something. Other unknown names stay unsaid: Kubernetes
    sets a dozen for a service that is called listener. Raises ConfigError as `load` does.
    """
    known = [one.variable for one in options() if one.variable] + [FILE_VARIABLE]
    try:
        used = {match[1] for match in VARIABLE.finditer(path.read_text("utf-8-sig"))}
    except (OSError, UnicodeDecodeError):
        used = set()
    found = {}
    for name in variables(path, env):
        if name.startswith(PREFIX) and name not in known and name not in used:
            near = difflib.get_close_matches(name, known, 1, 0.85)
            if near:
                found[name] = near[0]
    return found


def _override(
    tree: dict[str, Any], values: Mapping[str, str]
) -> tuple[dict[Place, str], set[Place]]:
    """Put LISTENER_ variables over the file's values; an empty one counts as not set.

    Returns the variable of each place that one was put to, and all places of the file that no
    longer count.
    """
    overrides: dict[Place, str] = {}
    gone: set[Place] = set()
    for option in options():
        value = values.get(option.variable or "")
        if option.variable is None or not value:
            continue
        *above, name = option.path.split(".")
        inside: Any = tree
        for section in above:
            if inside.get(section) is None:
                inside[section] = {}
            inside = inside[section]
        if not isinstance(inside, dict):
            continue  # the model tells it
        for pair in _EITHER:
            if name in pair:
                # A variable wins over the file also where that says the same in the other form.
                other = (*above, pair[1 - pair.index(name)])
                if other not in overrides:
                    inside.pop(other[-1], None)
                    gone.add(other)
        inside[name] = value
        overrides[(*above, name)] = option.variable
    return overrides, gone | set(overrides)


def _origin(
    place: Place, source: Source, overrides: Mapping[Place, str]
) -> tuple[int | None, str | None]:
    """The line of the file that a value came from, or the variable."""
    for at in upwards(place):
        if at in overrides:
            return None, overrides[at]
    return source.line(place), None


def _sentence(detail: ErrorDetails, place: Place) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        near = nearest_option(place)
        return "there is no such option" + (f"; did you mean {near}?" if near else "")
    if detail["input"] is None and kind != "missing":
        return "it has no value"
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    return _SENTENCES.get(kind) or re.sub(r"^\w+ should", "it should", detail["msg"])
