"""Is this an Elasticsearch or OpenSearch that listener can work with, and may its user do it?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from listener.checks.finding import Finding
from listener.config import Config
from listener.search import Client, NotElasticsearch, Refused, is_passing

_SUPPORTED: Final = {"elasticsearch": ((7, 17), (9, 99)), "opensearch": ((2, 0), (3, 99))}
INDEX_PRIVILEGES: Final = ["read", "write", "manage"]
CLUSTER_PRIVILEGES: Final = ["monitor", "manage_index_templates"]
OPENSEARCH_PERMISSIONS: Final = [
    "cluster_monitor",
    "cluster_composite_ops",
    "indices:admin/index_template/*",
    "indices:admin/template/get",
]
"""The same in the words of OpenSearch, which are told where the server may not even be named."""


def version(client: Client) -> Iterator[Finding]:
    """Whether it is one that was tested. Errors of the client pass through, here and below."""
    said = client.info()["version"]
    kind, number = said.get("distribution", "elasticsearch"), str(said["number"])
    match = re.match(r"(\d+)\.(\d+)", number)
    have = (int(match[1]), int(match[2])) if match else (0, 0)
    known = _SUPPORTED.get(kind)
    wanted = "Elasticsearch 7.17, 8 or 9, or OpenSearch 2 or 3"
    if known is None or have < known[0]:
        yield Finding("error", f"{kind} {number} is not supported", f"use {wanted}")
    elif have > known[1]:
        yield Finding("warning", f"{kind} {number} is newer than what was tested", f"use {wanted}")


def health(client: Client) -> Iterator[Finding]:
    """Whether shards are missing."""
    now = client.cluster.health()
    if now["status"] == "red":
        yield Finding(
            "warning",
            f"the cluster {now['cluster_name']} is red: {now['unassigned_shards']} shards "
            "are missing",
            "GET /_cluster/allocation/explain says why",
        )


def rights(client: Client, config: Config) -> Iterator[Finding]:
    """Ask a server with security for what we need; one without it does not know the question."""
    aliases = [document.index for document in config.documents]
    names = [form for alias in aliases for form in (alias, f"{alias}-*", f"{alias}.*")]
    names.append(config.elasticsearch.control_index)
    wanted = [{"names": names, "privileges": INDEX_PRIVILEGES}]
    try:
        answer = client.perform_request(
            "POST",
            "/_security/user/_has_privileges",
            headers={"accept": "application/json", "content-type": "application/json"},
            body={"cluster": CLUSTER_PRIVILEGES, "index": wanted},
        ).body
    except NotElasticsearch:
        return  # a proxy forbids the question: the others tell whether it lets indexes through
    except Refused as error:
        if is_passing(error):
            raise
        return
    if not isinstance(answer, Mapping) or answer.get("has_all_requested", True):
        return
    lacking = [name for name, has in answer.get("cluster", {}).items() if not has]
    lacking += sorted(
        {
            f"{name} on {index}"
            for index, each in answer.get("index", {}).items()
            for name, has in each.items()
            if not has
        }
    )
    role = {"cluster": CLUSTER_PRIVILEGES, "indices": wanted}
    yield Finding(
        "error",
        f"the user {answer.get('username')} lacks the privileges {', '.join(lacking)}",
        f"PUT /_security/role/listener {json.dumps(role)}",
    )
