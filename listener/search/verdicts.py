"""Verdicts: what is to be done about each document of a bulk, by the server's reply. Pure.

A verdict goes by the *type* of an item's error, not by its status. 429 and 503 are the exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from listener.search.bulk import Document
from listener.search.reasons import mend_of, names_missing_pipeline
from listener.search.versions import generation_of
from listener.search.write_aliases import Target


class Outcome(Enum):
    """What is to be done about one item of a bulk."""

    DONE = "done"
    CONFLICT = "conflict"  # a version at or above the one sent is stored: whose generation?
    RETRY = "retry"  # the server had no room: read again, send again
    PARK = "park"  # the document's own fault, as it seems
    SUSPECT = "suspect"  # it seems so: sent again alone, beside one that is good
    FENCED = "fenced"  # the write alias is gone
    HOLD = "hold"  # neither the document's fault nor one that may be skipped


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one item; `reason` is the server's word for everything but DONE. `mend`: the
    command that lifts what an operator has forbidden; empty: nothing is known to."""

    outcome: Outcome
    reason: str = ""
    stored_version: int | None = None
    proven: bool = False
    """Of PARK: whether the answer alone proves that no other document would meet this."""
    mend: str = ""

    @property
    def by_index(self) -> bool:
        """Whether the index refuses it, and not the server because it has no room."""
        return self.outcome is Outcome.HOLD or (
            self.outcome is Outcome.RETRY and self.reason.partition(":")[0] in _OF_INDEX
        )


DOCUMENT_FAULTS: Final = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
    }
)
"""Types of errors that a document's own content causes."""
_DONE: Final = Verdict(Outcome.DONE)
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
_OF_INDEX: Final = frozenset(
    {
        "cluster_block_exception",
        "unavailable_shards_exception",
        "no_shard_available_action_exception",
    }
)
"""Of those that may pass: they are of one index, and say nothing of another one."""
_SHOWN: Final = 500
"""Characters of a reason that are told: an id alone may have 512."""
_ALIAS_GONE: Final = frozenset({"index_not_found_exception"})
_PREVIEW: Final = re.compile(r"(Preview of field's value: ')(.*)(?='\Z)", re.DOTALL)
_VALUE: Final = 60
"""Characters of a value that are told: enough to find it, and no whole text of a user in a log."""
_STORED: Final = re.compile(
    r".*version conflict, current version \[([0-9]{1,19})\] is higher[^\[\]]*\[[0-9]+\]\Z",
    re.DOTALL,
)
"""The id stands before it, and may say the same words."""
_ALIAS_ASTRAY: Final = re.compile(r"no write index is defined for alias \[")
"""The write alias leads to another index, too: it was added to one by hand, or came with a snapshot
that was restored under another name. The next generation takes another alias."""
_FAR_ABOVE: Final = 1_000_000
"""A stored version that is so many generations ahead was not written by listener: each session
takes one generation."""
_NO_ERRORS: Final = b'{"errors":false,'


def judge(item: Any, index: str = "INDEX") -> Verdict:
    """The verdict on one item of a bulk's reply, by error type, not by status.

    `index`: the one that it was sent to. Never raises: an item of an unknown shape is held.
    """
    result = next(iter(item.values())) if isinstance(item, Mapping) and len(item) == 1 else None
    if not isinstance(result, Mapping):
        return Verdict(Outcome.HOLD, "an item of a bulk reply that is none")
    status = result.get("status")
    error = result.get("error")
    if error is None:
        # a delete of what was not there is what was wanted
        if _is_status(status, 200, 299) or ("delete" in item and _is_status(status, 404, 404)):
            return _DONE
        return Verdict(Outcome.HOLD, f"status {str(status)[:20]} without an error")
    kind, reason = _type_and_reason(error)
    if isinstance(error, Mapping):
        index = str(error.get("index", index))
    stored = None
    if kind == "version_conflict_engine_exception":
        outcome = Outcome.CONFLICT
        found = _STORED.match(reason)
        stored = int(found.group(1)) if found else None
    elif kind in _ALIAS_GONE or _ALIAS_ASTRAY.match(reason):
        outcome = Outcome.FENCED
    elif status in (429, 503) or kind in _NO_ROOM:
        outcome = Outcome.RETRY
    elif kind in DOCUMENT_FAULTS and status == 400 and not names_missing_pipeline(reason):
        # a delete has no content that could be at fault
        outcome = Outcome.HOLD if "delete" in item else Outcome.PARK
    else:
        outcome = Outcome.HOLD
    told = f"{kind}: {reason[:_SHOWN]}"
    return Verdict(outcome, told, stored, mend=mend_of(told, index))


def all_taken(raw: bytes, documents: int, target: Target) -> bool:
    """Whether a reply says, before anything else, that no item met an error, and that the target's
    index has taken them all.

    `raw` is the reply's JSON, `documents` their number. Most replies do say so, and reading one as
    JSON costs more than making the request. A reply that looks otherwise is read in full.
    """
    if not raw.startswith(_NO_ERRORS) or raw.count(b'"status":') != documents:
        return False
    index = target.index
    return index is None or raw.count(f'"_index":"{index}"'.encode()) == documents


def verdicts_of(
    answer: Any, documents: Sequence[Document], target: Target, version: int
) -> tuple[Verdict, ...]:
    """A verdict for each document from the reply to one bulk, of whatever shape it is.

    `version` is the one that was sent.
    """
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != len(documents):
        odd = Verdict(Outcome.HOLD, "a bulk reply with another number of items than were sent")
        return (odd,) * len(documents)
    well = answer.get("errors") is False  # the server's word for all of them
    index = target.index or "INDEX"
    judged = [_DONE if well else _settled(item, index, version) for item in items]
    return tuple(
        _in_place(item, target) if verdict.outcome is Outcome.DONE else verdict
        for item, verdict in zip(items, judged, strict=True)
    )


def _settled(item: Any, index: str, version: int) -> Verdict:
    return settle_conflict(judge(item, index), version, index)


def settle_conflict(verdict: Verdict, version: int, index: str = "INDEX") -> Verdict:
    """A 409 is done only where what is stored is a newer write of the same generation."""
    if verdict.outcome is not Outcome.CONFLICT:
        return verdict
    stored = verdict.stored_version
    if stored is None:
        return Verdict(Outcome.RETRY, verdict.reason)
    if generation_of(stored) == generation_of(version):
        return Verdict(Outcome.DONE)
    if generation_of(stored) > generation_of(version) + _FAR_ABOVE:
        return Verdict(
            Outcome.PARK,
            # the part before the colon is what the brake counts
            f"a version that is not of listener's making: {stored} in Elasticsearch. Delete the "
            f"document there (DELETE /{index}/_doc/ID), and a minute later `listener verify "
            "--repair`",
            proven=True,
        )
    return Verdict(Outcome.FENCED, verdict.reason, stored)


def _in_place(item: Any, target: Target) -> Verdict:
    """DONE only where the index has taken it that the alias was made for.

    The alias may have been made to lead to another index, and put back before an audit looks. The
    next generation has another alias, and writes the document anew.
    """
    result = next(iter(item.values()), None) if isinstance(item, dict) else None
    place = result.get("_index") if isinstance(result, dict) else None
    if target.index is None or place is None or place == target.index:
        return _DONE
    reason = f"the write alias {target.alias} led to {str(place)[:255]}, not to {target.index}"
    return Verdict(Outcome.FENCED, reason)


def _is_status(status: object, least: int, most: int) -> bool:
    return type(status) is int and least <= status <= most


def _type_and_reason(error: Any) -> tuple[str, str]:
    if isinstance(error, Mapping):
        reason = _PREVIEW.sub(_preview, str(error.get("reason", "")))
        return str(error.get("type", "unknown"))[:_SHOWN], reason
    return "unknown", str(error)


def _preview(match: re.Match[str]) -> str:
    value = match[2]
    return match[1] + (value if len(value) <= _VALUE else f"{value[:_VALUE]}…")
