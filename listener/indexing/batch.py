"""A batch: ids of one document kind on their way, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from listener.changes import Key
from listener.indexing.queue import Jobs
from listener.search.bulk import Document
from listener.search.verdicts import Verdict
from listener.search.write_aliases import Role, Target


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the pipeline, from the configuration.

    `documents` and `bytes`: of one bulk request. `pending`: keys that notifications may leave
    waiting. `parked`: documents of one index that may be parked before it is held.
    """

    documents: int
    bytes: int
    pending: int
    parked: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What makes a batch a trial: is it the suspects' own fault that they were refused?

    `witness`: another document that is known to be good. None: there is none, and `sole` says
    whether that is for want of any other document that could be one.
    """

    witness: Key | None
    sole: bool = False


@dataclass(slots=True)
class Batch:
    """`items`: the ids, each with the jobs that wait for it. `kind`: number of the document kind.

    `read_at`: of the monotonic clock.
    """

    kind: int
    items: dict[Key, Jobs]
    target: Target
    version: int
    read_at: float = field(default_factory=time.monotonic)
    documents: Sequence[Document] = ()
    refresh: bool = False
    trial: Trial | None = None

    @property
    def live(self) -> bool:
        """Whether it goes to the index in use, which people search."""
        return self.target.role is Role.IN_USE


class Brake(StrEnum):
    """Why refusals of documents are not the documents' fault. It is told before the last one's
    reason."""

    TOO_MANY = "too many documents are refused"
    ALL_REFUSED = "documents are refused that the index should take"
    """A witness was refused, too."""


@dataclass(slots=True)
class Settled:
    """What became of one request.

    `worst`: the verdict that speaks for the server; None: nothing is wrong with it. `brake`: why
    its kind is held for what is refused; None: it is not. `doubted`: some documents are suspects
    now. `last`: nothing else of its kind waits or is in flight. `whole`: as of Sent.
    """

    written: int = 0
    deleted: int = 0
    retried: int = 0
    worst: Verdict | None = None
    fenced: bool = False
    brake: Brake | None = None
    doubted: bool = False
    last: bool = False
    whole: bool = False
