"""Every option with its path, default and variable, as the models declare them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from listener.config import Config, Strict

PREFIX: Final = "LISTENER_"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the file, for its documentation: `variable` overrides it, if there is one."""

    path: str
    variable: str | None
    default: str
    description: str


def options() -> tuple[Option, ...]:
    """Every option, in the order of the models."""
    return tuple(_options(Config, "", overridable=True))


def _options(model: type[Strict], prefix: str, *, overridable: bool) -> Iterator[Option]:
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        section = _section(field.annotation)
        if section is not None:
            inside = f"{path}." if section is field.annotation else f"{path}[]."
            yield from _options(
                section, inside, overridable=overridable and section is field.annotation
            )
            continue
        default = "required" if field.is_required() else _shown(field.default)
        variable = PREFIX + path.replace(".", "_").upper() if overridable else None
        yield Option(path, variable, default, field.description or "")


def _section(annotation: Any) -> type[Strict] | None:
    """The model behind an option: itself, or the one that it is a list of."""
    for one in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(one, type) and issubclass(one, Strict):
            return one
    return None


def _shown(default: Any) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(str(one) for one in default)
    return f"{default:g}" if isinstance(default, float) else str(default)
