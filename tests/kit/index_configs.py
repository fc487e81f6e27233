"""Index configurations that are refused: what stands in them, and the setting that is named."""

from __future__ import annotations

from typing import Any

REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"index": {"translog": {"durability": "async"}}}, {}, "translog.durability"),
    ({"index.translog.durability": "ASYNC"}, {}, "translog.durability"),
    ({"translog.durability": "async"}, {}, "translog.durability"),
    ({"gc_deletes": "59s"}, {}, "gc_deletes"),
    ({"gc_deletes": "1000ms"}, {}, "gc_deletes"),
    ({"gc_deletes": -1}, {}, "gc_deletes"),
    ({"gc_deletes": "0"}, {}, "gc_deletes"),
    ({"default_pipeline": "p"}, {}, "default_pipeline"),
    ({"index.final_pipeline": "p"}, {}, "final_pipeline"),
    ({"search": {"default_pipeline": "p"}}, {}, "search.default_pipeline"),
    ({"blocks": {"write": True}}, {}, "blocks.write"),
    ({"index.blocks.read_only": "true"}, {}, "blocks.read_only"),
    ({"mode": "logsdb"}, {}, "mode"),
    ({"mode": "time_series"}, {}, "mode"),
    ({"mapping.source.mode": "synthetic"}, {}, "mapping.source.mode"),
    ({"derived_source.enabled": True}, {}, "derived_source"),
    ({"append_only.enabled": True}, {}, "append_only"),
    ({"max_result_window": 100}, {}, "max_result_window"),
    ({"routing_partition_size": 2}, {}, "routing_partition_size"),
    ({}, {"_source": {"enabled": False}}, "_source.enabled"),
    ({}, {"_source": {"mode": "synthetic"}}, "_source.mode"),
    ({}, {"_source": {"excludes": ["a"]}}, "_source.excludes"),
    ({}, {"_source": {"includes": ["a"]}}, "_source.includes"),
    ({}, {"_routing": {"required": True}}, "_routing.required"),
    (
        {},
        {"properties": {"a": {"properties": {"b": {"type": "join", "relations": {"p": "c"}}}}}},
        "mappings.properties.a.properties.b is a join field",
    ),
]
"""Settings, mappings, and the name of the setting in the refusal."""
