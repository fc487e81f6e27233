"""Bulk requests: the body's bytes and a verdict for each item. Pure, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

from listener.changes import Key


class Document(NamedTuple):  # made by the ten thousand: a dataclass takes twice as long
    """A document to write: `body` is its JSON as PostgreSQL made it, None means delete it."""

    key: Key
    id: str
    body: bytes | None


class Outcome(Enum):
    """What is to be done about one item of a bulk."""

    DONE = "done"
    CONFLICT = "conflict"  # a version at or above ours is stored: whose generation?
    RETRY = "retry"  # the server had no room: read again, send again
    PARK = "park"  # the document's own fault, as it seems
    SUSPECT = "suspect"  # it seems so: sent again alone, beside one that is good
    FENCED = "fenced"  # our write alias is gone
    HOLD = "hold"  # neither the document's fault nor one that we may skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one item; `reason` is Elasticsearch's word for everything but DONE."""

    outcome: Outcome
    reason: str = ""
    stored_version: int | None = None
    proven: bool = False
    """Of PARK: whether the answer alone proves that no other document would meet this."""


_DONE: Final = Verdict(Outcome.DONE)

DOCUMENT_FAULTS: Final = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
    }
)
_NO_ROOM: Final = frozenset(
    {
        "es_rejected_execution_exception",
        "rejected_execution_exception",
        "circuit_breaking_exception",
        "unavailable_shards_exception",
        "no_shard_available_action_exception",
        "process_cluster_event_timeout_exception",
        "timeout_exception",
    }
)
_SHOWN: Final = 500
"""Characters of a reason that are told: an id alone may have 512."""
_ALIAS_GONE: Final = frozenset({"index_not_found_exception"})
_PREVIEW: Final = re.compile(r"\.? *Preview of field's value: '.*'", re.DOTALL)
"""What users wrote does not belong into logs."""
_STORED: Final = re.compile(
    r".*version conflict, current version \[([0-9]{1,19})\] is higher[^\[\]]*\[[0-9]+\]\Z",
    re.DOTALL,
)
"""The id stands before it, and may say the same words."""
_BLOCK: Final = re.compile(r"(?:index \[([^\]]+)\] )?blocked by: \[\w+/(\d+)/")
_CLOSED: Final = re.compile(r"\Aindex_closed_exception\b")
_NO_PIPELINE: Final = re.compile(
    r"(?:illegal_argument_exception: )?pipeline with id \[[^\]]*\] does not exist\Z"
)
"""From its first character to its last: in between, what users wrote may say so, too."""
_ALIAS_ASTRAY: Final = re.compile(r"no write index is defined for alias \[")
"""Our write alias leads elsewhere, too: somebody has added it to another index, or a snapshot that
was restored under another name has brought it along. The next generation takes another alias."""
_TOO_LARGE: Final = re.compile(
    r"rejected execution of (?:coordinating|primary) operation \[.*"
    r"\b(?:coordinating|primary)_operation_bytes=([0-9]{1,19}), max_\w+_bytes=([0-9]{1,19})\]"
)
_LIFTS: Final = {
    "4": "POST /{index}/_open",
    "5": 'PUT /{index}/_settings {{"index.blocks.read_only": null}}',
    "6": 'PUT /_cluster/settings {{"persistent": {{"cluster.blocks.read_only": null}}}}',
    "8": 'PUT /{index}/_settings {{"index.blocks.write": null}}',
    "9": 'PUT /{index}/_settings {{"index.blocks.metadata": null}}',
    "12": "free disk space (the server lifts it then, or after "
    'PUT /{index}/_settings {{"index.blocks.read_only_allow_delete": null}})',
    "pipeline": 'PUT /{index}/_settings {{"index.default_pipeline": null}}, or make the pipeline',
    "13": 'PUT /_cluster/settings {{"persistent": {{"cluster.blocks.read_only_allow_delete": '
    "null}}}}",
}
"""By the number of a block, which all servers share: what lifts it. Somebody has set it, so that
is a person's decision."""


GENERATIONS: Final = 4_000_000
"""No generation reaches this number: each session takes one, and a version has 63 bits."""


def versioned(generation: int, counter: int) -> int:
    """External version: the fencing token first, then our own counter."""
    return (generation << 40) + counter


def generation_of(version: int) -> int:
    """The fencing token inside a version."""
    return version >> 40


def encode(documents: Sequence[Document], targets: Sequence[str], version: int) -> bytes:
    """The body of one bulk: each document once for each target alias, in order.

    Raw line breaks inside a document (`json` columns keep them) become spaces: they can only
    stand between JSON tokens, and left in they would be read as action lines.
    """
    parts: list[bytes] = []
    heads = [
        (
            b'{"index":{"_index":"%s","_id":' % target.encode(),
            b'{"delete":{"_index":"%s","_id":' % target.encode(),
        )
        for target in targets
    ]
    tail = b',"version":%d,"version_type":"external_gte"}}\n' % version
    for document in documents:
        ident = encode_basestring_ascii(document.id).encode()
        body = document.body
        if body is not None and (b"\n" in body or b"\r" in body):
            body = body.replace(b"\n", b" ").replace(b"\r", b" ")
        for index, delete in heads:
            if body is None:
                parts += (delete, ident, tail)
            else:
                parts += (index, ident, tail, body, b"\n")
    return b"".join(parts)


def with_mend(reason: str, index: str = "INDEX") -> str:
    """A server's reason; where a person has forbidden to write, with the command that allows it."""
    found = _BLOCK.search(reason)
    if found:
        lifts = _LIFTS.get(found[2])
    elif _CLOSED.match(reason):
        lifts = _LIFTS["4"]
    else:
        lifts = _LIFTS["pipeline"] if _NO_PIPELINE.match(reason) else None
    if lifts is None:
        return reason
    return f"{reason} Mend: {lifts.format(index=(found and found[1]) or index)}"


def never_fits(reason: str) -> bool:
    """Whether a server has no room for a request of this size, however idle it is."""
    found = _TOO_LARGE.search(reason)
    return found is not None and int(found[1]) > int(found[2])


def judge(item: Any) -> Verdict:
    """The verdict on one item of a bulk's reply, by error type, not by status.

    Never raises: an item of a shape that we do not know is held.
    """
    result = next(iter(item.values())) if isinstance(item, Mapping) and len(item) == 1 else None
    if not isinstance(result, Mapping):
        return Verdict(Outcome.HOLD, "an item of a bulk reply that is none")
    status = result.get("status")
    error = result.get("error")
    if error is None:
        # a delete of what was not there is what we wanted
        if _is_status(status, 200, 299) or ("delete" in item and _is_status(status, 404, 404)):
            return _DONE
        return Verdict(Outcome.HOLD, f"status {str(status)[:20]} without an error")
    kind, reason = _kind(error)
    index = str(error.get("index", "INDEX")) if isinstance(error, Mapping) else "INDEX"
    stored = None
    if kind == "version_conflict_engine_exception":
        outcome = Outcome.CONFLICT
        found = _STORED.match(reason)
        stored = int(found.group(1)) if found else None
    elif kind in _ALIAS_GONE or _ALIAS_ASTRAY.match(reason):
        outcome = Outcome.FENCED
    elif status in (429, 503) or kind in _NO_ROOM:
        outcome = Outcome.RETRY
    elif kind in DOCUMENT_FAULTS and status == 400 and not _NO_PIPELINE.match(reason):
        # a delete has no content that could be at fault
        outcome = Outcome.HOLD if "delete" in item else Outcome.PARK
    else:
        outcome = Outcome.HOLD
    return Verdict(outcome, with_mend(f"{kind}: {reason[:_SHOWN]}", index), stored)


def _is_status(status: object, least: int, most: int) -> bool:
    return type(status) is int and least <= status <= most


def _kind(error: Any) -> tuple[str, str]:
    if isinstance(error, Mapping):
        reason = _PREVIEW.sub("", str(error.get("reason", "")))
        return str(error.get("type", "unknown"))[:_SHOWN], reason
    return "unknown", str(error)
