"""Constants in trees: their texts, and that no bytes do harm."""

from __future__ import annotations

import pytest

from listener.documents.constants import texts_of


def numbers(held: bytes) -> str:
    """As a tree has them: signed."""
    return " ".join(str(one - 256 if one > 127 else one) for one in held)


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_text(order: str) -> None:
    """Behind its length, in the byte order of the server."""
    held = "app.köln".encode()
    length = len(held) + 4
    head = (length << 2).to_bytes(4, "little") if order == "little" else length.to_bytes(4, "big")
    assert texts_of(25, numbers(head + held)) == ["app.köln"]


def test_what_has_no_length() -> None:
    """A name is padded."""
    assert texts_of(19, numbers(b"film".ljust(64, b"\0"))) == ["film"]


@pytest.mark.parametrize(
    "held", [b"", b"\0", b"\xff" * 9, b"\0\0\0\x50" * 400, b"\xff\xff\xff\x2f"]
)
@pytest.mark.parametrize("kind", [25, 3802])
def test_odd_bytes(kind: int, held: bytes) -> None:
    """Never fails."""
    texts_of(kind, numbers(held))
