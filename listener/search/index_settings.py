"""Settings and mappings of an index with which no index equals its query, or that lose writes.

They are judged by what they do, whoever set them: in index_config.json, where they are refused,
and in an index that is in use, which is then loaded anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

GC_DELETES: Final = 60.0
"""Seconds for which a deleted document must be remembered: a late write is refused for as long."""
PAGE: Final = 5000
"""Ids that a comparison asks for at once."""
_UNITS: Final = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "micros": 1e-6,
    "nanos": 1e-9,
}
_DECIDING: Final = (
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
_NO_PIPELINE: Final = ("_none", "")
_MODES: Final = ("time_series", "logsdb")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and what to write instead. `block`: it only refuses, and is lifted again."""

    what: str
    mend: str
    block: bool = False


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their whole names."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flatten(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def decides(setting: str) -> bool:
    """Whether a setting decides what becomes of a document. Its name is without `index.`."""
    return any(setting == one or setting.startswith(f"{one}.") for one in _DECIDING)


def faults(settings: Mapping[str, Any], mappings: Mapping[str, Any]) -> Iterator[Fault]:
    """What an index of listener's must not have. `settings` are flat, without `index.`."""
    yield from _durable(settings)
    yield from _as_sent(settings, mappings)
    yield from _writable(settings, mappings)


def _durable(settings: Mapping[str, Any]) -> Iterator[Fault]:
    durability = settings.get("translog.durability", "request")
    if str(durability).lower() != "request":
        yield Fault(
            f"translog.durability is {durability!r}: a crash of Elasticsearch loses what it has "
            "acknowledged",
            'write "request", which is the default, or leave it out',
        )
    seconds = _seconds(settings.get("gc_deletes"))
    if seconds is not None and seconds < GC_DELETES:
        yield Fault(
            f"gc_deletes is {settings['gc_deletes']!r}: a write that comes late would bring back "
            "what was deleted",
            "write 60s, which is the default, or more, or leave it out",
        )


def _as_sent(settings: Mapping[str, Any], mappings: Mapping[str, Any]) -> Iterator[Fault]:
    """A document that is not kept as it was sent differs from its query for ever."""
    for name in ("default_pipeline", "final_pipeline"):
        if settings.get(name, "_none") not in _NO_PIPELINE:
            yield Fault(
                f"{name} is {settings[name]!r}: an ingest pipeline changes or drops documents, so "
                "that none equals its query",
                "let the document query do it, and leave the pipeline out",
            )
    if settings.get("search.default_pipeline", "_none") not in _NO_PIPELINE:
        yield Fault(
            f"search.default_pipeline is {settings['search.default_pipeline']!r}: it may hide "
            "documents from the comparison of database and index",
            "name the search pipeline in the requests instead, and leave it out here",
        )
    source = mappings.get("_source")
    source = source if isinstance(source, Mapping) else {}
    kept = "keep the whole _source: comparisons and `verify` read it"
    if _no(source.get("enabled")):
        yield Fault("_source.enabled is false: no document could be compared", kept)
    for name in ("includes", "excludes"):
        if source.get(name):
            yield Fault(f"_source.{name} leaves fields out: no document equals its query", kept)
    modes = {"_source.mode": source.get("mode"), "mapping.source.mode": None}
    modes["mapping.source.mode"] = settings.get("mapping.source.mode")
    for name, mode in modes.items():
        if str(mode or "stored").lower() != "stored":
            yield Fault(f"{name} is {mode!r}: documents are not kept as they were sent", kept)
    if _yes(settings.get("derived_source.enabled")):
        yield Fault("derived_source.enabled: documents are not kept as they were sent", kept)
    if str(settings.get("mode", "standard")).lower() in _MODES:
        yield Fault(
            f"mode is {settings['mode']!r}: it changes ids or documents",
            'write "standard", which is the default, or leave it out',
        )


def _writable(settings: Mapping[str, Any], mappings: Mapping[str, Any]) -> Iterator[Fault]:
    """With these no document could be written, deleted or listed."""
    for name, value in settings.items():
        if name.startswith("blocks.") and _yes(value):
            yield Fault(f"{name}: no document could be written", "leave it out", block=True)
    routing = mappings.get("_routing")
    if isinstance(routing, Mapping) and _yes(routing.get("required")):
        yield Fault("_routing.required: listener writes by id alone", "leave it out")
    for name, one in _fields(mappings, "mappings"):
        if one.get("type") == "join":
            yield Fault(
                f"{name} is a join field: its documents need a routing, and listener writes by id "
                "alone",
                'leave it out: let the query put the parts into the document (type "nested")',
            )
    if str(settings.get("routing_partition_size", 1)) != "1":
        yield Fault("routing_partition_size: listener writes by id alone", "leave it out")
    if settings.get("routing_path"):
        yield Fault("routing_path: listener writes by id alone", "leave it out")
    if _yes(settings.get("append_only.enabled")):
        yield Fault("append_only.enabled: no document could be changed", "leave it out")
    window = str(settings.get("max_result_window", PAGE))
    if window.isdecimal() and int(window) < PAGE:
        yield Fault(
            f"max_result_window is {window}: comparisons read {PAGE} ids at once",
            f"write {PAGE} or more, or leave it out",
        )


def doubts(settings: Mapping[str, Any], mappings: Mapping[str, Any]) -> Iterator[Fault]:
    """What index = query does not depend on, but may surprise."""
    ignoring = [
        f"mappings.properties.{name}"
        for name, value in flatten(_properties(mappings))
        if name.endswith(".ignore_malformed") and _yes(value)
    ]
    if _yes(settings.get("mapping.ignore_malformed")):
        ignoring.insert(0, "settings.index.mapping.ignore_malformed")
    for name in ignoring:
        yield Fault(
            f"{name}: a value that does not fit is shown, but no search finds it",
            "leave it out: such a document is then parked, with the reason",
        )
    if settings.get("lifecycle.name"):
        yield Fault(
            f"lifecycle.name is {settings['lifecycle.name']!r}: where that policy deletes, shrinks "
            "or freezes an index, listener loads it anew or is held",
            "leave it out: the index is not one of a series by time",
        )


def _fields(mapping: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, one in _properties(mapping).items():
        if isinstance(one, Mapping):
            inner = f"{place}.properties.{name}"
            yield inner, one
            yield from _fields(one, inner)


def _properties(mappings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = mappings.get("properties")
    return found if isinstance(found, Mapping) else {}


def _seconds(value: Any) -> float | None:
    """A time of Elasticsearch's in seconds; None where it is none, which the server refuses."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?) *([a-z]*)", str(value).strip().lower())
    if match is None:
        return None
    number, unit = float(match[1]), match[2]
    if not unit:
        return number / 1000 if number > 0 else number
    return number * _UNITS[unit] if unit in _UNITS else None


def _yes(value: Any) -> bool:
    return str(value).lower() == "true"


def _no(value: Any) -> bool:
    return str(value).lower() == "false"
