"""What a server's reason for a refusal tells: what lifts it, and whether waiting can help. Pure."""

from __future__ import annotations

import re
from typing import Final

_BLOCK: Final = re.compile(r"(?:index \[([^\]]+)\] )?blocked by: \[\w+/(\d+)/")
_CLOSED: Final = re.compile(r"\Aindex_closed_exception\b")
_NO_PIPELINE: Final = re.compile(
    r"(?:illegal_argument_exception: )?pipeline with id \[[^\]]*\] does not exist\Z"
)
"""Matches from the first character to the last: text of users in between may say the same."""
_NO_COPIES: Final = re.compile(
    r"\Aunavailable_shards_exception: \[([^\]]+)\]\[\d+\] Not enough active copies "
)
_TOO_LARGE: Final = re.compile(
    r"rejected execution of (?:coordinating|primary) operation \[.*"
    r"\b(?:coordinating|primary)_operation_bytes=([0-9]{1,19}), max_\w+_bytes=([0-9]{1,19})\]"
)
_LIFTS: Final = {
    "4": "POST /{index}/_open",
    "5": 'PUT /{index}/_settings {{"index.blocks.read_only": null}}',
    "6": 'PUT /_cluster/settings {{"persistent": {{"cluster.blocks.read_only": null}}}}',
    "7": 'PUT /{index}/_settings {{"index.blocks.read": null}}',
    "8": 'PUT /{index}/_settings {{"index.blocks.write": null}}',
    "9": 'PUT /{index}/_settings {{"index.blocks.metadata": null}}',
    "12": "free disk space (the server lifts it then, or after "
    'PUT /{index}/_settings {{"index.blocks.read_only_allow_delete": null}})',
    "copies": "as many copies as index.write.wait_for_active_shards asks for, or "
    'PUT /{index}/_settings {{"index.write.wait_for_active_shards": null}}',
    "pipeline": 'PUT /{index}/_settings {{"index.default_pipeline": null, '
    '"index.final_pipeline": null}}, or make the pipeline',
    "13": 'PUT /_cluster/settings {{"persistent": {{"cluster.blocks.read_only_allow_delete": '
    "null}}}}",
}
"""What lifts a block, by its number, which all servers share. An operator has set the block, so
lifting it is an operator's decision."""


def mend_of(reason: str, index: str = "INDEX") -> str:
    """The command that allows to write where an operator has forbidden it; empty: nobody has.

    `index` stands in the command where the reason names none.
    """
    found = _BLOCK.search(reason)
    if found:
        lifts = _LIFTS.get(found[2])
    elif _CLOSED.match(reason):
        lifts = _LIFTS["4"]
    elif (found := _NO_COPIES.match(reason)) is not None:
        lifts = _LIFTS["copies"]
    else:
        lifts = _LIFTS["pipeline"] if names_missing_pipeline(reason) else None
    return "" if lifts is None else lifts.format(index=(found and found[1]) or index)


def names_missing_pipeline(reason: str) -> bool:
    """Whether the index names an ingest pipeline that does not exist."""
    return _NO_PIPELINE.match(reason) is not None


def never_fits(reason: str) -> bool:
    """Whether a server has no room for a request of this size, however idle it is."""
    found = _TOO_LARGE.search(reason)
    return found is not None and int(found[1]) > int(found[2])
