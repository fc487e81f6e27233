"""The lookout: whether the indexes are still what they were at the last look at their shards.

A look costs two requests. One is taken when a session begins, at each audit, and when a load or
comparison is complete. Between two looks Elasticsearch may have gone back. That must be found
before the shards are noted anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from listener.search import shards
from listener.search.existing import Existing
from listener.search.indexes import Indexes
from listener.search.shards import IndexChange, Shard
from listener.state.model import Identity, Load, Mark
from listener.state.store import Keeper


@dataclass(frozen=True, slots=True)
class Seen:
    """One index at this look: its primary shards, and how they changed since the look before."""

    shards: Mapping[str, Shard]
    change: IndexChange


class Lookout:
    """Compares the shards of indexes with the marks that the keeper has of them.

    `names` are those of indexes, not of aliases. Errors of the client pass through.
    """

    def __init__(self, indexes: Indexes, keeper: Keeper) -> None:
        self._indexes = indexes
        self._keeper = keeper

    def look(self, names: Collection[str], marks: Mapping[str, Mark]) -> dict[str, Seen]:
        """What these indexes are now."""
        found = self._indexes.shards(names)
        return {
            name: Seen(
                found.get(name, {}),
                shards.change(marks[name].shards if name in marks else {}, found.get(name, {})),
            )
            for name in names
        }

    def begin(self, name: str, mapping: str) -> None:
        """Note what this new and empty index is."""
        seen = self.look([name], {})[name]
        self._keeper.mark(name, marked(None, seen, None, mapping))

    def settle(self, name: str, settled: datetime | None, load: Load | None = None) -> str | None:
        """A load or comparison of this index is complete: note what it is now.

        `settled`: every change stamped before this moment is in it; None: nothing is proven.
        Where the index went back meanwhile, or may have, that is returned in words, and nothing is
        noted.
        """
        marks = self._keeper.identity.marks
        seen = self.look([name], marks)[name]
        if seen.change.back is not None:
            return f"{name}: {seen.change.back}"
        if seen.change.restarted:
            return f"Elasticsearch was started anew, and may lack what {name} was sent last"
        before = marks.get(name)
        if not _whole(before or Mark(), seen):
            return f"not all shards of {name} are at work: what they hold is not certain"
        self._keeper.mark(name, marked(before, seen, settled, None, load))
        return None


def _whole(before: Mark, seen: Seen) -> bool:
    """Whether all shards that were noted are at work."""
    return set(before.shards) <= set(seen.shards) and bool(seen.shards)


def altered_index(found: Existing, known: Identity | None) -> str | None:
    """What is wrong with mapping or settings of an index, in words; None: nothing.

    They differ from what was noted, or they would lose or change a document.
    """
    if found.fault is not None:
        return f"{found.name}: {found.fault.what}"
    mark = known.marks.get(found.name) if known else None
    if mark is not None and mark.mapping and mark.mapping != found.mapping:
        return f"mapping or settings of {found.name} were altered"
    return None


def marked(
    before: Mark | None,
    seen: Seen,
    settled: datetime | None,
    mapping: str | None,
    load: Load | None = None,
) -> Mark:
    """The mark of an index after this look. `settled`: the watermark as it was before the look.

    A shard that is not at work keeps its former note, and the former `settled` counts: the shard
    may come back as it was then.
    """
    before = before or Mark()
    whole = _whole(before, seen)
    return Mark(
        shards={
            **before.shards,
            **{number: one.note(before.shards.get(number)) for number, one in seen.shards.items()},
        },
        mapping=before.mapping if mapping is None else mapping,
        settled=settled if whole else before.settled,
        after=load.after if load is not None and whole else before.after,
        documents=load.documents if load is not None and whole else before.documents,
    )
