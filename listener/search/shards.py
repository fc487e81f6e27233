"""Shards: what proves that an index went back to what it was before, by a look at its primaries.

An index keeps its UUID whatever is put back into it. But a shard that is restored from a snapshot,
or made anew for want of a copy, begins another *history*, which has a UUID of its own. A data
folder that is put back brings the old history along: its operations are then fewer than were seen,
unless new ones have been added since; and the *process* that holds the shard was started anew for
it. So three things are noted at each look: history, process, and how many operations are in every
copy for certain.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from listener.search.client import Client
from listener.search.errors import NotElasticsearch

UNKNOWN: Final = ""
"""Instead of a process that the server does not name."""
_NOTE: Final = re.compile(r"(\S{1,255}) (\S{1,255}) (-?[0-9]{1,19})")
_LONGEST: Final = 2500
"""Characters of names that are asked for in one request: servers take a line of 4,096 bytes."""
_ASKED: Final = ",".join(
    f"indices.*.shards.*.{one}"
    for one in (
        "routing.primary",
        "routing.state",
        "routing.node",
        "commit.user_data.history_uuid",
        "seq_no",
    )
)


@dataclass(frozen=True, slots=True)
class Shard:
    """A primary at work. `history`: the UUID of its line of operations. `process`: the one that
    holds it, another after each start. `certain`: operations that every copy has kept; `reached`:
    the last one that it has seen.
    """

    history: str
    process: str
    certain: int
    reached: int

    def note(self, before: str | None = None) -> str:
        """What is written down of it. `before`: the former note, whose process counts where the
        server does not name it now: a start in between must not go unseen."""
        process = self.process or (parse(before)[1] if before is not None else UNKNOWN)
        return f"{self.history} {process or '-'} {self.certain}"


@dataclass(frozen=True, slots=True)
class IndexChange:
    """What became of an index since a look. `back`: why it is not what it was, None: it is.

    `restarted`: a process holds one of its shards that did not then; what was written since that
    look may be gone.
    """

    back: str | None = None
    restarted: bool = False


def read(client: Client, names: Collection[str]) -> dict[str, dict[str, Shard]]:
    """The primaries at work of these indexes, by the index's name and the shard's number.

    Errors of the client pass through.
    """
    if not names:
        return {}
    parts = [""]
    for name in sorted(names):
        quoted = quote(name, safe="")
        if len(parts[-1]) + len(quoted) > _LONGEST:
            parts.append("")
        parts[-1] += f",{quoted}" if parts[-1] else quoted
    stats = [
        client.perform_request(
            "GET",
            f"/{part}/_stats/docs",
            params={"level": "shards", "ignore_unavailable": "true", "filter_path": _ASKED},
            headers={"accept": "application/json"},
        ).body
        for part in parts
    ]
    nodes: Mapping[str, Any] = {}
    with contextlib.suppress(NotElasticsearch):  # a proxy may forbid what is no index
        state = client.options(ignore_status=(403, 404)).cluster.state(
            metric="nodes", filter_path="nodes.*.ephemeral_id"
        )
        nodes = state.body.get("nodes", {}) if state.meta.status == 200 else {}
    return {name: one for part in stats for name, one in from_stats(part, nodes).items()}


def change(notes: Mapping[str, str], found: Mapping[str, Shard]) -> IndexChange:
    """Compare what was noted with what is there. A shard that is not there now is unknown: it is
    looked at again when it is back."""
    restarted = False
    for number, shard in found.items():
        noted = notes.get(number)
        if noted is None:
            continue
        history, process, certain = parse(noted)
        if history != shard.history:
            return IndexChange(f"shard {number} was restored or made anew")
        if shard.reached < certain:
            return IndexChange(
                f"shard {number} has fewer operations than before ({shard.reached + 1} of "
                f"{certain + 1}): an older copy of it was put back"
            )
        if process != shard.process and UNKNOWN not in (process, shard.process):
            restarted = True
    return IndexChange(restarted=restarted)


def parse(note: str) -> tuple[str, str, int]:
    """History, process and certain operations; a note that is none is equal to no shard."""
    found = _NOTE.fullmatch(note)
    if found is None:
        return "", UNKNOWN, -1
    history, process, certain = found.groups()
    return history, UNKNOWN if process == "-" else process, int(certain)


def from_stats(stats: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, dict[str, Shard]]:
    """By index and shard number, the primaries that are at work.

    `stats`: the answer to `_stats?level=shards`. `nodes`: those of the cluster state.
    """
    found: dict[str, dict[str, Shard]] = {}
    for index, body in stats.get("indices", {}).items():
        for number, copies in body.get("shards", {}).items():
            for copy in copies:
                routing, seq_no = copy.get("routing", {}), copy.get("seq_no", {})
                history = copy.get("commit", {}).get("user_data", {}).get("history_uuid")
                if (
                    routing.get("primary")
                    and routing.get("state") in ("STARTED", "RELOCATING")
                    and history
                    and "max_seq_no" in seq_no
                ):
                    node = nodes.get(routing.get("node"), {})
                    found.setdefault(index, {})[number] = Shard(
                        history,
                        node.get("ephemeral_id", UNKNOWN),
                        seq_no.get("global_checkpoint", -1),
                        seq_no["max_seq_no"],
                    )
    return found
