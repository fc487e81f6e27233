"""The sink: sends bulks through the write aliases of one generation, and judges each item."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import elastic_transport
import elasticsearch

from listener.search.bulk import (
    Document,
    Outcome,
    Verdict,
    encode,
    generation_of,
    judge,
    never_fits,
    versioned,
)
from listener.search.client import AS_SENT, Client, describe, is_passing

_DONE: Final = Verdict(Outcome.DONE)
_NO_ERRORS: Final = b'{"errors":false,'
_GRAVITY: Final = [
    Outcome.DONE,
    Outcome.CONFLICT,
    Outcome.PARK,
    Outcome.RETRY,
    Outcome.FENCED,
    Outcome.HOLD,
]


_FOREIGN: Final = 1_000_000
"""So many generations above ours no daemon can be: each session takes one."""
_OF_PROXIES: Final = (408, 502, 504)
"""Statuses by which a proxy says that it knows of no answer."""


@dataclass(frozen=True, slots=True)
class Target:
    """A write alias. `lenient`: an index of an older mapping or query, which is fed until it is
    replaced; a document that it refuses is not parked, since its successor takes it. `index`: where
    the alias leads to, as we made it."""

    alias: str
    lenient: bool = False
    index: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to one bulk: a verdict for each document."""

    verdicts: tuple[Verdict, ...]
    seconds: float
    bytes: int
    taken: bool = False
    """Whether each verdict is DONE, as the server said of all at once."""
    lost: bool = False
    """Whether the request may have left without an answer: it may yet arrive, however late."""


class Versions:
    """Draws versions: generation * 2^40 + a counter of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._counter = 0

    @property
    def generation(self) -> int:
        """The fencing token in force; 0 before the first one was raised."""
        return self._generation

    def begin(self, generation: int) -> None:
        """A new generation: its versions are above all of the ones before."""
        with self._lock:
            if generation <= self._generation:
                raise ValueError("a generation only rises")
            self._generation, self._counter = generation, 0

    def draw(self) -> int:
        """The next version. Draw it after the ids are taken and before the documents are read."""
        with self._lock:
            if not self._generation:
                raise RuntimeError("no generation was raised yet")
            self._counter += 1
            return versioned(self._generation, self._counter)


def write_alias(index: str, generation: int, *, loading: bool = False) -> str:
    """Alias through which one generation writes: a later one removes it, so a zombie gets 404."""
    return f"{index}.{'l' if loading else 'w'}{generation}"


def send(
    client: Client,
    documents: Sequence[Document],
    targets: Sequence[Target],
    version: int,
    *,
    refresh: bool = False,
) -> Sent:
    """Send the documents once to each target and judge each of them.

    Never raises for an answer or a missing answer of the server: that is a verdict too. A request
    that was refused whole (413, 400, or more than a server ever has room for) executed nothing, so
    its halves are sent.
    """
    started = time.monotonic()
    lost = taken = False
    body = encode(documents, [target.alias for target in targets], version)
    try:
        raw = _post(client, body, refresh=refresh)
        taken = all_taken(raw, len(documents), targets)
        answer = None if taken else parsed(raw)
    except elasticsearch.ApiError as error:
        reason = describe(error)
        if error.status_code in (400, 413) or never_fits(reason):
            if len(documents) > 1:
                half = len(documents) // 2
                parts = [
                    send(client, part, targets, version, refresh=refresh)
                    for part in (documents[:half], documents[half:])
                ]
                verdicts = parts[0].verdicts + parts[1].verdicts
                lost = parts[0].lost or parts[1].lost
            elif len(targets) > 1:
                parts = [
                    send(client, documents, [one], version, refresh=refresh) for one in targets
                ]
                verdicts = (_worst(one.verdicts[0] for one in parts),)
                lost = any(one.lost for one in parts)
            else:
                refused = Verdict(Outcome.PARK, f"the whole request: {reason}")
                verdicts = (Verdict(Outcome.DONE) if targets[0].lenient else refused,)
        else:
            outcome = Outcome.RETRY if is_passing(error) else Outcome.HOLD
            verdicts = (Verdict(outcome, reason),) * len(documents)
            lost = error.status_code in _OF_PROXIES
    except elasticsearch.TransportError as error:
        lost = True  # also where no connection was made: that costs one more generation
        outcome = Outcome.RETRY if is_passing(error) else Outcome.HOLD
        verdicts = (Verdict(outcome, describe(error)),) * len(documents)
    else:
        if taken:
            verdicts = (_DONE,) * len(documents)
        else:
            verdicts = verdicts_of(answer, documents, targets, version)
    if not taken:
        # an error of the client and the frame it comes from refer to each other, and the frame to
        # the body: an outage would keep one for each try, for cycles are looked for seldom
        gc.collect(1)
    return Sent(verdicts, time.monotonic() - started, len(body), taken=taken, lost=lost)


def all_taken(raw: bytes, documents: int, targets: Sequence[Target]) -> bool:
    """Whether a reply says, before anything else, that so many items met no error, and that each
    target's index has taken its own.

    Most replies do, and reading one as JSON costs more than making the request. What does not look
    like that is read in full.
    """
    if not raw.startswith(_NO_ERRORS) or raw.count(b'"status":') != documents * len(targets):
        return False
    return all(
        one.index is None or raw.count(f'"_index":"{one.index}"'.encode()) == documents
        for one in targets
    )


def parsed(raw: bytes) -> Any:
    """The reply, read in full; None where it is empty.

    Raises SerializationError, a TransportError, where it is no JSON: then nothing is known of it.
    """
    if not raw:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        message = f"a bulk reply that is no JSON: {error}"
        raise elastic_transport.SerializationError(message, errors=(error,)) from error


def _post(client: Client, body: bytes, *, refresh: bool) -> bytes:
    params: dict[str, Any] = {
        "require_alias": "true",
        "timeout": "10s",
        "filter_path": "errors,items.*._index,items.*.status,items.*.error.type,"
        "items.*.error.reason,items.*.error.index",
    }
    if refresh:
        params["refresh"] = "true"
    headers = {"accept": AS_SENT, "content-type": "application/x-ndjson"}
    raw: bytes = client.perform_request(
        "POST", "/_bulk", params=params, headers=headers, body=body
    ).body
    return raw


def verdicts_of(
    answer: Any, documents: Sequence[Document], targets: Sequence[Target], version: int
) -> tuple[Verdict, ...]:
    """A verdict for each document from the reply to one bulk, of whatever shape it is."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != len(documents) * len(targets):
        odd = Verdict(Outcome.HOLD, "a bulk reply with another number of items than were sent")
        return (odd,) * len(documents)
    well = answer.get("errors") is False  # the server's word for all of them
    judged = [_DONE if well else _settle_conflict(judge(item), version) for item in items]
    for place, verdict in enumerate(judged):
        target = targets[place % len(targets)]
        if target.lenient and verdict.outcome is Outcome.PARK:
            judged[place] = _DONE
        elif verdict.outcome is Outcome.DONE:
            judged[place] = _in_place(items[place], target)
    return tuple(
        _worst(judged[place : place + len(targets)])
        for place in range(0, len(judged), len(targets))
    )


def _in_place(item: Any, target: Target) -> Verdict:
    """DONE only where the index has taken it that the alias was made for: somebody may have let it
    lead to another one, and put it back before an audit looks. The next generation has another
    alias, and writes it anew."""
    result = next(iter(item.values()), None) if isinstance(item, dict) else None
    place = result.get("_index") if isinstance(result, dict) else None
    if target.index is None or place is None or place == target.index:
        return _DONE
    reason = f"the write alias {target.alias} led to {str(place)[:255]}, not to {target.index}"
    return Verdict(Outcome.FENCED, reason)


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=lambda one: _GRAVITY.index(one.outcome))


def _settle_conflict(verdict: Verdict, version: int) -> Verdict:
    """A 409 is done only where what is stored is a newer write of our own generation."""
    if verdict.outcome is not Outcome.CONFLICT:
        return verdict
    stored = verdict.stored_version
    if stored is None:
        return Verdict(Outcome.RETRY, verdict.reason)
    if generation_of(stored) == generation_of(version):
        return Verdict(Outcome.DONE)
    if generation_of(stored) > generation_of(version) + _FOREIGN:
        return Verdict(
            Outcome.PARK,
            # the part before the colon is what the brake counts
            f"a version that is not of listener's making: {stored} in Elasticsearch. Delete the "
            "document there (DELETE /INDEX/_doc/ID), and a minute later `listener verify --repair`",
            proven=True,
        )
    return Verdict(Outcome.FENCED, verdict.reason, stored)
