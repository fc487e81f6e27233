"""Indexes: made from index_config.json, checked after creation, reached through aliases."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import elasticsearch

from listener.search import shards
from listener.search.client import Client, Error, describe, is_blocked
from listener.search.index_settings import Fault, faults, flatten
from listener.search.shards import Shard

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
    "search.default_pipeline",
    "mode",
    "routing_partition_size",
    "routing_path",
    "derived_source",
    "append_only",
)
"""Settings that decide what becomes of a document, by the beginning of their names."""
_COPIES: Final = "write.wait_for_active_shards"
"""A setting of index_config.json that an index without replicas could not keep to."""
_OWN_MAPPING: Final = ("properties", "dynamic", "_meta")
_OF_SHARDS: Final = ",".join(
    f"indices.*.shards.*.{one}"
    for one in (
        "routing.primary",
        "routing.state",
        "routing.node",
        "commit.user_data.history_uuid",
        "seq_no",
    )
)
OURS: Final = "listener-"
"""How the names of our index templates begin."""


class IndexError_(ValueError):
    """An index is not, or would not be, what index_config.json says."""


class ForeignIndex(IndexError_):
    """An index, or the name of our alias, belongs to another pipeline or another database."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a pipeline, as our indexes name it: `system` and `oid` tell it from all others,
    and `schema` is ours in it. `name` is for people: it may be renamed."""

    system: str
    oid: int
    schema: str
    name: str

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from others."""
        return self.system, self.oid, self.schema

    def __str__(self) -> str:
        return (
            f"the database {self.name} (oid {self.oid} of cluster {self.system}, postgres.schema "
            f"{self.schema})"
        )


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
    becomes of a document. `fault`: what is wrong with these. `database`: the one whose documents
    they are; None where a former release has made it. `meta` is the mapping's `_meta`.
    """

    name: str
    uuid: str
    hash: str | None
    pipeline: str | None
    mapping: str
    database: Database | None = None
    fault: Fault | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Astray:
    """A write alias that is not as we made it.

    `scattered`: it has a routing. What was written through it may stand on a shard where no write
    by id finds it: a comparison would leave it there, only a new index helps.
    """

    what: str
    scattered: bool = False


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
    flat = flat_settings(settings)
    replicas = flat.pop("number_of_replicas", 1)
    refresh = str(flat.pop("refresh_interval", "1s"))
    mappings = {"dynamic": "strict", **mappings}
    if mappings["dynamic"] != "strict":
        raise IndexError_(f'{path}: mappings.dynamic is {mappings["dynamic"]!r}: write "strict"')
    for fault in faults(flat, mappings):
        raise IndexError_(f"{path}: {fault.what}: {fault.mend}")
    return IndexConfig(flat, mappings, replicas, refresh)


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an index by their whole names, without `index.`."""
    return {key.removeprefix("index."): inner for key, inner in flatten(settings)}


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
    """Operations on the indexes and aliases of one pipeline. Errors of the client pass through.

    `database` is whose documents they hold; as long as it is None, nobody's is foreign.
    """

    def __init__(self, client: Client, pipeline: str, database: Database | None = None) -> None:
        self._client = client
        self._pipeline = pipeline
        self.database = database
        self.formers: set[tuple[str, int, str]] = set()
        """Keys of databases whose place this one has taken, as a saved state says."""

    # -- whose they are --------------------------------------------------------------------------

    def _own(self) -> dict[str, Any]:
        """What names the owner."""
        own: dict[str, Any] = {"pipeline": self._pipeline}
        if self.database is not None:
            own["database"] = asdict(self.database)
        return own

    def _foreign(self, path: str, own: Any, alias: str, *, take: bool) -> str | None:
        """Why what is at this path, an index or a template, is not ours by what it says of its
        owner, and the way out.

        What no pipeline has made is nobody's here. `take`: that of another database, but of a
        pipeline of our name, becomes ours: the database was moved, and a person says so.
        """
        if not isinstance(own, Mapping) or not isinstance(own.get("pipeline"), str):
            return None
        us = f"the pipeline {self._pipeline!r}"
        if self.database is not None:
            us += f" of {self.database}"
        theirs = _database(own.get("database"))
        them = f"the pipeline {own['pipeline']!r}" + (f" of {theirs}" if theirs else "")
        name = path.rsplit("/", 1)[-1]
        clash = f"{name} belongs to {them}, and this is {us}: two cannot feed the alias {alias!r}"
        if own["pipeline"] != self._pipeline:
            return (
                f"{clash}. Give documents[].index another name; or, where the other pipeline is "
                f"gone for good, DELETE {path}"
            )
        if take or self._of_us(theirs):
            return None
        return (
            f"{clash}: it is another database, or another schema of ours in it. If they are one, "
            "and the database was moved or restored, or the schema renamed, run `listener load`: "
            "it loads everything anew and takes the name. Otherwise give pipeline and "
            "documents[].index other names"
        )

    def refuse_foreign(self, alias: str, *, take: bool = False) -> None:
        """Raises ForeignIndex where somebody else of our kind uses this alias: by the index behind
        it, by an index that a write alias leads to, or by the template that keeps the name."""
        for what in self.claims(alias, take=take):
            raise ForeignIndex(what)

    def claims(self, alias: str, *, take: bool = False) -> Iterator[str]:
        """What of others' stands in the way of this alias."""
        pattern = owned(alias)
        for name, aliases in aliases_of(self._client, alias, f"{alias}.*").items():
            if any(one == alias or pattern.match(one) for one in aliases):
                found = self.get(name)
                own = found.meta.get("listener") if found is not None else None
                why = self._foreign(f"/{name}", own, alias, take=take)
                if why is not None:
                    yield why
        path = f"/_index_template/{OURS}{alias}"
        why = self._foreign(path, self._template(alias), alias, take=take)
        if why is not None:
            yield why

    def _template(self, alias: str) -> Any:
        """What our template for this alias says of its owner; None: there is none."""
        answer = self._client.options(ignore_status=404).indices.get_index_template(
            name=f"{OURS}{alias}"
        )
        for one in answer.body.get("index_templates", ()):
            return one["index_template"].get("_meta", {}).get("listener", {})
        return None

    def adopt(self, found: Existing) -> None:
        """Write ourselves down as the owner of an index that a former release has made, or whose
        database we have replaced. Where the server refuses that now, a later session does it.
        """
        if self.database is None or (found.database and found.database.key == self.database.key):
            return
        own = {**found.meta.get("listener", {}), **self._own()}
        meta = {**found.meta, "listener": own}
        with contextlib.suppress(elasticsearch.ApiError):
            self._client.indices.put_mapping(index=found.name, meta=meta)

    def is_ours(self, found: Existing) -> bool:
        """Whether it is of this pipeline, and of no other database."""
        if found.pipeline != self._pipeline:
            return False
        return self._of_us(found.database)

    def _of_us(self, theirs: Database | None) -> bool:
        ours = self.database
        return theirs is None or ours is None or theirs.key in {ours.key, *self.formers}

    # -- shards ----------------------------------------------------------------------------------

    def shards(self, names: Collection[str]) -> dict[str, dict[str, Shard]]:
        """The primaries that are at work of these indexes, by name and number."""
        if not names:
            return {}
        stats = self._client.perform_request(
            "GET",
            f"/{','.join(sorted(names))}/_stats/docs",
            params={"level": "shards", "ignore_unavailable": "true", "filter_path": _OF_SHARDS},
            headers={"accept": "application/json"},
        )
        state = self._client.options(ignore_status=(403, 404)).cluster.state(
            metric="nodes", filter_path="nodes.*.ephemeral_id"
        )
        nodes = state.body.get("nodes", {}) if state.meta.status == 200 else {}
        return shards.from_stats(stats.body if isinstance(stats.body, Mapping) else {}, nodes)

    def started(self, name: str) -> None:
        """Wait a moment for the primaries of a new index."""
        self._client.options(ignore_status=408).cluster.health(
            index=name, wait_for_status="yellow", timeout="5s"
        )

    # -- making them -----------------------------------------------------------------------------

    def protect(self, alias: str, *, take: bool = False) -> None:
        """Install the template that keeps a write to a vanished alias from making an index. It
        keeps the name for us, too: of two that begin at once, one is refused.

        OpenSearch refuses `allow_auto_create`; there the bulk's require_alias covers all but a
        stray delete, which makes an empty index that the audit removes. Raises ForeignIndex.
        """
        # looked for before its owner is: one that another makes in between is not written over
        create = self._template(alias) is None
        self.refuse_foreign(alias, take=take)
        try:
            self._put_template(alias, create=create)
        except elasticsearch.BadRequestError as error:
            if "already exists" not in str(error):
                raise
            self.refuse_foreign(alias, take=take)
            self._put_template(alias, create=False)

    def _put_template(self, alias: str, *, create: bool) -> None:
        body: dict[str, Any] = {
            "index_patterns": [alias, f"{alias}.w*", f"{alias}.l*"],
            "priority": _TEMPLATE_PRIORITY,
            "allow_auto_create": False,
            "_meta": {"listener": self._own()},
        }
        name = f"{OURS}{alias}"
        try:
            self._client.indices.put_index_template(name=name, create=create, **_template(body))
        except elasticsearch.BadRequestError as error:
            if "allow_auto_create" not in str(error):
                raise
            del body["allow_auto_create"]
            self._client.indices.put_index_template(name=name, create=create, **_template(body))

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

        Raises IndexError_ where a foreign template added fields, a pipeline, a lifecycle or a sort,
        or what no index of ours may have; it is removed then, and the template named.
        """
        own = {**self._own(), "hash": digest}
        meta = {**config.mappings.get("_meta", {}), "listener": own}
        settings = {
            **config.settings,
            "number_of_replicas": 0,
            "refresh_interval": "-1",
        }
        settings.pop("auto_expand_replicas", None)
        settings.pop(_COPIES, None)
        self._client.indices.create(
            index=name,
            settings=settings,
            mappings={**config.mappings, "_meta": meta},
            wait_for_active_shards="0",  # bulks wait for them, and say what they wait for
        )
        try:
            self._verify(name, config)
        except IndexError_:
            self._unmake(name)
            raise
        except elasticsearch.AuthorizationException as error:
            if not is_blocked(error):
                raise
            self._unmake(name)
            what, _, _ = describe(error).partition(" Mend: ")
            raise IndexError_(self._mixed_in(name, f"a block: {what}")) from error
        existing = self.get(name)
        if existing is None:
            raise IndexError_(f"the index {name} vanished while it was made")
        return existing

    def _verify(self, name: str, config: IndexConfig) -> None:
        found = self._client.indices.get(index=name, flat_settings=True).body[name]
        added = _added(found, config)
        if added is not None:
            raise IndexError_(self._mixed_in(name, added))

    def _mixed_in(self, name: str, added: str) -> str:
        templates = foreign_templates(self._client, name)
        who = " or ".join(f"{one.name} ({one.pattern})" for one in templates)
        return (
            f"{name}: the index template {who or '(none is seen)'} adds {added}. Narrow its "
            f"index_patterns so that they leave out {name}, or delete it; what is wanted of "
            "it, write into index_config.json"
        )

    def _unmake(self, name: str) -> None:
        """Delete an index that was just made: with a block from a template it could not even be
        deleted, nor that block lifted together with another one."""
        for block in ("index.blocks.metadata", "index.blocks.read_only"):
            self._client.indices.put_settings(index=name, settings={block: None})
        self._client.indices.delete(index=name)

    def finish(self, name: str, config: IndexConfig) -> None:
        """After a load: refresh, bring back interval and replicas, wait for its health."""
        self._client.indices.refresh(index=name)
        settings: dict[str, Any] = {
            "number_of_replicas": config.replicas,
            "refresh_interval": config.refresh_interval,
        }
        for setting in ("auto_expand_replicas", _COPIES):
            if config.settings.get(setting) is not None:
                settings[setting] = config.settings[setting]
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
        found: dict[str, list[str]] = {}
        for index, aliases in aliases_of(self._client, pattern).items():
            for alias in aliases:
                found.setdefault(alias, []).append(index)
        return found

    def astray(self, alias: str, wanted: Mapping[str, str | None]) -> Astray | None:
        """Which of our write aliases is not as we made it: it leads to another index too, or to
        another one, or has a routing, a filter, a write index. None: they are. `wanted`: write
        alias -> its index.
        """
        written = self._written(alias)
        found = [
            one
            for name, place in wanted.items()
            if (one := _astray(name, written.get(name, {}), place)) is not None
        ]
        # a routing is the graver one: what must be done for it mends the others, too
        return max(found, key=lambda one: one.scattered, default=None)

    def left_astray(self, alias: str, generation: int, current: str | None) -> Astray | None:
        """The same for the aliases of a generation that has ended, which the next one removes.

        `current`: the index behind the alias. Which index a load was filling is not asked: it is
        one, or its load begins anew.
        """
        pattern = owned(alias)
        wanted: dict[str, str | None] = {}
        for name, places in self._written(alias).items():
            match = pattern.match(name)
            if match and int(match.group(1)) == generation:
                loading = name[len(alias) + 1] == "l"
                ours = [one for one in places if one.startswith(f"{alias}-")]
                wanted[name] = min(ours, default=None) if loading else current
        return self.astray(alias, wanted)

    def _written(self, alias: str) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Write aliases: alias -> its indexes, and what was said when it was added."""
        found: dict[str, dict[str, Any]] = {}
        for index, aliases in aliases_of(self._client, f"{alias}.*").items():
            for name, more in aliases.items():
                found.setdefault(name, {})[index] = more
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
        if found is None or not self.is_ours(found):
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
            if self.is_ours(_existing(name, body)) and not body.get("aliases"):
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
        return sorted(one.name for one in self._without_alias(alias) if self.is_ours(one))

    def old_of_others(self, alias: str) -> list[Existing]:
        """Those of a pipeline of our name with another database, which may be alive."""
        found = self._without_alias(alias)
        return [one for one in found if one.pipeline == self._pipeline and not self.is_ours(one)]

    def _without_alias(self, alias: str) -> list[Existing]:
        found = self._client.indices.get(index=f"{alias}-*", ignore_unavailable=True).body
        return [_existing(name, body) for name, body in found.items() if not body.get("aliases")]

    def delete(self, name: str) -> None:
        """Delete an index."""
        self._client.indices.delete(index=name)

    def update_aliases(self, actions: list[dict[str, Any]]) -> None:
        """One atomic change of aliases."""
        if actions:
            self._client.indices.update_aliases(actions=actions)


def aliases_of(client: Client, *names: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Aliases of these names, which may be patterns: index -> alias -> what was said of it.

    The names stand for indexes, too: were all indexes looked through, the server would refuse where
    anybody has blocked the metadata of one.
    """
    answer = client.options(ignore_status=404).indices.get_alias(
        index=names, name=names, expand_wildcards="all", ignore_unavailable=True
    )
    return {
        index: dict(body["aliases"])
        for index, body in answer.body.items()  # also where a name of several is of none
        if isinstance(body, Mapping) and "aliases" in body
    }


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


def _astray(name: str, places: Mapping[str, Mapping[str, Any]], place: str | None) -> Astray | None:
    """What is wrong with a write alias that should lead to `place`."""
    added = places.get(place, {}) if place is not None else {}
    others = sorted(one for one in places if one != place)
    if "index_routing" in added or (added and not others):
        told = json.dumps(added)
        return Astray(
            f"the write alias {name} is not as it was made: {told}", "index_routing" in added
        )
    if others:
        too = f"not to {place}" if place is not None and place not in places else "too"
        return Astray(f"the write alias {name} leads to {', '.join(others)}, {too}")
    return None


def _matching(name: str, patterns: Any) -> str | None:
    for one in [patterns] if isinstance(patterns, str) else patterns or ():
        if re.fullmatch(".*".join(re.escape(part) for part in one.split("*")), name):
            return str(one)
    return None


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
        if _decides(short) and short not in config.settings:
            return f"{key} = {value!r}"
    # judged as an index in use is, which would be loaded anew for it, without an end
    short = {key.removeprefix("index."): value for key, value in found["settings"].items()}
    for fault in faults(short, found["mappings"]):
        return fault.what
    if found.get("aliases"):
        return f"the aliases {', '.join(found['aliases'])}"
    return None


def _decides(setting: str) -> bool:
    return any(setting == one or setting.startswith(f"{one}.") for one in _FOREIGN)


def _template(body: dict[str, Any]) -> dict[str, Any]:
    renamed = dict(body)
    renamed["meta"] = renamed.pop("_meta")
    return renamed


def _existing(name: str, body: Mapping[str, Any]) -> Existing:
    mappings = body.get("mappings", {})
    meta = mappings.get("_meta")
    meta = meta if isinstance(meta, Mapping) else {}  # anybody may write there
    own = meta.get("listener")
    own = own if isinstance(own, Mapping) else {}
    settings = dict(flatten(body["settings"]["index"]))
    # a block is lifted again, by the server itself where a disk was full: it holds, no more
    deciding = {
        key: value
        for key, value in settings.items()
        if _decides(key) and not key.startswith("blocks.")
    }
    # whose it is may be written into it later
    theirs = {**mappings, "_meta": {key: one for key, one in meta.items() if key != "listener"}}
    whole = json.dumps([theirs, deciding], sort_keys=True)
    digest, pipeline = own.get("hash"), own.get("pipeline")
    return Existing(
        name,
        settings["uuid"],
        digest if isinstance(digest, str) else None,
        pipeline if isinstance(pipeline, str) else None,
        hashlib.sha256(whole.encode()).hexdigest()[:16],
        _database(own.get("database")),
        next((one for one in faults(settings, mappings) if not one.block), None),
        meta,
    )


def _database(value: Any) -> Database | None:
    """The database that an owner's words name; None where a former release has written them."""
    try:
        return Database(
            str(value["system"]), int(value["oid"]), str(value["schema"]), str(value["name"])
        )
    except (TypeError, KeyError, ValueError):
        return None


def _fields(mappings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, body in mappings.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, str(body.get("type", "object"))
        yield from _fields(body, f"{path}.")
        for sub, inner in body.get("fields", {}).items():
            yield f"{path}.{sub}", str(inner.get("type"))
