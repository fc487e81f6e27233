"""Changes: which rows changed, as keys; the payloads that carry them. Pure values, no I/O.

A *watch* is one watched table with one list of key columns. A *change* names the watch and keys;
it never carries content, because documents are always read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from listener import ListenerError

Key = tuple[str, ...]
"""The text of each key column's value, in the order of the configured key."""

PAYLOAD_VERSION: Final = 1
MAX_ID_BYTES: Final = 512
"""Elasticsearch refuses the *whole* bulk for one longer `_id` (seen on 7.17, 8.19 and 9.2)."""

KeyType = Literal["smallint", "integer", "bigint", "uuid", "text", "varchar"]
KEY_TYPES: Final[dict[str, KeyType]] = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "uuid": "uuid",
    "text": "text",
    "character varying": "varchar",
}
"""`format_type` without modifier -> key type. Others are refused: the text of dates, floats and
bytea depends on the session that writes it; char(n), citext, enums and domains compare differently
in PostgreSQL and in Elasticsearch."""

_INTEGER_BITS: Final = {"smallint": 16, "integer": 32, "bigint": 64}
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_UUIDS: Final = re.compile(
    r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:\n|\Z))*", re.ASCII
)
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.ASCII
)


Notify = Literal["rows", "doorbell", "off"]
"""How writers of a watched table tell of changes: the words of the configuration. What follows from
each is a property of Watch."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One watched table with one list of key columns, merged over all documents that name it.

    `columns` None means any column; `updated_at` None means polled by the journal. What `notify`
    means: `sends_keys`, `rings`, `notifies` and `polled_each_tick`.
    """

    schema: str
    table: str
    key: tuple[str, ...]
    updated_at: str | None = None
    columns: tuple[str, ...] | None = None
    notify: Notify = "rows"

    @property
    def sends_keys(self) -> bool:
        """Whether a NOTIFY carries the keys of changed rows, so that no poll is needed for them."""
        return self.notify == "rows"

    @property
    def rings(self) -> bool:
        """Whether a NOTIFY only says that something changed, and a poll finds out what."""
        return self.notify == "doorbell"

    @property
    def notifies(self) -> bool:
        """Whether writers send a NOTIFY at all."""
        return self.notify != "off"

    @property
    def polled_each_tick(self) -> bool:
        """Whether its changes are found by polling alone."""
        return not self.sends_keys

    @property
    def id(self) -> str:
        """Stable name, `schema.table(key,key)`: what payloads and journal rows call the watch."""
        return f"{self.schema}.{self.table}({','.join(self.key)})"


class Route(NamedTuple):
    """Where the keys of a watch lead: to the document kind of this number, as its ids or through a
    mapping file."""

    kind: int
    mapped: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Keys of one watch that changed; `kind` says whether the keys are all that is to be done.

    - `keys`: the rows behind these keys changed.
    - `sweep`: too many or too large keys for a payload; poll the table.
    - `reconcile`: changes of this watch may be lost (TRUNCATE, a trigger that could not read its
      columns): compare everything.
    """

    watch: str
    kind: Literal["keys", "sweep", "reconcile"]
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class BarrierPayload:
    """A notification of our own that came back: everything queued before it has been received."""

    nonce: str


class PayloadError(ListenerError, ValueError):
    """A payload that is not ours, or not of this version."""


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name twice")
    return members


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_once_each)
"""Python by itself takes the last of two equal names."""


def decode_payload(payload: str) -> Change | BarrierPayload:
    """Read the payload of one notification.

    A payload is untrusted: anyone who may connect can NOTIFY. What comes out is only ever used to
    re-read rows by key. Raises PayloadError with the reason, without repeating the payload.
    """
    try:
        value = _STRICT.decode(payload)
    except (ValueError, RecursionError) as error:
        raise PayloadError("not JSON") from error
    if not isinstance(value, dict):
        raise PayloadError("not a JSON object")
    version = value.get("v")
    if type(version) is not int or version != PAYLOAD_VERSION:  # neither true nor 1.0 is ours
        raise PayloadError("another version of the format")
    match value:
        case {"v": _, "barrier": str(nonce), **rest} if not rest and len(nonce) <= 64:
            return BarrierPayload(nonce)
        case {"v": _, "w": str(watch), "sweep": True, **rest} if not rest:
            return Change(watch, "sweep")
        case {"v": _, "w": str(watch), "reconcile": True, **rest} if not rest:
            return Change(watch, "reconcile")
        case {"v": _, "w": str(watch), "k": list(keys), **rest} if not rest:
            return Change(watch, "keys", decode_keys(keys))
    raise PayloadError("unknown fields")


def decode_keys(keys: list[object]) -> tuple[Key, ...]:
    """Read the `k` of a payload or of a journal row: strings, or lists of strings (composite).

    Raises PayloadError where a key is of another shape.
    """
    decoded: list[Key] = []
    for key in keys:
        parts = [key] if isinstance(key, str) else key
        if not isinstance(parts, list) or not parts:
            raise PayloadError("a key is no string and no list of strings")
        texts = tuple(part for part in parts if isinstance(part, str))
        if len(texts) != len(parts):
            raise PayloadError("a part of a key is no string")
        decoded.append(texts)
    return tuple(decoded)


def canonical_key(key: Sequence[str], types: Sequence[KeyType]) -> Key:
    """The key as PostgreSQL prints it. Raises PayloadError where a part is not of its type."""
    if len(key) != len(types):
        raise PayloadError(f"a key of {len(key)} parts where {len(types)} are expected")
    return tuple(_canonical_part(part, kind) for part, kind in zip(key, types, strict=True))


def canonical_keys(keys: Sequence[Sequence[str]], types: Sequence[KeyType]) -> list[Key]:
    """The same for many keys; quick where they are what PostgreSQL has printed."""
    if list(types) == ["uuid"]:
        try:
            parts = [part for (part,) in keys]
        except ValueError:
            return [canonical_key(key, types) for key in keys]
        text = "\n".join(parts)  # as many lines as parts: none of them holds a line break
        if len(text) == 37 * len(parts) - 1 and _UUIDS.fullmatch(text):
            return [(part,) for part in parts]
    return [canonical_key(key, types) for key in keys]


def _canonical_part(text: str, kind: KeyType) -> str:
    bits = _INTEGER_BITS.get(kind)
    if bits is not None:
        if not _INTEGER.match(text):
            raise PayloadError(f"a part of a key is no {kind}")
        number = int(text)
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise PayloadError(f"a part of a key is out of range for {kind}")
        return str(number)
    if kind == "uuid":
        small = text.lower()
        if not _UUID.match(small):
            raise PayloadError("a part of a key is no uuid")
        return small
    if "\0" in text:
        raise PayloadError("a part of a key has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PayloadError("a part of a key has a lone surrogate") from error
    return text


def document_id(key: Key, types: Sequence[KeyType]) -> str:
    """The `_id` of a key: its text; of a composite key the JSON array of its parts.

    The array is spelled as PostgreSQL's `json_build_array(...)::text` spells it, numbers as
    numbers, so that a query can return it as it is. Injective for one list of types.
    """
    if len(key) == 1:
        return key[0]
    parts = [
        int(part) if kind in _INTEGER_BITS else part for part, kind in zip(key, types, strict=True)
    ]
    return json.dumps(parts, ensure_ascii=False)


def key_of_id(text: str, types: Sequence[KeyType]) -> Key:
    """The key of a document id that SQL returned. Raises PayloadError where it is none."""
    if len(types) == 1:
        return canonical_key((text,), types)
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PayloadError("the id of a composite key is no JSON array") from error
    if not isinstance(parts, list) or not all(
        isinstance(part, str | int) and not isinstance(part, bool) for part in parts
    ):
        raise PayloadError("the id of a composite key is no JSON array of strings and numbers")
    return canonical_key([str(part) for part in parts], types)


def sendable(doc_id: str) -> bool:
    """Whether Elasticsearch takes this `_id`: not empty, at most 512 bytes."""
    return 0 < len(doc_id) <= MAX_ID_BYTES // 4 or 0 < len(doc_id.encode()) <= MAX_ID_BYTES


def merge_watches(watches: Iterable[Watch]) -> tuple[Watch, ...]:
    """One watch for each table and key, whatever number of documents name it.

    `columns` are united (no list on one side means any column). `notify` and `updated_at` of one
    table are the same everywhere: the configuration was refused otherwise.
    """
    merged: dict[str, Watch] = {}
    for watch in watches:
        seen = merged.get(watch.id)
        if seen is None:
            merged[watch.id] = watch
        elif seen.columns is not None:
            columns = (
                None
                if watch.columns is None
                else tuple(dict.fromkeys((*seen.columns, *watch.columns)))
            )
            merged[watch.id] = Watch(
                watch.schema, watch.table, watch.key, watch.updated_at, columns, watch.notify
            )
    return tuple(merged.values())
