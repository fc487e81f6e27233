"""The control document: one a pipeline, in an index of its own; it holds the fencing token.

The *generation* only ever rises, by compare-and-set. Who raised it last owns the write aliases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import elasticsearch

from listener.elastic import Client, Unreadable
from listener.state import State

_PATIENCE: Final = "5s"
"""How long the server looks for a copy to write to: its refusal is an answer, a timeout of ours is
none."""


@dataclass(frozen=True, slots=True)
class Control:
    """The document as it was read, with what a compare-and-set needs."""

    generation: int
    content: Mapping[str, Any]
    seq_no: int | None
    primary_term: int | None

    @property
    def state(self) -> State | None:
        """The state that was saved beside the generation; None where there is none yet.

        Raises ValueError (pydantic's) where it is damaged.
        """
        fields = {key: value for key, value in self.content.items() if key != "generation"}
        if not fields:
            return None
        fields["last_processed"] = _moment(fields.get("last_processed"))
        loads = fields.get("loads") or []
        fields["loads"] = [{**one, "started_at": _moment(one.get("started_at"))} for one in loads]
        loaded = fields.get("loaded") or {}
        fields["loaded"] = {index: _moment(text) for index, text in loaded.items()}
        return State.model_validate(fields)


class ControlDocument:
    """Reads and changes the control document. Errors of the client pass through."""

    def __init__(self, client: Client, index: str, pipeline: str) -> None:
        self._client = client
        self._index = index
        self._pipeline = pipeline
        self.newest: int | None = None
        """The highest sequence number that was written or accepted: the document never goes below
        it, unless Elasticsearch went back."""

    def accept(self, seen: Control) -> None:
        """Go on from this document, whatever was there before: what it tells is written down."""
        self.newest = seen.seq_no

    def _went_back(self, seen: Control) -> bool:
        return self.newest is not None and (seen.seq_no is None or seen.seq_no < self.newest)

    def prepare(self) -> None:
        """Make the index where it is missing."""
        try:
            self._client.indices.create(
                index=self._index,
                settings={"number_of_shards": 1, "auto_expand_replicas": "0-1"},
                mappings={"dynamic": False},
            )
        except elasticsearch.BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise

    def read(self) -> Control:
        """The document; generation 0 where there is none yet. A damaged one raises ValueError."""
        try:
            answer = self._client.get(index=self._index, id=self._pipeline).body
        except elasticsearch.NotFoundError:
            return Control(0, {}, None, None)
        content = answer["_source"]
        generation = content.get("generation")
        if not isinstance(generation, int) or generation < 1:
            raise ValueError(
                f"the control document {self._index}/{self._pipeline} has no valid generation"
            )
        return Control(generation, content, answer["_seq_no"], answer["_primary_term"])

    def raise_generation(self, above: int = 0) -> Control:
        """Take the next generation, above every one before. Returns the document as written.

        Raises elasticsearch.ConflictError where another process was faster: read again, try again;
        Unreadable where the document went back: what it tells must not be written over.
        """
        seen = self.read()
        if self._went_back(seen):
            raise Unreadable("the control document went back, or is gone")
        generation = max(seen.generation, above) + 1
        content = {**seen.content, "generation": generation}
        return self._write(seen, content, generation)

    def succeed(self, generation: int) -> Control | None:
        """Take the generation after this one, if it is in force. None: it is not."""
        seen = self.read()
        if seen.generation != generation or self._went_back(seen):
            return None
        content = {**seen.content, "generation": generation + 1}
        try:
            return self._write(seen, content, generation + 1)
        except elasticsearch.ConflictError:
            return None

    def save(self, generation: int, content: Mapping[str, Any]) -> bool:
        """Save watermark and identity beside the generation.

        False where the generation is ours no longer, or the document went back: a session of ours
        looks into that, and writes then.
        """
        seen = self.read()
        if seen.generation != generation or self._went_back(seen):
            return False
        try:
            self._write(seen, {**content, "generation": generation}, generation)
        except elasticsearch.ConflictError:
            return False
        return True

    def _write(self, seen: Control, content: Mapping[str, Any], generation: int) -> Control:
        if seen.seq_no is None:
            answer = self._client.create(
                index=self._index,
                id=self._pipeline,
                document=dict(content),
                timeout=_PATIENCE,
            ).body
        else:
            answer = self._client.index(
                index=self._index,
                id=self._pipeline,
                document=dict(content),
                if_seq_no=seen.seq_no,
                if_primary_term=seen.primary_term,
                timeout=_PATIENCE,
            ).body
        self.newest = answer["_seq_no"]
        return Control(generation, content, answer["_seq_no"], answer["_primary_term"])


def _moment(text: Any) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text))
