"""What one pipeline keeps in step, and how far back its sweeps reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from listener.changes import Watch
from listener.documents.kinds import Kind


@dataclass(frozen=True, slots=True)
class Scope:
    """One pipeline, as its configuration and its database define it.

    `pipeline`: its name. `schema`: of listener's own tables. `watches`: of all watched tables.
    `kinds`: those of the files as they are, one for each entry of `documents`, in the order of
    their numbers. `overlap`: how far a sweep reaches back behind the watermark. `others`: the other
    kinds. `unfit`: as of Assembly. `keep_former`: seconds that a former index is kept.
    """

    pipeline: str
    schema: str
    watches: Sequence[Watch]
    kinds: Sequence[Kind]
    overlap: timedelta
    others: Sequence[Kind] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)
    keep_former: float = 0

    def kind_of(self, index: str, digest: str | None) -> Kind | None:
        """A kind by which indexes of this alias are fed that this definition has made."""
        for kind in (*self.kinds, *self.others):
            if kind.index == index and kind.hash == digest:
                return kind
        return None
