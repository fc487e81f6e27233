"""Feeds: which index of an entry of `documents` is what to its alias, and which kind feeds it.

No I/O and no locks: the fence calls it while nothing is in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from listener.documents.kinds import Kind
from listener.documents.topology import Reassemble
from listener.search.write_aliases import Role, Target, write_alias


@dataclass(frozen=True, slots=True)
class Current:
    """The index in use of one entry of `documents`. `hash`: of the definition that it is fed by;
    None: none is known that the database can be read by, so it stands still."""

    name: str
    hash: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """An index, and the kind that it is fed by; None: it stands still."""

    index: str
    kind: Kind | None


@dataclass(slots=True)
class Feed:
    """The indexes of one entry of `documents`, by what they are to it.

    `alias`: the one that people search. `kinds`: of this entry; the first one is of the files as
    they are. Each feeds one index, or none.
    """

    alias: str
    kinds: Sequence[Kind]
    places: dict[Role, Place] = field(default_factory=dict)

    def index(self, role: Role) -> str | None:
        """The index in this role, if there is one."""
        place = self.places.get(role)
        return None if place is None else place.index

    def kind(self, role: Role) -> Kind | None:
        """The kind that feeds the index in this role, if one does."""
        place = self.places.get(role)
        return None if place is None else place.kind

    def used(self, current: Current | None) -> None:
        """This index is in use now, whatever it was before."""
        before = {place.index: place.kind for place in self.places.values()}
        in_use = self.places.pop(Role.IN_USE, None)
        if current is None:
            return
        for role in [role for role, one in self.places.items() if one.index == current.name]:
            del self.places[role]
        kind = before.get(current.name)
        if current.hash is None:
            kind = None
        elif kind is None or kind.hash != current.hash:
            kind = self.free(current.hash, in_use)
        self.places[Role.IN_USE] = Place(current.name, kind)

    def keep(self, former: Current | None) -> None:
        """This index is the former one, whatever was before; None: there is none."""
        before = self.places.pop(Role.KEPT, None)
        if former is None or former.hash is None:
            return
        kind = before.kind if before is not None and before.index == former.name else None
        if kind is None or kind.hash != former.hash:
            kind = self.free(former.hash, before)
        self.places[Role.KEPT] = Place(former.name, kind)

    def free(self, digest: str, before: Place | None) -> Kind:
        """A kind of this definition that feeds no index; that of `before`, where it is one. Raises
        Reassemble where there is none."""
        first = [before.kind] if before is not None and before.kind is not None else []
        used = {place.kind.number for place in self.places.values() if place.kind is not None}
        for kind in (*first, *self.kinds):
            if kind.hash == digest and kind.number not in used:
                return kind
        raise Reassemble(f"{self.alias}: one more index is fed by the same definition")

    def targets(self, generation: int) -> dict[int, Target]:
        """By the number of the kind, where it writes to in this generation."""
        return {
            place.kind.number: Target(write_alias(self.alias, generation, role), place.index, role)
            for role, place in self.places.items()
            if place.kind is not None
        }

    def write_aliases(
        self, generation: int, roles: Iterable[Role] = tuple(Role)
    ) -> dict[str, str | None]:
        """Where the write aliases of this generation are to lead; None: nowhere."""
        targets = {one.alias: one.index for one in self.targets(generation).values()}
        names = [write_alias(self.alias, generation, role) for role in roles]
        return {name: targets.get(name) for name in names}
