"""The control document: one a pipeline, in an index of its own; it holds the fencing token.

The *generation* only ever rises, by compare-and-set. The daemon that raised it last owns the write
aliases.

Other programs and other releases may write there, too. What the document holds is read with
tolerance: damage counts as loss, is told, and is written over. What keeps the daemon from reading
or writing the index at all raises search.Unusable, with what mends it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from listener.search import (
    AS_SENT,
    BadRequest,
    Client,
    Conflict,
    NotFound,
    Refused,
    Unreadable,
    Unusable,
    exact_json,
    explain,
    is_passing,
)
from listener.search.versions import GENERATIONS
from listener.state.model import State, from_json

_PATIENCE: Final = "5s"
"""How long the server looks for a copy to write to. Must expire before the client's timeout: a
refusal proves that nothing was written, a client's timeout proves nothing."""
_DEEPEST: Final = 100
"""Levels. listener writes a handful. A document that is nested deeper is another program's, and the
reader or writer of JSON may give up on it."""
_FAR_ABOVE: Final = 1_000_000
"""Each session takes one generation, and its write aliases bear it. A number that is so far above
theirs was not raised by a daemon; believed, it would leave none for the next sessions."""
_MADE_ANEW: Final = (
    "listener makes it anew when it is gone, and takes all from state.yaml: DELETE /{index}"
)


@dataclass(frozen=True, slots=True)
class Control:
    """The document as it was read, with what a compare-and-set needs.

    `generation` 0: there is none, or none that is one. `state` None: there is none yet, or it
    cannot be read. `damage` says what could not be read, None: nothing.
    """

    generation: int
    content: Mapping[str, Any]
    seq_no: int | None
    primary_term: int | None
    state: State | None = None
    damage: str | None = None


class ControlDocument:
    """Reads and changes the control document. Errors of the client pass through.

    Thread-safe: one thread at a time changes it, or the threads of one daemon would take each other
    for another daemon.
    """

    def __init__(self, client: Client, index: str, pipeline: str) -> None:
        self._client = client
        self._index = index
        self._pipeline = pipeline
        self._lock = threading.Lock()
        self._taken = 0
        """The generation that was taken last, here."""
        self.newest: int | None = None
        """The highest sequence number that was written or accepted: the document never goes below
        it, unless Elasticsearch went back."""

    def accept(self, seen: Control) -> None:
        """Go on from this document, whatever was there before: what it tells is written down."""
        self.newest = seen.seq_no

    def _went_back(self, seen: Control) -> bool:
        return self.newest is not None and (seen.seq_no is None or seen.seq_no < self.newest)

    def prepare(self) -> None:
        """Make the index where it is missing. Raises Unusable where its name is an alias."""
        try:
            with self._mendable():
                self._client.indices.create(
                    index=self._index,
                    settings={"number_of_shards": 1, "auto_expand_replicas": "0-1"},
                    mappings={"dynamic": False},
                )
        except BadRequest as error:
            if error.error != "resource_already_exists_exception":
                raise

    def read(self) -> Control:
        """The document; generation 0 where there is none yet, or none that can be used."""
        path = f"/{quote(self._index, safe='')}/_doc/{quote(self._pipeline, safe='')}"
        try:
            with self._mendable():
                text = self._client.perform_request("GET", path, headers={"accept": AS_SENT}).body
                answer = _answer(text)
                if answer is None:
                    place = self._client.get(index=self._index, id=self._pipeline, source=False)
                    seq_no, primary_term = place["_seq_no"], place["_primary_term"]
                    damage: str | None = (
                        "it is nested too deep, or holds a number too long, to be read"
                    )
                    return Control(0, {}, seq_no, primary_term, None, damage)
        except NotFound:
            return Control(0, {}, None, None)
        content = answer.get("_source")
        if not isinstance(content, Mapping):
            raise Unusable(self._told("it keeps no _source, so that nothing can be read there"))
        generation = content.get("generation")
        damage = None
        if type(generation) is not int or not 0 < generation < GENERATIONS:
            generation, damage = 0, "it has no valid generation"
        found: State | None = None
        fields = {key: value for key, value in content.items() if key != "generation"}
        if fields:
            try:
                found = from_json(fields)
            except ValueError as error:
                damage = str(error)
        return Control(
            generation, content, answer["_seq_no"], answer["_primary_term"], found, damage
        )

    def raise_generation(self, above: int = 0) -> Control:
        """Take the next generation, above every one before. Returns the document as written, with
        what was damaged in it.

        `above`: the highest one that anything else bears, write aliases above all.
        Raises Conflict where another process was faster: read again, try again;
        Unreadable where the document went back: what it tells must not be written over.
        """
        with self._lock:
            return self._raise_generation(above)

    def _raise_generation(self, above: int) -> Control:
        seen = self.read()
        if self._went_back(seen):
            raise Unreadable("the control document went back, or is gone")
        damage = None
        if seen.generation > above + _FAR_ABOVE:
            damage = f"its generation {seen.generation} is far above the aliases' {above}"
            seen = replace(seen, generation=0)
        generation = max(seen.generation, above) + 1
        if generation >= GENERATIONS:
            raise Unusable(
                f"no generation is left above {above}, which a write alias bears. So many sessions "
                "there never were: stop all daemons, remove the aliases that end in that number, "
                f"DELETE /{self._index}, and run `listener load`, for documents may bear it, too"
            )
        written = self._write(seen, {**_kept(seen), "generation": generation}, generation)
        now = self.read()
        if now.seq_no == written.seq_no and now.generation != generation:
            raise Unusable(self._told("what is written there is not what can be read afterwards"))
        self._taken = generation
        return replace(written, damage=damage)

    def succeed(self, generation: int) -> Control | None:
        """Take the generation after this one, if it is in force. None: it is not."""
        with self._lock:
            seen = self.read()
            passed = generation + 1 >= GENERATIONS
            if seen.generation != generation or passed or self._went_back(seen):
                return None
            content = {**_kept(seen), "generation": generation + 1}
            try:
                written = self._write(seen, content, generation + 1)
            except Conflict:
                return None
            self._taken = written.generation
            return written

    def save(self, generation: int, content: Mapping[str, Any]) -> bool:
        """Save watermark and identity beside the generation, or beside the next one where another
        thread has just taken that.

        False where another generation is in force, or the document went back: the next session
        looks into that, and writes then.
        """
        with self._lock:
            seen = self.read()
            next_one = seen.generation == self._taken == generation + 1
            if not (seen.generation == generation or next_one) or self._went_back(seen):
                return False
            try:
                self._write(seen, {**content, "generation": seen.generation}, seen.generation)
            except Conflict:
                return False
            return True

    def _write(self, seen: Control, content: Mapping[str, Any], generation: int) -> Control:
        with self._mendable():
            answer = self._client.index(
                index=self._index,
                id=self._pipeline,
                document=dict(content),
                op_type="create" if seen.seq_no is None else None,
                if_seq_no=seen.seq_no,
                if_primary_term=seen.primary_term,
                timeout=_PATIENCE,
            ).body
        if answer.get("result") not in ("created", "updated"):  # a pipeline may drop it
            raise Unusable(self._told("the server did not keep what was written there"))
        self.newest = answer["_seq_no"]
        return Control(generation, content, answer["_seq_no"], answer["_primary_term"])

    @contextlib.contextmanager
    def _mendable(self) -> Iterator[None]:
        """What refuses this index alone, and no other request, is told with what mends it.

        Conflicts, and what is missing, pass through: they are answers.
        """
        try:
            yield
        except (Conflict, NotFound):
            raise
        except Refused as error:
            answer, mend = explain(error)
            exists = error.error == "resource_already_exists_exception"
            if exists or is_passing(error) or error.status_code == 401:
                raise
            if "exists as alias" in answer or "more than one ind" in answer:
                raise Unusable(
                    f"the control index {self._index}: {answer}. Its name must be free",
                    "remove the alias, or give elasticsearch.control_index another name",
                ) from error
            typed = isinstance(error.body, Mapping) and isinstance(error.body.get("error"), Mapping)
            # it says itself what lifts it, or may not speak of this index at all
            if error.status_code != 400 or mend or not typed:
                raise Unusable(f"the control index {self._index}: {answer}", mend) from error
            raise Unusable(self._told(answer)) from error

    def _told(self, what: str) -> str:
        made = _MADE_ANEW.format(index=self._index)
        return f"the control index {self._index}: {what}. It is not as listener made it; {made}"


def _answer(text: bytes) -> Mapping[str, Any] | None:
    """What the server answers; None: it is nested too deep, or holds a number of thousands of
    digits, which older servers take."""
    if exact_json.depth(text) > _DEEPEST:
        return None
    try:
        answer: Mapping[str, Any] = json.loads(text)
    except ValueError:
        return None
    return answer


def _kept(seen: Control) -> dict[str, Any]:
    """What stays where the generation alone is raised: what we know. Of a damaged one nothing does;
    where it could be read it stands in our state, too."""
    if seen.state is None or seen.damage is not None:
        return {}
    return seen.state.model_dump(mode="json")
