"""Is this an Elasticsearch or OpenSearch that listener can work with, and are its names free?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec

from listener.checks.finding import Finding
from listener.config import Config, DocumentConfig
from listener.search import (
    BadRequest,
    Client,
    Forbidden,
    Refused,
    describe,
    is_blocked,
    is_passing,
)
from listener.search.aliases import aliases_of
from listener.search.index_config import NotIndexBody, NotJson, flat_settings, read_body
from listener.search.index_settings import doubts, faults
from listener.search.indexes import Indexes
from listener.search.owners import Database
from listener.search.templates import PREFIX, foreign_templates

P = ParamSpec("P")

_HIDING: Final = ("filter", "search_routing")
"""Of an alias: they decide what a search finds."""
_SUPPORTED: Final = {"elasticsearch": ((7, 17), (9, 99)), "opensearch": ((2, 0), (3, 99))}
_NO_RIGHTS: Final = (401, 403)
_INDEX_PRIVILEGES: Final = ("read", "write", "manage")
_CLUSTER_PRIVILEGES: Final = ("monitor", "manage_index_templates")


def check_search(
    client: Client,
    config: Config,
    *,
    names: bool = True,
    database: Database | None = None,
    take: bool = False,
) -> list[Finding]:
    """Version, health, rights, and for each document its mapping, its alias, foreign templates.

    `database`: the pipeline's, None where it is not known; an alias that another one feeds is
    refused, unless it is to be taken (`take`). `names` False leaves out whether the aliases are
    free: a full load goes beside an index that bears such a name, and says itself how to replace
    it. Raises the client's errors where the server does not answer.
    """
    found: list[Finding] = []
    found += _guarded("read the version", _version, client)
    if any(one.severity == "error" for one in found):
        return found  # a refused log-in would be said again by each of the others
    found += _guarded("read the cluster's health", _health, client)
    found += _rights(client, config)
    for document in config.documents:
        body = _body(document.index_config_file)
        if isinstance(body, Finding):
            found.append(body)
        else:
            found += _dynamic(body, document.index_config_file)
            found += _settings(body, document.index_config_file)
            found += _guarded("try a mapping out", _mapping, client, document, body)
        if names:
            found += _guarded("look up the alias", _alias, client, document.index)
        indexes = Indexes(client, config.pipeline, database)
        found += _guarded("look up whose the alias is", _owner, indexes, document.index, take)
        found += _guarded("read the aliases", _let_through, client, document.index)
        found += _guarded("read the index templates", _templates, client, document.index)
    return list(dict.fromkeys(found))


def _guarded(
    what: str, check: Callable[P, list[Finding]], *args: P.args, **kwargs: P.kwargs
) -> list[Finding]:
    """Run one check; a right that it lacks is its finding."""
    try:
        return check(*args, **kwargs)
    except Refused as error:
        if is_blocked(error) and not is_passing(error):
            reason, _, lifts = describe(error).partition(" Mend: ")
            return [Finding("error", f"cannot {what}: {reason}", lifts or "lift that block")]
        if error.status_code not in _NO_RIGHTS:
            raise
        mend = (
            "elasticsearch.user and password, or api_key: ones that the server knows"
            if error.status_code == 401
            else f"give its role the cluster privileges {', '.join(_CLUSTER_PRIVILEGES)} and, on "
            f"listener's indexes, {', '.join(_INDEX_PRIVILEGES)}"
        )
        return [Finding("error", f"may not {what}: {describe(error)}", mend)]


def _version(client: Client) -> list[Finding]:
    version = client.info()["version"]
    kind, number = version.get("distribution", "elasticsearch"), str(version["number"])
    match = re.match(r"(\d+)\.(\d+)", number)
    have = (int(match[1]), int(match[2])) if match else (0, 0)
    known = _SUPPORTED.get(kind)
    wanted = "Elasticsearch 7.17, 8 or 9, or OpenSearch 2 or 3"
    if known is None or have < known[0]:
        return [Finding("error", f"{kind} {number} is not supported", f"use {wanted}")]
    if have > known[1]:
        return [
            Finding("warning", f"{kind} {number} is newer than what was tested", f"use {wanted}")
        ]
    return []


def _health(client: Client) -> list[Finding]:
    health = client.cluster.health()
    if health["status"] != "red":
        return []
    return [
        Finding(
            "warning",
            f"the cluster {health['cluster_name']} is red: {health['unassigned_shards']} shards "
            "are missing",
            "GET /_cluster/allocation/explain says why",
        )
    ]


def _rights(client: Client, config: Config) -> list[Finding]:
    """Ask a server with security for what we need; one without it does not know the question."""
    aliases = [document.index for document in config.documents]
    names = [form for alias in aliases for form in (alias, f"{alias}-*", f"{alias}.*")]
    names.append(config.elasticsearch.control_index)
    try:
        answer = client.perform_request(
            "POST",
            "/_security/user/_has_privileges",
            headers={"accept": "application/json", "content-type": "application/json"},
            body={
                "cluster": list(_CLUSTER_PRIVILEGES),
                "index": [{"names": names, "privileges": list(_INDEX_PRIVILEGES)}],
            },
        ).body
    except Refused as error:
        if error.status_code in (429, 502, 503, 504):
            raise
        return []
    if not isinstance(answer, Mapping) or answer.get("has_all_requested", True):
        return []
    lacking = [name for name, has in answer.get("cluster", {}).items() if not has]
    lacking += sorted(
        {
            f"{name} on {index}"
            for index, rights in answer.get("index", {}).items()
            for name, has in rights.items()
            if not has
        }
    )
    role = {
        "cluster": list(_CLUSTER_PRIVILEGES),
        "indices": [{"names": names, "privileges": list(_INDEX_PRIVILEGES)}],
    }
    return [
        Finding(
            "error",
            f"the user {answer.get('username')} lacks the privileges {', '.join(lacking)}",
            f"PUT /_security/role/listener {json.dumps(role)}",
        )
    ]


def _body(path: Path) -> dict[str, Any] | Finding:
    try:
        body = read_body(path)
    except OSError as error:
        return Finding("error", f"{path}: it is no JSON: {error}")
    except NotJson as error:
        return Finding("error", f"{path}: it is {error.why}")
    except NotIndexBody:
        return Finding("error", f"{path}: it is no object with `settings` and `mappings`")
    if body.others:  # with which `run` would not start
        named = ", ".join(f"`{one}`" for one in sorted(body.others))
        return Finding("error", f"{path}: besides `settings` and `mappings` it has {named}")
    return {"settings": body.settings, "mappings": body.mappings}


def _dynamic(body: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Undeclared fields: guessed types make an index large and differ from day to day."""
    for place, value in _dynamics(body["mappings"], "mappings"):
        if str(value).lower() != "strict":
            yield Finding(
                "error",
                f"{path}: {place}.dynamic is {json.dumps(value)}: fields that the mapping does not "
                "name would be guessed or dropped",
                f'{place}: "dynamic": "strict"',
            )


def _settings(body: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """What loses writes, or keeps documents from being what was sent."""
    settings, mappings = flat_settings(body["settings"]), body["mappings"]
    for one in faults(settings, mappings):
        yield Finding("error", f"{path}: {one.what}", one.mend)
    for one in doubts(settings, mappings):
        yield Finding("warning", f"{path}: {one.what}", one.mend)


def _owner(indexes: Indexes, alias: str, take: bool) -> list[Finding]:
    """Another pipeline, or the same one of another database, that feeds this alias."""
    try:
        for one in indexes.claims(alias, take=take):
            return [Finding("error", *one.split(". ", 1))]  # what else is there is of the same one
    except Forbidden as error:
        if is_blocked(error):
            raise
        return []  # the rights are told by themselves
    return []


def _dynamics(mapping: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    if "dynamic" in mapping:
        yield place, mapping["dynamic"]
    properties = mapping.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if isinstance(inner, dict):
            yield from _dynamics(inner, f"{place}.properties.{name}")


def _mapping(client: Client, document: DocumentConfig, body: dict[str, Any]) -> list[Finding]:
    """Let the server try settings and mapping out, by a simulated template: nothing is made."""
    try:
        client.indices.simulate_template(
            index_patterns=[f"{PREFIX}try-{document.index}"], priority=1_000_000, template=body
        )
    except BadRequest as error:
        reason = _innermost(error.body)
        return [
            Finding("error", f"{document.index_config_file}: the server does not take it: {reason}")
        ]
    return []


def _innermost(body: Any) -> str:
    """The reason at the bottom: those above it only say that something was wrong."""
    cause = body.get("error") if isinstance(body, Mapping) else None
    while isinstance(cause, Mapping) and isinstance(cause.get("caused_by"), Mapping):
        cause = cause["caused_by"]
    return str(cause.get("reason"))[:500] if isinstance(cause, Mapping) else str(body)[:500]


def _alias(client: Client, alias: str) -> list[Finding]:
    found = client.options(ignore_status=404).indices.resolve_index(name=alias).body
    for kind, name in (("indices", "an index"), ("data_streams", "a data stream")):
        if any(one.get("name") == alias for one in found.get(kind, ())):
            actions = [
                {"remove_index": {"index": alias}},
                {"add": {"index": f"{alias}-HASH-TIME", "alias": alias}},
            ]
            return [
                Finding(
                    "error",
                    f"{alias} is the name of {name}, and listener needs it as an alias; it is "
                    "not touched",
                    "choose another documents[].index; or delete it; or, after `listener load`, "
                    "replace it by the index that was loaded: POST /_aliases "
                    + json.dumps({"actions": actions})
                    if kind == "indices"
                    else f"choose another documents[].index; or DELETE /_data_stream/{alias}",
                )
            ]
    return []


def _let_through(client: Client, alias: str) -> list[Finding]:
    """What people have given their alias: it hides documents from them, however right they are."""
    found: list[Finding] = []
    for index, aliases in aliases_of(client, alias).items():
        said = {name: one for name, one in aliases.get(alias, {}).items() if name in _HIDING}
        if said:
            add = {"actions": [{"add": {"index": index, "alias": alias}}]}
            found.append(
                Finding(
                    "warning",
                    f"the alias {alias} has {json.dumps(said)}: searches through it find only what "
                    "that lets through, and the next load takes it away",
                    "give an alias of another name to who needs it; and here: POST /_aliases "
                    + json.dumps(add),
                )
            )
    return found


def _templates(client: Client, alias: str) -> list[Finding]:
    """Templates of others that would mix something into our indexes."""
    found: list[Finding] = []
    for one in foreign_templates(client, f"{alias}-0a1b2c3d-20260131100000"):
        if one.data_stream:
            found.append(
                Finding(
                    "error",
                    f"the template {one.name} makes everything called {one.pattern} a data "
                    f"stream: no index of {alias} could be made",
                    "choose another documents[].index",
                )
            )
        else:
            found.append(_mixed_in(one.name, one.pattern, alias))
    return found


def _mixed_in(name: str, pattern: str, alias: str) -> Finding:
    return Finding(
        "warning",
        f"the template {name} ({pattern}) would add its settings and fields to the indexes of "
        f"{alias}",
        f"narrow the index_patterns of {name}, or choose another documents[].index",
    )
