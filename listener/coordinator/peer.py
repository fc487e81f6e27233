"""The peer: the active daemon, as one that stands by sees it.

The lock is of a pipeline's schema in the database. So a daemon with a copied configuration stands
by for another one, also where its documents go elsewhere. It would take over and leave the other's
indexes as they are, without a word.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import Final

from listener import search
from listener.state.control import ControlDocument
from listener.state.heartbeat import Matter
from listener.state.pulse import PATIENCE

_LOOK_EVERY: Final = 60.0
"""Seconds between two looks; and without one, after which standing by begins anew."""
_MEND: Final = (
    "give this configuration a pipeline and a postgres.schema of its own, or the same "
    "elasticsearch.urls, control_index and documents"
)


class Peer:
    """For the coordinator's thread alone. It is looked at only after PATIENCE: while a new release
    takes the place of the former one, the two may well differ.
    """

    def __init__(self, control: ControlDocument, pipeline: str, aliases: Iterable[str]) -> None:
        """`aliases`: of the documents that this daemon would feed."""
        self._control = control
        self._pipeline = pipeline
        self._aliases = frozenset(aliases)
        self._asked_at = self._since = -_LOOK_EVERY
        self._looked_at = 0.0
        self._found: Matter | None = None

    def differs(self) -> Matter | None:
        """What must be put right, if this one is no standby of the active daemon. Call it while it
        stands by. What Elasticsearch does not tell now leaves it as it was."""
        now = time.monotonic()
        if now - self._asked_at > _LOOK_EVERY:
            self._since, self._looked_at, self._found = now, now, None
        self._asked_at = now
        if now - self._since >= PATIENCE and now - self._looked_at >= _LOOK_EVERY:
            self._looked_at = now
            # it writes nothing while it stands by, so Elasticsearch need not be there
            with contextlib.suppress(*search.Error):
                self._found = self._look()
        return self._found

    def _look(self) -> Matter | None:
        seen = self._control.read()
        if seen.seq_no is None:
            what = (
                "writes to another Elasticsearch, or another control_index: nothing of it is here"
            )
        elif seen.state is None:
            return None  # it is damaged, which the active daemon tells
        else:
            fed = {*seen.state.identity.indexes, *(one.index for one in seen.state.loads)}
            others = sorted(fed - self._aliases)
            if not others:
                return None
            what = f"feeds {', '.join(others)}, which this configuration does not have"
        return Matter(reason=f"the active daemon of pipeline {self._pipeline} {what}", mend=_MEND)
