"""The user's files: SQL, and the configuration of an index. What is wrong that no server tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from listener.checks.finding import Finding
from listener.config import DocumentConfig
from listener.documents.files import QueryFileError, doubled, read, sql_files, wrong_files
from listener.search.index_config import IndexBody, IndexError_, flat_settings, read_body
from listener.search.index_settings import doubts, faults


def check_files(documents: Iterable[DocumentConfig]) -> list[Finding]:
    """Look at the files of all documents. Needs no server."""
    found: list[Finding] = []
    for document in documents:
        found += [Finding("error", one) for one in wrong_files(document)]
        found += _percent_signs(document)
        found += check_index_config(document)
    return list(dict.fromkeys(found))


def check_index_config(document: DocumentConfig) -> list[Finding]:
    """Look at one index_config_file."""
    path = document.index_config_file
    try:
        body = read_body(path)
    except IndexError_ as error:
        return [Finding("error", f"{document.index}: {error}")]
    found = [*_dynamic(body), *_settings(body)]
    return [
        Finding(one.severity, f"{document.index}: {path}: {one.what}", one.mend) for one in found
    ]


def _percent_signs(document: DocumentConfig) -> Iterator[Finding]:
    """Files that may have been written for a former version."""
    for one in sql_files(document):
        try:
            line = doubled(read(one.path))
        except QueryFileError:
            continue
        if line is not None:
            yield Finding(
                "warning",
                f"{one.index}: {one.path}: line {line}: `%%` are two percent signs, as in any SQL; "
                "former versions read them as one",
                "write one `%` where one is meant (LIKE 'a%', 5 % 3)",
            )


def _dynamic(body: IndexBody) -> Iterator[Finding]:
    """Undeclared fields: guessed types make an index large and differ from day to day."""
    for place, value in _dynamics(body.mappings, "mappings"):
        if str(value).lower() != "strict":
            yield Finding(
                "error",
                f"{place}.dynamic is {json.dumps(value)}: fields that the mapping does not "
                "name would be guessed or dropped",
                f'{place}: "dynamic": "strict"',
            )


def _dynamics(mapping: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    if "dynamic" in mapping:
        yield place, mapping["dynamic"]
    properties = mapping.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if isinstance(inner, dict):
            yield from _dynamics(inner, f"{place}.properties.{name}")


def _settings(body: IndexBody) -> Iterator[Finding]:
    """What loses writes, or keeps documents from being what was sent."""
    settings, mappings = flat_settings(body.settings), body.mappings
    for one in faults(settings, mappings):
        yield Finding("error", one.what, one.mend)
    for one in doubts(settings, mappings):
        yield Finding("warning", one.what, one.mend)
