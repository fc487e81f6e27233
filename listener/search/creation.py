"""Creation: an index for a full load, made, read back, and finished after the load."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from listener.search.client import Client
from listener.search.errors import Forbidden, explain, is_blocked
from listener.search.existing import Existing, get
from listener.search.index_config import IndexConfig, IndexError_
from listener.search.index_settings import decides, faults
from listener.search.owners import Owner
from listener.search.templates import foreign_templates

_COPIES: Final = "write.wait_for_active_shards"
"""A setting of index_config.json that an index without replicas could not keep to."""
_OWN_MAPPING: Final = ("properties", "dynamic", "_meta")


def create(
    client: Client,
    owner: Owner,
    name: str,
    config: IndexConfig,
    digest: str,
    *,
    definition: Mapping[str, Any] | None = None,
) -> Existing:
    """Make an index for a full load: no refresh, no replicas; then read it back.

    `definition`, what its documents are made by, and `digest`, its hash, are kept in its `_meta`.
    Raises IndexError_ where a foreign template added fields, a pipeline, a lifecycle or a sort, or
    what no index of listener's may have; the index is removed then, and the template named. Errors
    of the client pass through, here and below.
    """
    own = {**owner.meta(), "hash": digest}
    if definition is not None:
        own["definition"] = definition
    meta = {**config.mappings.get("_meta", {}), "listener": own}
    settings = {
        **config.settings,
        "number_of_replicas": 0,
        "refresh_interval": "-1",
    }
    settings.pop("auto_expand_replicas", None)
    settings.pop(_COPIES, None)
    client.indices.create(
        index=name,
        settings=settings,
        mappings={**config.mappings, "_meta": meta},
        wait_for_active_shards="0",  # bulks wait for them, and say what they wait for
    )
    try:
        added = _added(client.indices.get(index=name, flat_settings=True).body[name], config)
    except Forbidden as error:
        if not is_blocked(error):
            raise
        added = f"a block: {explain(error)[0]}"
    if added is not None:
        _unmake(client, name)
        raise IndexError_(_mixed_in(client, name, added))
    existing = get(client, name)
    if existing is None:
        raise IndexError_(f"the index {name} vanished while it was made")
    return existing


def started(client: Client, name: str) -> None:
    """Wait for the primaries of a new index, 5 s at most."""
    client.options(ignore_status=408).cluster.health(
        index=name, wait_for_status="yellow", timeout="5s"
    )


def finish(client: Client, name: str, config: IndexConfig) -> None:
    """After a load: refresh, then bring back interval and replicas."""
    client.indices.refresh(index=name)
    settings: dict[str, Any] = {
        "number_of_replicas": config.replicas,
        "refresh_interval": config.refresh_interval,
    }
    for setting in ("auto_expand_replicas", _COPIES):
        if config.settings.get(setting) is not None:
            settings[setting] = config.settings[setting]
    client.indices.put_settings(index=name, settings=settings)


def healthy(client: Client, name: str, seconds: int) -> bool:
    """Whether all copies of the index that this cluster has nodes for are active.

    Waits up to `seconds` for them. A replica without a node of its own is not waited for: a single
    node would never be done.
    """
    found = client.indices.get(index=name, flat_settings=True).body[name]["settings"]
    shards = int(found["index.number_of_shards"])
    replicas = int(found["index.number_of_replicas"])
    nodes = int(client.cluster.health(index=name)["number_of_data_nodes"])
    wanted = shards * (1 + min(replicas, max(nodes - 1, 0)))
    answer = client.options(ignore_status=408, request_timeout=seconds + 10).cluster.health(
        index=name, wait_for_active_shards=wanted, timeout=f"{seconds}s"
    )
    return not answer["timed_out"] and answer["status"] != "red"


def _mixed_in(client: Client, name: str, added: str) -> str:
    templates = foreign_templates(client, name)
    who = " or ".join(f"{one.name} ({one.pattern})" for one in templates)
    return (
        f"{name}: the index template {who or '(none is seen)'} adds {added}. Narrow its "
        f"index_patterns so that they leave out {name}, or delete it; what is wanted of "
        "it, write into index_config.json"
    )


def _unmake(client: Client, name: str) -> None:
    """Delete an index that was just made.

    With a block from a template it could not be deleted, nor could that block be lifted together
    with another one.
    """
    for block in ("index.blocks.metadata", "index.blocks.read_only"):
        client.indices.put_settings(index=name, settings={block: None})
    client.indices.delete(index=name)


def _added(found: Mapping[str, Any], config: IndexConfig) -> str | None:
    """What a new index has that index_config.json does not say, if it matters."""
    wanted = dict(_fields(config.mappings))
    for path, kind in _fields(found["mappings"]):
        if path not in wanted:
            return f"the field {path} ({kind})"
    for key, value in found["mappings"].items():
        if key not in config.mappings and key not in _OWN_MAPPING:
            return f"{key} = {json.dumps(value)} to the mapping"
    for key, value in found["settings"].items():
        short = key.removeprefix("index.")
        if decides(short) and short not in config.settings:
            return f"{key} = {value!r}"
    # judged as an index in use is, which would be loaded anew for it, without an end
    short = {key.removeprefix("index."): value for key, value in found["settings"].items()}
    for fault in faults(short, found["mappings"]):
        return fault.what
    if found.get("aliases"):
        return f"the aliases {', '.join(found['aliases'])}"
    return None


def _fields(mappings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Paths of fields and their types."""
    for name, body in mappings.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, str(body.get("type", "object"))
        yield from _fields(body, f"{path}.")
        for sub, inner in body.get("fields", {}).items():
            yield f"{path}.{sub}", str(inner.get("type"))
