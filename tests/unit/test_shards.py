"""What shows that an index went back, and what is settled then: decided without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

from listener.resync.lookout import Seen, marked
from listener.search.shards import IndexChange, Shard, change, from_stats, parse, read
from listener.state.model import Mark

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
SHARD = Shard("h", "p", 10, 12)


@pytest.mark.parametrize(
    ("now", "back", "restarted"),
    [
        (SHARD, False, False),
        (Shard("h", "p", 20, 30), False, False),
        (Shard("h", "p", 3, 10), False, False),  # a replica that is slow, or took over
        (Shard("other", "p", 10, 12), True, False),
        (Shard("h", "p", 9, 9), True, False),
        (Shard("h", "", 10, 12), False, False),
        (Shard("h", "q", 10, 12), False, True),
        (Shard("h", "q", 9, 9), True, False),
    ],
)
def test_what_became_of_a_shard(now: Shard, back: bool, restarted: bool) -> None:
    """Another history, or fewer operations than were certain: back. Another process: perhaps."""
    found = change({"0": SHARD.note()}, {"0": now})
    assert (found.back is not None, found.restarted) == (back, restarted)


def test_shards_that_are_not_there() -> None:
    """Unknown is not changed, and what was never noted is not, either; one of several counts."""
    notes = {"0": SHARD.note(), "1": SHARD.note()}
    assert change(notes, {}) == IndexChange()
    assert change({}, {"0": SHARD}) == IndexChange()
    assert change(notes, {"0": SHARD, "1": Shard("x", "p", 10, 12)}).back is not None
    for note in ("odd", "h p --5", "h p " + "9" * 5000, "h p \u0663", "h p 1 2", ""):
        assert parse(note) == ("", "", -1)


def test_names_go_into_a_path_as_they_are() -> None:
    """Whatever they hold; in several requests where one line would be too long for a server."""
    paths: list[str] = []

    def ask(_method: str, path: str, **_: object) -> Any:
        paths.append(path)
        return SimpleNamespace(body={})

    empty = SimpleNamespace(meta=SimpleNamespace(status=200), body={})
    cluster = SimpleNamespace(cluster=SimpleNamespace(state=lambda **_: empty))
    client: Any = SimpleNamespace(perform_request=ask, options=lambda **_: cluster)
    names = {"a", "b/_doc/..", "c?d", "*"} | {f"films-{number:0240}" for number in range(40)}
    assert read(client, names) == {}
    assert paths[0].startswith("/%2A,a,b%2F_doc%2F..,c%3Fd,films-0")
    assert max(map(len, paths)) < 3000
    told = ",".join(path.removeprefix("/").removesuffix("/_stats/docs") for path in paths)
    assert sorted(unquote(one) for one in told.split(",")) == sorted(names)


def test_nothing_newer_is_settled_while_a_shard_is_away() -> None:
    """It may come back as it was at the last look that saw it."""
    before = Mark(shards={"0": SHARD.note(), "1": SHARD.note()}, mapping="m", settled=None)
    one = marked(before, Seen({"0": SHARD}, IndexChange()), MOMENT, None)
    assert (one.settled, one.shards, one.mapping) == (None, before.shards, "m")
    whole = marked(before, Seen({"0": SHARD, "1": SHARD}, IndexChange()), MOMENT, None)
    assert whole.settled == MOMENT
    assert marked(None, Seen({}, IndexChange()), MOMENT, "m").settled is None


def test_only_primaries_at_work_are_read() -> None:
    """A replica, a shard that recovers and one without a commit tell nothing."""

    def copy(state: str, history: str | None, *, primary: bool) -> dict[str, object]:
        return {
            "routing": {"state": state, "primary": primary, "node": "n"},
            "commit": {"user_data": {"history_uuid": history} if history else {}},
            "seq_no": {"max_seq_no": 12, "global_checkpoint": 10},
        }

    copies = [
        copy("STARTED", "replica", primary=False),
        copy("INITIALIZING", "moves", primary=True),
        copy("STARTED", None, primary=True),
        copy("RELOCATING", "h", primary=True),
    ]
    stats = {"indices": {"a": {"shards": {"0": copies, "1": copies[:3]}}}}
    assert from_stats(stats, {"n": {"ephemeral_id": "p"}}) == {"a": {"0": SHARD}}
    assert from_stats({}, {}) == {}
