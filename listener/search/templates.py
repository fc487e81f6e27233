"""Index templates: the one that keeps an alias's name for listener, and those of others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from listener.search.client import Client
from listener.search.errors import BadRequest
from listener.search.write_aliases import patterns

PREFIX: Final = "listener-"
"""How the names of listener's templates begin."""
_PRIORITY: Final = 900_000


@dataclass(frozen=True, slots=True)
class ForeignTemplate:
    """An index template of another program that matches a name, and by which pattern."""

    name: str
    pattern: str
    data_stream: bool


def name_of(alias: str) -> str:
    """The name of listener's template for this alias."""
    return f"{PREFIX}{alias}"


def owner_of(client: Client, alias: str) -> Any:
    """What listener's template for this alias says of its owner; None: there is none."""
    answer = client.options(ignore_status=404).indices.get_index_template(name=name_of(alias))
    for one in answer.body.get("index_templates", ()):
        return one["index_template"].get("_meta", {}).get("listener", {})
    return None


def forbids(client: Client, alias: str) -> bool:
    """Whether listener's template for this alias keeps all writes from making an index."""
    answer = client.options(ignore_status=404).indices.get_index_template(name=name_of(alias))
    return any(
        one["index_template"].get("allow_auto_create") is False
        for one in answer.body.get("index_templates", ())
    )


def put(client: Client, alias: str, owner: Mapping[str, Any], *, create: bool) -> None:
    """Write the template that keeps a write to a vanished alias from making an index.

    `owner` goes into its `_meta`. `create`: refuse where there is one already. Errors of the client
    pass through.

    OpenSearch refuses `allow_auto_create`. There the bulk's require_alias covers all but a stray
    delete, which makes an empty index that the next session removes.
    """
    body: dict[str, Any] = {
        "index_patterns": [alias, *patterns(alias)],
        "priority": _PRIORITY,
        "allow_auto_create": False,
        "meta": {"listener": owner},
    }
    try:
        client.indices.put_index_template(name=name_of(alias), create=create, **body)
    except BadRequest as error:
        if "allow_auto_create" not in str(error):
            raise
        del body["allow_auto_create"]
        client.indices.put_index_template(name=name_of(alias), create=create, **body)


def foreign_templates(client: Client, name: str) -> list[ForeignTemplate]:
    """Templates of others that would mix something into an index of this name."""
    found: list[ForeignTemplate] = []
    for entry in client.indices.get_index_template().body.get("index_templates", ()):
        template, body = entry["name"], entry["index_template"]
        pattern = _matching(name, body.get("index_patterns"))
        if pattern is not None and not template.startswith(PREFIX):
            found.append(ForeignTemplate(template, pattern, "data_stream" in body))
    for template, body in client.indices.get_template().body.items():
        pattern = _matching(name, body.get("index_patterns"))
        if pattern is not None:
            found.append(ForeignTemplate(template, pattern, data_stream=False))
    return found


def shadowed(client: Client, alias: str) -> list[ForeignTemplate]:
    """Templates of others for nothing but names that listener's template for this alias takes."""
    ours = re.compile(re.escape(alias) + r"\.[wlf][1-9]")
    composable = client.indices.get_index_template().body.get("index_templates", ())
    bodies = [(one["name"], one["index_template"]) for one in composable]
    bodies += client.indices.get_template().body.items()
    return [
        ForeignTemplate(name, pattern, "data_stream" in body)
        for name, body in bodies
        if not name.startswith(PREFIX)
        for pattern in _listed(body.get("index_patterns"))
        if ours.match(pattern)
    ]


def _listed(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _matching(name: str, given: Any) -> str | None:
    """The first of an index template's patterns that matches the name."""
    for one in _listed(given):
        if re.fullmatch(".*".join(re.escape(part) for part in one.split("*")), name):
            return str(one)
    return None
