"""What one pipeline keeps in step, and how far back its sweeps reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from listener.changes import Watch
from listener.documents.kinds import Kind


@dataclass(frozen=True, slots=True)
class Scope:
    """One pipeline, as its configuration and its database define it.

    `pipeline`: its name. `schema`: of listener's own tables. `watches`: of all watched tables.
    `kinds`: the document kinds, in the order of their numbers. `overlap`: how far a sweep reaches
    back behind the watermark.
    """

    pipeline: str
    schema: str
    watches: Sequence[Watch]
    kinds: Sequence[Kind]
    overlap: timedelta
