"""Can listener work with this Elasticsearch or OpenSearch, and make the indexes that it needs?"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, ParamSpec

from listener.checks import cluster
from listener.checks.files import check_index_config
from listener.checks.finding import Finding
from listener.config import Config, DocumentConfig
from listener.search import (
    BadRequest,
    Client,
    Forbidden,
    Refused,
    explain,
    is_blocked,
    is_passing,
)
from listener.search.aliases import aliases_of
from listener.search.index_config import IndexBody, IndexError_, read_body
from listener.search.indexes import Indexes
from listener.search.owners import Database
from listener.search.templates import PREFIX, foreign_templates, shadowed
from listener.search.write_aliases import owned, patterns

P = ParamSpec("P")

_HIDING: Final = ("filter", "search_routing")
"""Properties of an alias that decide what a search through it finds."""
_NO_RIGHTS: Final = (401, 403)


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
    found += _guarded("read the version", cluster.version, client)
    if any(one.severity == "error" for one in found):
        return found  # a refused log-in would be said again by each of the others
    found += _guarded("read the cluster's health", cluster.health, client)
    found += cluster.rights(client, config)
    for document in config.documents:
        found += check_index_config(document)
        with contextlib.suppress(IndexError_):  # which the line above has told
            body = read_body(document.index_config_file)
            found += _guarded("try a mapping out", _mapping, client, document, body)
        if names:
            found += _guarded("look up the alias", _alias, client, document.index)
        indexes = Indexes(client, config.pipeline, database)
        found += _guarded("look up whose the alias is", _owner, indexes, document.index, take)
        found += _guarded("read the aliases", _let_through, client, document.index)
        found += _guarded("read the index templates", _templates, client, document.index)
        found += _guarded("read settings", _hindered, indexes, document.index, False)
        found += _guarded("look up names", _called_alike, client, document.index)
    control = config.elasticsearch.control_index
    found += _guarded("read settings", _hindered, Indexes(client, config.pipeline), control, True)
    return list(dict.fromkeys(found))


def _guarded(
    what: str, check: Callable[P, Iterator[Finding]], *args: P.args, **kwargs: P.kwargs
) -> list[Finding]:
    """Run one check; a right that it lacks is its finding."""
    try:
        return list(check(*args, **kwargs))
    except Refused as error:
        if is_blocked(error) and not is_passing(error):
            reason, lifts = explain(error)
            return [Finding("error", f"cannot {what}: {reason}", lifts or "lift that block")]
        if error.status_code not in _NO_RIGHTS:
            raise
        mend = (
            "elasticsearch.user and password, or api_key: ones that the server knows"
            if error.status_code == 401
            else "give its role the cluster privileges "
            f"{', '.join(cluster.CLUSTER_PRIVILEGES)} (OpenSearch: "
            f"{', '.join(cluster.OPENSEARCH_PERMISSIONS)}) and, on listener's indexes, "
            f"{', '.join(cluster.INDEX_PRIVILEGES)}"
        )
        return [Finding("error", f"may not {what}: {explain(error)[0]}", mend)]


def _owner(indexes: Indexes, alias: str, take: bool) -> Iterator[Finding]:
    """Another pipeline, or the same one of another database, that feeds this alias."""
    try:
        for one in indexes.claims(alias, take=take):
            yield Finding("error", *one.split(". ", 1))
            return  # what else is there is of the same one
    except Forbidden as error:  # the rights are told by themselves
        if is_blocked(error):
            raise


def _mapping(client: Client, document: DocumentConfig, body: IndexBody) -> Iterator[Finding]:
    """Let the server try settings and mapping out, by a simulated template: nothing is made."""
    try:
        client.indices.simulate_template(
            index_patterns=[f"{PREFIX}try-{document.index}"],
            priority=1_000_000,
            template={"settings": body.settings, "mappings": body.mappings},
        )
    except BadRequest as error:
        what = f"the server does not take it: {_innermost(error.body)}"
        yield Finding("error", f"{document.index}: {document.index_config_file}: {what}")


def _innermost(body: Any) -> str:
    """The reason at the bottom: those above it only say that something was wrong."""
    cause = body.get("error") if isinstance(body, Mapping) else None
    while isinstance(cause, Mapping) and isinstance(cause.get("caused_by"), Mapping):
        cause = cause["caused_by"]
    return str(cause.get("reason"))[:500] if isinstance(cause, Mapping) else str(body)[:500]


def _alias(client: Client, alias: str) -> Iterator[Finding]:
    found = client.options(ignore_status=404).indices.resolve_index(name=alias).body
    for kind, name in (("indices", "an index"), ("data_streams", "a data stream")):
        if any(one.get("name") == alias for one in found.get(kind, ())):
            actions = [
                {"remove_index": {"index": alias}},
                {"add": {"index": f"{alias}-HASH-TIME", "alias": alias}},
            ]
            yield Finding(
                "error",
                f"{alias} is the name of {name}, and listener needs it as an alias; it is "
                "not touched",
                "choose another documents[].index; or delete it; or, after `listener load`, "
                "replace it by the index that was loaded: POST /_aliases "
                + json.dumps({"actions": actions})
                if kind == "indices"
                else f"choose another documents[].index; or DELETE /_data_stream/{alias}",
            )


def _let_through(client: Client, alias: str) -> Iterator[Finding]:
    """What people have given their alias: it hides documents from them, however right they are."""
    for index, aliases in aliases_of(client, alias).items():
        said = {name: one for name, one in aliases.get(alias, {}).items() if name in _HIDING}
        if said:
            add = {"actions": [{"add": {"index": index, "alias": alias}}]}
            yield Finding(
                "warning",
                f"the alias {alias} has {json.dumps(said)}: searches through it find only what "
                "that lets through, and the next load takes it away",
                "give an alias of another name to who needs it; and here: POST /_aliases "
                + json.dumps(add),
            )


def _hindered(indexes: Indexes, name: str, control: bool) -> Iterator[Finding]:
    for one in indexes.hindrances(name, control=control):
        yield Finding("warning", one.what, one.mend)


def _called_alike(client: Client, alias: str) -> Iterator[Finding]:
    """What of others is called as the write aliases of this alias are, or begins like that."""
    said = client.options(ignore_status=404).indices.resolve_index(
        name=patterns(alias), expand_wildcards="all"
    )
    found: dict[str, str] = {}
    for kind, what in (("indices", "index"), ("data_streams", "data stream")):
        found |= {one["name"]: what for one in said.body.get(kind, ())}
    for one in said.body.get("aliases", ()):
        places = one.get("indices", ())
        places = [places] if isinstance(places, str) else places
        ours = any(place.startswith(f"{alias}-") for place in places)
        if not (owned(alias).match(one["name"]) and ours):
            found[one["name"]] = "alias"
    for name, what in sorted(found.items()):
        yield _taken(f"the {what} {name}", alias)


def _taken(what: str, alias: str) -> Finding:
    return Finding(
        "warning",
        f"{what} is called as write aliases of {alias} are: listener's template lets no write make "
        "an index of such a name, and no other template reach it",
        f"a name that does not begin with {alias}.w or {alias}.l and a digit; or choose another "
        "documents[].index",
    )


def _templates(client: Client, alias: str) -> Iterator[Finding]:
    """Templates of others that would mix something into our indexes."""
    for one in foreign_templates(client, f"{alias}-0a1b2c3d-20260131100000"):
        if one.data_stream:
            yield Finding(
                "error",
                f"the template {one.name} makes everything called {one.pattern} a data "
                f"stream: no index of {alias} could be made",
                "choose another documents[].index",
            )
        else:
            yield Finding(
                "warning",
                f"the template {one.name} ({one.pattern}) would add its settings and fields to the "
                f"indexes of {alias}",
                f"narrow the index_patterns of {one.name}, or choose another documents[].index",
            )
    for one in shadowed(client, alias):
        yield _taken(f"what the template {one.name} is for ({one.pattern})", alias)
