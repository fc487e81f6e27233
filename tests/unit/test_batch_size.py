"""How many documents a batch may have, and how what was read is cut into requests."""

from __future__ import annotations

import pytest

from listener.indexing.batch import Limits
from listener.indexing.batch_size import BatchSize, MeanSize
from listener.search.bulk import Document

OVERHEAD = 100


def size(documents: int = 2000, room: int = 1_000_000) -> BatchSize:
    """Of two kinds of documents."""
    return BatchSize(2, Limits(documents=documents, bytes=room, pending=100, parked=10))


def read(count: int, length: int) -> list[Document]:
    """So many documents of so many bytes each, with what a request adds to them."""
    body = b"x" * (length - OVERHEAD)
    return [Document((str(one),), str(one), body) for one in range(count)]


def test_the_first_batch_after_a_rest_is_small() -> None:
    """Each full one doubles it, up to the limit of the configuration."""
    one = size(room=100_000_000)
    for most in (500, 1000, 2000, 2000):
        assert one.most(0) == most
        one.filled()
    one.rested()
    assert one.most(0) == 500


def test_large_documents_make_small_batches() -> None:
    """Of their kind only. The mean rises at once and falls slowly."""
    one = size()
    list(one.cut(0, read(10, 50_000)))
    assert (one.most(0), one.most(1)) == (20, 500)
    list(one.cut(0, read(10, 1_000)))
    assert one.most(0) == int(1_000_000 / (0.9 * 50_000 + 0.1 * 1_000))
    list(one.cut(0, read(1, 2_000_000)))
    assert one.most(0) == 1  # one that fits no bulk is sent all the same


def test_ids_that_are_no_documents_count_a_little() -> None:
    """However many there are: a comparison may find nothing else, page after page."""
    mean = MeanSize()
    for _ in range(10_000):
        mean.read(2000, 0)
    assert mean.fitting(4_000_000) == 40_000


def test_a_refused_request_halves_the_next_ones() -> None:
    """Until one is taken: then they may be twice as large, up to the limit."""
    one = size()
    one.refused(800_000)
    assert one.room == 400_000
    one.refused(800_000)  # another one, sent before that
    assert one.room == 400_000
    one.refused(0)  # nothing was sent
    assert one.room == 400_000
    one.taken()
    one.taken()
    assert one.room == 1_000_000


def test_a_request_is_never_asked_to_be_tiny() -> None:
    """A server that refuses everything must not lead to one document a request for ever."""
    one = size()
    for _ in range(20):
        one.refused(one.room)
    assert one.room == 1000


@pytest.mark.parametrize(
    ("lengths", "parts"),
    [
        ([400, 400], [2]),
        ([400, 400, 400], [2, 1]),
        ([600, 600], [1, 1]),
        ([5000, 200, 5000], [1, 1, 1]),
        ([200, 5000, 200], [1, 1, 1]),
    ],
)
def test_what_was_read_is_cut_to_fit(lengths: list[int], parts: list[int]) -> None:
    """In its order; a document that is too large goes alone."""
    documents = [read(1, length)[0] for length in lengths]
    cut = list(size(room=1000).cut(0, documents))
    assert [len(part) for part in cut] == parts
    assert [one for part in cut for one in part] == documents


def test_deletes_take_room_too() -> None:
    """They have no body, but a line each."""
    documents = [Document((str(one),), str(one), None) for one in range(25)]
    assert [len(part) for part in size(room=1000).cut(0, documents)] == [10, 10, 5]
