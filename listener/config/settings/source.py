"""One YAML file as plain values, with the line of each, and the error that names its place."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from dotenv.parser import parse_stream

from listener import ListenerError
from listener.config import DocumentConfig

Place = tuple[str | int, ...]
"""Where a value stands: `("documents", 0, "key")`."""

FILE_VARIABLE: Final = "LISTENER_CONFIG"
VARIABLE: Final = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}$]*))?\}|\$\{")
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("map", "seq", "str", "null", "bool", "int", "float", "timestamp", "merge", "value")
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, and what it is."""

    place: Place
    text: str
    line: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        where = self.variable or dotted(self.place)
        line = "" if self.line is None or self.variable else f"line {self.line}: "
        return f"{line}{where}: {self.text}" if where else f"{line}{self.text}"


class ConfigError(ListenerError):
    """The configuration cannot be used. The message is for people and holds no value of it.

    `documents`: what is known of them all the same, so that their files can be looked at.
    """

    def __init__(
        self,
        path: Path,
        problems: Iterable[Problem],
        documents: Sequence[DocumentConfig] = (),
    ) -> None:
        self.path = path
        self.problems = tuple(problems)
        self.documents = documents
        lines = [str(one) for one in self.problems]
        super().__init__(
            f"{path}: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"{path}:", *lines])
        )


def dotted(place: Place) -> str:
    """`documents[0].watch[2].key`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def upwards(place: Place) -> Iterator[Place]:
    """The place itself, then what encloses it, without the whole."""
    for length in range(len(place), 0, -1):
        yield place[:length]


def variables(path: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The environment, and beneath it `.env` beside the file; its values are taken literally."""
    file = path.absolute().parent / ".env"
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return dict(env)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(file, [Problem((), f"cannot read it: {reason}")]) from None
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            # python-dotenv itself leaves such a line out with a warning: the variable would be
            # unset, or worse, the one of the line before.
            raise ConfigError(file, [Problem((), "write NAME=value", binding.original.line)])
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return {**found, **env}


class Source:
    """One YAML file as plain values, with the line of each and what is wrong with it."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables
        self.problems: list[Problem] = []
        self._lines: dict[Place, int] = {}
        self._open: set[int] = set()

    def tree(self, path: Path) -> dict[str, Any]:
        """Read the file. Raises ConfigError where it is no YAML mapping at all."""
        try:
            node = yaml.compose(path.read_text("utf-8-sig"), Loader=yaml.SafeLoader)
        except FileNotFoundError:
            text = f"there is no such file; name it by --config or {FILE_VARIABLE}"
        except OSError as error:
            text = f"cannot read it: {error.strerror}"
        except UnicodeDecodeError as error:
            text = f"it is not UTF-8 (byte {error.start})"
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            # Of these messages, one that quotes a whole word of the file may quote a secret.
            problem = re.sub(r"((?:alias|anchor|tag)\b.*?) '.*", r"\1", error.problem or "not YAML")
            raise ConfigError(
                path, [Problem((), problem, mark.line + 1 if mark else None)]
            ) from None
        except (yaml.YAMLError, RecursionError):
            text = "it is not YAML"
        else:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, ())
            text = "it holds no options" if node is None else "it is no list of `name: value`"
        raise ConfigError(path, [Problem((), text)])

    def line(self, place: Place) -> int | None:
        """The line of a place, or of what encloses it."""
        return next((self._lines[at] for at in upwards(place) if at in self._lines), None)

    def _problem(self, place: Place, text: str, node: yaml.Node) -> None:
        self.problems.append(Problem(place, text, node.start_mark.line + 1))

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if node.tag not in _TAGS:
            self._problem(place, "tags (!name) have no meaning here; put a text in quotes", node)
            return None
        if isinstance(node, yaml.ScalarNode):
            if node.style is None and node.value in _NULLS:
                return None
            return self._text(node, place)
        if id(node) in self._open:
            self._problem(place, "it contains itself", node)
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            return [self._value(one, (*place, n)) for n, one in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(place, "a name of an option is one word", key)
                continue
            inside = (*place, key.value)
            if key.value in found:
                first = self._lines[inside]
                self._problem(inside, f"it stands twice, first in line {first}", key)
                continue
            self._lines[inside] = key.start_mark.line + 1
            found[key.value] = self._value(value, inside)
        return found

    def _text(self, node: yaml.ScalarNode, place: Place) -> str:
        def fill(match: re.Match[str]) -> str:
            name, default = match.groups()
            if match.group() == "$$":
                return "$"
            if name is None:
                self._problem(place, "write ${NAME} or ${NAME:-default}; $$ stands for $", node)
                return ""
            value = self.variables.get(name)
            if default is not None:
                return value or default
            if value is None:
                self._problem(place, f"the variable {name} is not set", node)
            return value or ""

        return VARIABLE.sub(fill, node.value)
