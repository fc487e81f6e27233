"""Hindrances: settings of an index in use that are told, though no load is made for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from listener.search.client import Client
from listener.search.index_config import flat_settings
from listener.search.index_settings import Fault


def hindrances(client: Client, name: str, *, control: bool) -> Iterator[Fault]:
    """What hinders reads, or writes for lack of copies. None where there is no such index.

    `name`: of an index or an alias. `control`: it is the index of the control document, which no
    load replaces. Errors of the client pass through.
    """
    answer = client.options(ignore_status=404).indices.get_settings(
        index=name, flat_settings=True, ignore_unavailable=True
    )
    for index, body in answer.body.items():
        if not isinstance(body, Mapping) or "settings" not in body:
            continue
        said = flat_settings(body["settings"])
        if str(said.get("blocks.read")).lower() == "true":
            yield _unset(index, "blocks.read", "no search and no comparison can read it")
        durability = str(said.get("translog.durability", "request")).lower()
        if control and durability != "request":
            what = "a crash of Elasticsearch loses what it has acknowledged, the generation too"
            yield _unset(index, "translog.durability", what)
        copies = str(said.get("write.wait_for_active_shards", 1))
        wanted = 1 + int(said["number_of_replicas"]) if copies == "all" else int(copies)
        if wanted > 1 and wanted > (active := _active(client, index)):
            what = f"it asks for {wanted} copies, and {active} are active: writes wait"
            yield _unset(index, "write.wait_for_active_shards", what)


def _unset(index: str, setting: str, what: str) -> Fault:
    mend = f"PUT /{index}/_settings {json.dumps({f'index.{setting}': None})}"
    return Fault(f"{index} has the setting {setting}: {what}", mend)


def _active(client: Client, index: str) -> int:
    """How many copies are active of the shard that has the fewest."""
    shards = client.cluster.health(index=index, level="shards")["indices"][index]["shards"]
    return min(int(one["active_shards"]) for one in shards.values())
