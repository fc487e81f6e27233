"""Indexes: made from index_config.json, checked after creation, reached through aliases."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import elasticsearch

from listener.elastic import Client, Error

_TEMPLATE_PRIORITY: Final = 900_000
_FOREIGN: Final = (
    "default_pipeline",
    "final_pipeline",
    "lifecycle",
    "sort",
    "mapping",
    "blocks",
    "gc_deletes",  # shorter, and a late write would bring back what was deleted
    "translog",  # `async`, and a crash would lose what was acknowledged
)
_OWN_MAPPING: Final = ("properties", "dynamic", "_meta")
OURS: Final = "listener-"
"""How the names of our index templates begin."""


class IndexError_(ValueError):
    """An index is not, or would not be, what index_config.json says."""


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What index_config.json says: `settings` (without refresh and replicas) and `mappings`."""

    settings: dict[str, Any]
    mappings: dict[str, Any]
    replicas: Any
    refresh_interval: str


@dataclass(frozen=True, slots=True)
class Existing:
    """An index behind an alias. `hash` and `pipeline` are ours, or None in a foreign index.

    `mapping`: a hash of the mapping as the server has it, and of the settings that decide what
    becomes of a document.
    """

    name: str
    uuid: str
    hash: str | None
    pipeline: str | None
    mapping: str


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flatten(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def read_config(path: Path) -> IndexConfig:
    """Read index_config.json. Raises IndexError_ where it is no index body or not strict."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise IndexError_(f"{path}: no JSON: {error}") from error
    if not isinstance(value, dict) or set(value) - {"settings", "mappings"}:
        raise IndexError_(f"{path}: write an object with `settings` and `mappings`, nothing else")
    settings = value.get("settings", {})
    mappings = value.get("mappings", {})
    if not isinstance(settings, dict) or not isinstance(mappings, dict):
        raise IndexError_(f"{path}: `settings` and `mappings` are objects")
    flat = dict(_flatten(settings))
    flat = {key.removeprefix("index."): inner for key, inner in flat.items()}
    replicas = flat.pop("number_of_replicas", 1)
    refresh = str(flat.pop("refresh_interval", "1s"))
    mappings = {"dynamic": "strict", **mappings}
    if mappings["dynamic"] != "strict":
        raise IndexError_(f'{path}: mappings.dynamic is {mappings["dynamic"]!r}: write "strict"')
    return IndexConfig(flat, mappings, replicas, refresh)


def owned(alias: str) -> re.Pattern[str]:
    """The names of our write aliases of this alias; the group is the generation.

    Numbers from bulk.GENERATIONS on are nobody's generation: versions have no room for them.
    """
    return re.compile(re.escape(alias) + r"\.[wl]([1-9][0-9]{0,5}|[1-3][0-9]{6})\Z")


def content_hash(config: IndexConfig, *texts: str) -> str:
    """Eight hex digits that change whenever the mapping, the settings or a query file does."""
    whole = json.dumps(
        [config.settings, config.mappings, config.replicas, config.refresh_interval, *texts],
        sort_keys=True,
    )
    return hashlib.sha256(whole.encode()).hexdigest()[:8]


class Indexes:
    """Operations on the indexes and aliases of one pipeline. Errors of the client pass through."""

    def __init__(self, client: Client, pipeline: str) -> None:
        self._client = client
        self._pipeline = pipeline

    def protect(self, alias: str) -> None:
        """Install the template that keeps a write to a vanished alias from making an index.

        OpenSearch refuses `allow_auto_create`; there the bulk's require_alias covers all but a
        stray delete, which makes an empty index that the audit removes.
        """
        body: dict[str, Any] = {
            "index_patterns": [alias, f"{alias}.w*", f"{alias}.l*"],
            "priority": _TEMPLATE_PRIORITY,
            "allow_auto_create": False,
            "_meta": {"listener": {"pipeline": self._pipeline}},
        }
        try:
            self._client.indices.put_index_template(name=f"{OURS}{alias}", **_template(body))
        except elasticsearch.BadRequestError as error:
            if "allow_auto_create" not in str(error):
                raise

    def behind(self, alias: str) -> Existing | None:
        """The index behind the alias; None where the name is free.

        Raises IndexError_ where the name is a concrete index, or an alias of several indexes.
        """
        try:
            found = self._client.indices.get(index=alias).body
        except elasticsearch.NotFoundError:
            return None
        if alias in found:
            raise IndexError_(
                f"{alias!r} is a concrete index, not an alias, so listener does not touch it"
            )
        if len(found) > 1:
            raise IndexError_(
                f"the alias {alias!r} points to {len(found)} indexes: {', '.join(sorted(found))}"
            )
        ((name, body),) = found.items()
        return _existing(name, body)

    def get(self, name: str) -> Existing | None:
        """One index by its own name, None where it does not exist."""
        try:
            found = self._client.indices.get(index=name).body
        except elasticsearch.NotFoundError:
            return None
        return _existing(name, found[name]) if name in found else None

    def create(self, name: str, config: IndexConfig, digest: str) -> Existing:
        """Make an index for a full load: no refresh, no replicas; then read it back.

        Raises IndexError_ where a foreign template added fields, a pipeline, a lifecycle or a sort;
        the index is removed then, and the template named.
        """
        own = {"pipeline": self._pipeline, "hash": digest}
        meta = {**config.mappings.get("_meta", {}), "listener": own}
        settings = {
            **config.settings,
            "number_of_replicas": 0,
            "refresh_interval": "-1",
        }
        settings.pop("auto_expand_replicas", None)
        self._client.indices.create(
            index=name,
            settings=settings,
            mappings={**config.mappings, "_meta": meta},
            wait_for_active_shards="0",  # bulks wait for them, and say what they wait for
        )
        try:
            self._verify(name, config)
        except IndexError_:
            self._client.indices.delete(index=name)
            raise
        existing = self.get(name)
        if existing is None:
            raise IndexError_(f"the index {name} vanished while it was made")
        return existing

    def _verify(self, name: str, config: IndexConfig) -> None:
        found = self._client.indices.get(index=name, flat_settings=True).body[name]
        added = _added(found, config)
        if added is not None:
            templates = foreign_templates(self._client, name)
            who = " or ".join(f"{one.name} ({one.pattern})" for one in templates)
            raise IndexError_(
                f"{name}: the index template {who or '(none is seen)'} adds {added}. Narrow its "
                f"index_patterns so that they leave out {name}, or delete it; what is wanted of "
                "it, write into index_config.json"
            )

    def finish(self, name: str, config: IndexConfig) -> None:
        """After a load: refresh, bring back interval and replicas, wait for its health."""
        self._client.indices.refresh(index=name)
        settings: dict[str, Any] = {
            "number_of_replicas": config.replicas,
            "refresh_interval": config.refresh_interval,
        }
        expand = config.settings.get("auto_expand_replicas")
        if expand is not None:
            settings["auto_expand_replicas"] = expand
        self._client.indices.put_settings(index=name, settings=settings)

    def healthy(self, name: str, seconds: int) -> bool:
        """Whether all copies of the index that this cluster has nodes for are active.

        Waits up to `seconds` for them. A replica without a node of its own is nobody's delay: a
        single node would never be done.
        """
        found = self._client.indices.get(index=name, flat_settings=True).body[name]["settings"]
        shards = int(found["index.number_of_shards"])
        replicas = int(found["index.number_of_replicas"])
        nodes = int(self._client.cluster.health(index=name)["number_of_data_nodes"])
        wanted = shards * (1 + min(replicas, max(nodes - 1, 0)))
        answer = self._client.options(
            ignore_status=408, request_timeout=seconds + 10
        ).cluster.health(index=name, wait_for_active_shards=wanted, timeout=f"{seconds}s")
        return not answer["timed_out"] and answer["status"] != "red"

    def aliases(self, pattern: str) -> dict[str, list[str]]:
        """Aliases that match the pattern: alias -> its indexes."""
        answer = self._client.options(ignore_status=404).indices.get_alias(name=pattern).body
        found: dict[str, list[str]] = {}
        for index, body in answer.items():
            if isinstance(body, Mapping):
                for alias in body.get("aliases", {}):
                    found.setdefault(alias, []).append(index)
        return found

    def is_concrete(self, name: str) -> bool:
        """Whether this name is an index, not an alias."""
        return self.get(name) is not None

    def drop_loads(
        self, alias: str, *, below: int | None = None, spare: Collection[str] = ()
    ) -> list[str]:
        """Delete the indexes that loads feed and that users have no alias for, but for `spare`.

        `below`: only what belongs to generations below this one. Returns those that are kept
        because the server refuses to delete them.
        """
        ours = owned(alias)
        return [
            name
            for write_alias, names in self.aliases(f"{alias}.l*").items()
            if (match := ours.match(write_alias)) and (below is None or int(match.group(1)) < below)
            for name in names
            if name not in spare and not self.drop_if_unused(name, alias)
        ]

    def drop_if_unused(self, name: str, alias: str) -> bool:
        """Delete an index of ours that only write aliases point to. False: the server refuses it
        (a snapshot is under way, a right is missing), and it stays.
        """
        found = self.get(name)
        if found is None or found.pipeline != self._pipeline:
            return True
        answer = self._client.indices.get_alias(index=name).body
        ours = owned(alias)
        if all(ours.match(one) for one in answer.get(name, {}).get("aliases", {})):
            try:
                self._client.indices.delete(index=name)
            except elasticsearch.NotFoundError:
                return True
            except (elasticsearch.BadRequestError, elasticsearch.AuthorizationException):
                return False
        return True

    def drop_strays(self, alias: str) -> None:
        """Delete empty indexes that bear the name of a write alias.

        OpenSearch makes one for a delete that comes after our index and its aliases are gone.
        """
        ours = owned(alias)
        for name in self._client.indices.get(index=f"{alias}.*", expand_wildcards="all").body:
            if ours.match(name):
                self._drop_if_empty(name)

    def drop_unborn(self, alias: str) -> None:
        """Delete empty indexes of ours that no alias leads to: they were made, but the answer that
        said so was lost, and another one was made instead."""
        for name, body in self._client.indices.get(index=f"{alias}-*").body.items():
            if _existing(name, body).pipeline == self._pipeline and not body.get("aliases"):
                self._drop_if_empty(name)

    def _drop_if_empty(self, name: str) -> None:
        try:
            self._client.indices.refresh(index=name)
            if not self._client.count(index=name)["count"]:
                self._client.indices.delete(index=name)
        except Error:
            return  # it has no copy that could say so: it disturbs nobody until the next time

    def old(self, alias: str) -> list[str]:
        """Indexes of this pipeline that were behind the alias before and are behind none now."""
        found = self._client.indices.get(index=f"{alias}-*", ignore_unavailable=True).body
        return sorted(
            name
            for name, body in found.items()
            if _existing(name, body).pipeline == self._pipeline and not body.get("aliases")
        )

    def delete(self, name: str) -> None:
        """Delete an index."""
        self._client.indices.delete(index=name)

    def update_aliases(self, actions: list[dict[str, Any]]) -> None:
        """One atomic change of aliases."""
        if actions:
            self._client.indices.update_aliases(actions=actions)


@dataclass(frozen=True, slots=True)
class ForeignTemplate:
    """An index template of somebody else that matches a name of ours, and by which pattern."""

    name: str
    pattern: str
    data_stream: bool


def foreign_templates(client: Client, name: str) -> list[ForeignTemplate]:
    """Templates of others that would mix something into an index of this name."""
    found: list[ForeignTemplate] = []
    for entry in client.indices.get_index_template().body.get("index_templates", ()):
        template, body = entry["name"], entry["index_template"]
        pattern = _matching(name, body.get("index_patterns"))
        if pattern is not None and not template.startswith(OURS):
            found.append(ForeignTemplate(template, pattern, "data_stream" in body))
    for template, body in client.indices.get_template().body.items():
        pattern = _matching(name, body.get("index_patterns"))
        if pattern is not None:
            found.append(ForeignTemplate(template, pattern, data_stream=False))
    return found


def _matching(name: str, patterns: Any) -> str | None:
    for one in [patterns] if isinstance(patterns, str) else patterns or ():
        if re.fullmatch(".*".join(re.escape(part) for part in one.split("*")), name):
            return str(one)
    return None


def _added(found: Mapping[str, Any], config: IndexConfig) -> str | None:
    """What a new index has that index_config.json does not say, if it matters."""
    wanted = dict(_fields(config.mappings))
    for field, kind in _fields(found["mappings"]):
        if field not in wanted:
            return f"the field {field} ({kind})"
    for key, value in found["mappings"].items():
        if key not in config.mappings and key not in _OWN_MAPPING:
            return f"{key} = {json.dumps(value)} to the mapping"
    for key, value in found["settings"].items():
        short = key.removeprefix("index.")
        if short.split(".")[0] in _FOREIGN and short not in config.settings:
            return f"{key} = {value!r}"
    if found.get("aliases"):
        return f"the aliases {', '.join(found['aliases'])}"
    return None


def _template(body: dict[str, Any]) -> dict[str, Any]:
    renamed = dict(body)
    renamed["meta"] = renamed.pop("_meta")
    return renamed


def _existing(name: str, body: Mapping[str, Any]) -> Existing:
    meta = body.get("mappings", {}).get("_meta")
    own = meta.get("listener") if isinstance(meta, Mapping) else None
    own = own if isinstance(own, Mapping) else {}  # anybody may write there
    uuid = body["settings"]["index"]["uuid"]
    # a block is lifted again, by the server itself where a disk was full: it holds, no more
    settings = {
        key: value
        for key, value in _flatten(body["settings"]["index"])
        if key.split(".")[0] in _FOREIGN and not key.startswith("blocks.")
    }
    whole = json.dumps([body.get("mappings", {}), settings], sort_keys=True)
    mapping = hashlib.sha256(whole.encode()).hexdigest()[:16]
    digest, pipeline = own.get("hash"), own.get("pipeline")
    return Existing(
        name,
        uuid,
        digest if isinstance(digest, str) else None,
        pipeline if isinstance(pipeline, str) else None,
        mapping,
    )


def _fields(mappings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, body in mappings.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, str(body.get("type", "object"))
        yield from _fields(body, f"{path}.")
        for sub, inner in body.get("fields", {}).items():
            yield f"{path}.{sub}", str(inner.get("type"))
