"""Bulk requests: documents, and the bytes of a request's body. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from listener.changes import Key


class Document(NamedTuple):  # made by the ten thousand: a dataclass takes twice as long
    """A document to write: `body` is its JSON as PostgreSQL made it, None means delete it."""

    key: Key
    id: str
    body: bytes | None


def encode(documents: Sequence[Document], alias: str, version: int) -> bytes:
    """The body of one bulk that writes through this alias: the documents in their order.

    Raw line breaks inside a document (`json` columns keep them) become spaces: they can only
    stand between JSON tokens, and left in they would be read as action lines.
    """
    parts: list[bytes] = []
    index = b'{"index":{"_index":"%s","_id":' % alias.encode()
    delete = b'{"delete":{"_index":"%s","_id":' % alias.encode()
    tail = b',"version":%d,"version_type":"external_gte"}}\n' % version
    for document in documents:
        ident = encode_basestring_ascii(document.id).encode()
        body = document.body
        if body is not None and (b"\n" in body or b"\r" in body):
            body = body.replace(b"\n", b" ").replace(b"\r", b" ")
        if body is None:
            parts += (delete, ident, tail)
        else:
            parts += (index, ident, tail, body, b"\n")
    return b"".join(parts)
