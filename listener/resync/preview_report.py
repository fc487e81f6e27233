"""The report of a preview: what would become of documents, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from listener.documents.causes import Cause, Causes
from listener.observations.printable import one_line, shown
from listener.resync.fields import Field, cut, plain

State = Literal["new", "changed", "gone", "refused", "unchanged", "absent"]
TOLD: Final[tuple[State, ...]] = ("new", "changed", "gone", "refused")
"""What counts as a difference, in the order in which it is told."""
EXAMPLES: Final = 5
_NAMES: Final = 1000
"""Fields that are told apart: a document may have its content as names."""
_FIELDS: Final = 20
"""Fields, and causes, that are told of each state."""


@dataclass(frozen=True, slots=True)
class Previewed:
    """One document as the files would make it.

    `document`: its value, None where the query returns none. `cause`: why it is refused. `reason`:
    why no row can have this id. `impossible`: none can, and the index has none under it. `parked`:
    whether it is parked now.
    """

    index: str
    id: str
    state: State
    document: Any = None
    fields: tuple[Field, ...] = ()
    cause: Cause | None = None
    reason: str = ""
    impossible: bool = False
    parked: bool = False

    @property
    def differs(self) -> bool:
        """Whether it counts as a difference."""
        return self.state in TOLD

    def lines(self) -> Iterator[str]:
        """For people."""
        held = self.cause is not None and self.cause.held
        yield f"{self.index} {shown(self.id)}: {_HELD if held else _STATES[self.state]}"
        if self.parked:
            yield "  it is parked now: `listener parked` says since when, and why"
        if self.reason:
            yield f"  {one_line(self.reason)}"
        if self.cause is not None:
            yield f"  {one_line(self.cause.reason)}{_value(self.cause)}"
            if self.cause.mend:
                yield f"  mend: {one_line(self.cause.mend)}"
        for one in self.fields:
            yield f"  {one.line()}"
        if self.document is not None:
            text = json.dumps(plain(self.document), ensure_ascii=False, indent=2)
            yield from (f"  {one_line(line)}" for line in text.splitlines())

    def json(self) -> dict[str, Any]:
        """For programs: one object, whose values are whole."""
        told: dict[str, Any] = {"index": self.index, "id": self.id, "state": self.state}
        told |= {"parked": self.parked, "reason": self.reason or None}
        if self.cause is not None:
            told |= _refusal(self.cause)
        told["document"] = plain(self.document)
        told["differences"] = [_as_json(one) for one in self.fields]
        return told


_STATES: Final[dict[State, str]] = {
    "new": "new: the index does not have it",
    "changed": "changed",
    "gone": "gone: the query does not return it, and the index has it",
    "refused": "refused: it would be put aside (parked)",
    "unchanged": "unchanged",
    "absent": "neither the query nor the index has it",
}


_HELD: Final = "refused: it would hold the daemon until a person has mended that"


@dataclass(slots=True)
class OneField:
    """How many documents differ in a field, and the first of them."""

    count: int
    id: str
    first: Field


@dataclass(slots=True)
class PreviewReport:
    """What became of all documents of one kind, or of a sample of them.

    `index`: the alias. `current`: the index behind it, None: there is none yet. `definition`:
    how settings and `mappings` of the files differ from those of the index in use. `other_files`:
    whether the next start loads a new index. `not_returned`: ids that the query does not return.
    `unsteady`: ids that it returns only when they are asked for alone.
    """

    index: str
    current: str | None
    sampled: bool = False
    definition: tuple[Field, ...] = ()
    other_files: bool = False
    looked_at: int = 0
    indexed: int = 0
    not_returned: int = 0
    tried: int = 0
    counts: Counter[State] = field(default_factory=Counter)
    examples: dict[State, list[str]] = field(default_factory=dict)
    causes: Causes = field(default_factory=Causes)
    fields: dict[str, OneField] = field(default_factory=dict)
    unsteady: list[str] = field(default_factory=list)

    def add(self, doc_id: str, state: State) -> None:
        """Count this one."""
        self.counts[state] += 1
        if state in TOLD:
            examples = self.examples.setdefault(state, [])
            if len(examples) < EXAMPLES:
                examples.append(doc_id)

    def add_fields(self, doc_id: str, fields: Iterable[Field]) -> None:
        """Count the fields in which a document differs, each once."""
        for name, one in {one.of_all: one for one in fields}.items():
            seen = self.fields.get(name)
            if seen is None and len(self.fields) < _NAMES:
                self.fields[name] = OneField(1, doc_id, one)
            elif seen is not None:
                seen.count += 1

    @property
    def differs(self) -> bool:
        """Whether anything would become another one: documents, the mapping, or the settings."""
        return any(self.counts[one] for one in TOLD) or bool(self.definition or self.unsteady)

    def lines(self) -> Iterator[str]:
        """For people."""
        what = "a sample of " if self.sampled else ""
        beside = f"{self.indexed} in {self.current}" if self.current else "no index yet"
        yield f"{self.index}: {what}{self.looked_at} ids of the database, {beside}"
        for state in TOLD:
            yield f"  {state}: {self.counts[state]}{self._named(state)}"
            if state == "changed":
                yield from self._fields()
            elif state == "refused":
                yield from self._causes()
        yield f"  unchanged: {self.counts['unchanged']}"
        if self.not_returned:
            yield f"  the query returns no document for {self.not_returned} ids"
        if self.unsteady:
            ids = ", ".join(map(shown, self.unsteady))
            yield (
                f"  the query returns {ids} only when asked for alone: it has a LIMIT, or its rows "
                "depend on each other. It must return a row for each of its ids"
            )
        if self.definition:
            yield f"  settings and mappings that are others than those of {self.current}:"
            yield from (f"    {one.line()}" for one in self.definition[:_FIELDS])
            if len(self.definition) > _FIELDS:
                yield f"    and {len(self.definition) - _FIELDS} more"
        if self.other_files:
            yield f"  {self.current} was made by other files: the next start loads a new index"

    def json(self) -> dict[str, Any]:
        """For programs: one object."""
        counts: dict[str, Any] = {state: self.counts[state] for state in (*TOLD, "unchanged")}
        return {
            "index": self.index,
            "current": self.current,
            "sampled": self.sampled,
            "looked_at": self.looked_at,
            "indexed": self.indexed,
            "not_returned": self.not_returned,
            "tried": self.tried,
            **counts,
            "examples": {state: self.examples.get(state, []) for state in TOLD},
            "fields": [
                {"field": name, "count": one.count, "id": one.id, **_as_json(one.first)}
                for name, one in self._frequent()
            ],
            "refusals": [
                {**_refusal(one), "count": one.count, "ids": one.ids} for one in self.causes.all()
            ],
            "unsteady": self.unsteady,
            "definition": [_as_json(one) for one in self.definition],
            "loads_anew": self.other_files,
        }

    def _named(self, state: State) -> str:
        ids = self.examples.get(state)
        if not ids:
            return ""
        more = ", …" if self.counts[state] > len(ids) else ""
        return f" ({', '.join(map(shown, ids))}{more})"

    def _frequent(self) -> list[tuple[str, OneField]]:
        return sorted(self.fields.items(), key=lambda one: -one[1].count)

    def _fields(self) -> Iterator[str]:
        told = self._frequent()
        for name, one in told[:_FIELDS]:
            of_all = one_line(name or "the whole document")
            yield f"    {of_all}: {one.count}; {shown(one.id)}: {one.first.line()}"
        if len(told) > _FIELDS:
            yield f"    and {len(told) - _FIELDS} more fields"

    def _causes(self) -> Iterator[str]:
        told = self.causes.all()
        for one in told[:_FIELDS]:
            held = "held, not parked: " if one.held else ""
            more = ", …" if one.count > len(one.ids) else ""
            ids = f"{', '.join(map(shown, one.ids))}{more}"
            yield f"    {one.count}: {held}{one_line(one.reason)}{_value(one)} ({ids})"
            if one.mend:
                yield f"      mend: {one_line(one.mend)}"
        if len(told) > _FIELDS:
            yield f"    and {len(told) - _FIELDS} more reasons"


def _value(cause: Cause) -> str:
    return f", value {cut(cause.example)}" if cause.has_example else ""


def _refusal(cause: Cause) -> dict[str, Any]:
    """Why documents are refused, for programs: the same of one as of all."""
    told = {"reason": cause.reason, "held": cause.held, "mend": cause.mend or None}
    return told | ({"value": plain(cause.example)} if cause.has_example else {})


def _as_json(one: Field) -> dict[str, Any]:
    told: dict[str, Any] = {"path": one.path, "change": one.sort}
    if one.sort != "added":
        told["before"] = plain(one.before)
    if one.sort != "removed":
        told["after"] = plain(one.after)
    return told
