"""What is under way for one entry of `documents`, and what is wanted of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from listener.capture.watermark import Draw
from listener.documents.kinds import Kind
from listener.failures import Failure
from listener.state.model import Load


@dataclass(frozen=True, slots=True)
class Wanted:
    """Why documents must be compared. `unguarded`: any number of them may be deleted. `asked`: a
    person asked for it. `anew`: they are loaded into a new index instead. `waiting`: or the load
    into this one, which waits for a person's word, is brought to its end. `emptied`: a TRUNCATE is
    among the reasons: whatever query made an index, it may have lost any number. `missed`: changes
    may have been missed, also by a load under way.
    """

    reason: str
    unguarded: bool
    asked: bool = False
    anew: bool = False
    waiting: str | None = None
    emptied: bool = False
    missed: bool = True


ENDED: Final = Wanted("once more when the transactions have ended that were open", unguarded=False)
"""Follows what began while changes that were not recorded might yet be committed."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """A comparison under way.

    `blind`: it is for changes that were not recorded, some of which may be committed later.
    """

    started_at: datetime
    unguarded: bool
    blind: bool = False


@dataclass(slots=True)
class KindState:
    """What is under way for one entry of `documents`, and what the last one left.

    - `kind`: of the files as they are, by which an index is loaded.
    - `covered`: when the last load or comparison began, if that start is proven.
    - `later`: a comparison that follows the one under way; or the load, where that one waits for
      a person.
    - `open`: the next comparison waits until the transactions have ended that were open at this
      draw.
    - `blind`: the load is for changes that were not recorded, too. `owed`: it began while such
      changes might yet be committed, so a comparison follows.
    - `guarded`: a comparison, or a load in its place, would have removed too many documents, and
      did not. `held`: it is a load that was not made, and waits for a person's word.
    - `refusal`: the load is complete and is not swapped in, for this reason. It is fed, and waits
      for a person's word. `accepted`: that word was given: its index may lose any number. `once`:
      it is for this index, and for none that is loaded in its place.
    """

    kind: Kind
    load: Load | None = None
    comparing: Comparing | None = None
    covered: datetime | None = None
    later: Wanted | None = None
    open: Draw | None = None
    blind: bool = False
    owed: bool = False
    guarded: bool = False
    held: bool = False
    refusal: Failure | None = None
    accepted: bool = False
    once: bool = False

    @property
    def at_work(self) -> bool:
        """Whether there is something to do for a load or a comparison."""
        return self.comparing is not None or (self.load is not None and self.refusal is None)

    @property
    def idle(self) -> bool:
        """Whether neither a load nor a comparison is under way."""
        return self.load is None and self.comparing is None
