"""The sink: sends one bulk through a write alias, and returns a verdict for each document."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import elastic_transport

from listener.search.bulk import Document, encode
from listener.search.client import AS_SENT, Client
from listener.search.errors import Away, Refused, explain, is_passing
from listener.search.reasons import never_fits
from listener.search.verdicts import Outcome, Verdict, all_taken, verdicts_of
from listener.search.write_aliases import Target

_DONE: Final = Verdict(Outcome.DONE)
_OF_PROXIES: Final = (408, 502, 504)
"""Statuses by which a proxy says that it knows of no answer."""


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
    whole: bool = False
    """Whether the request failed as a whole: then the verdicts say nothing of its index alone."""


def send(
    client: Client,
    documents: Sequence[Document],
    target: Target,
    version: int,
    *,
    refresh: bool = False,
) -> Sent:
    """Send the documents once and judge each of them.

    Never raises for an answer or a missing answer of the server: that is a verdict too. A request
    that was refused whole (413, 400, or more than a server ever has room for) executed nothing, so
    its halves are sent.
    """
    started = time.monotonic()
    lost = taken = whole = False
    body = encode(documents, target.alias, version)
    try:
        raw = _post(client, body, refresh=refresh)
        taken = all_taken(raw, len(documents), target)
        answer = None if taken else parsed(raw)
    except Refused as error:
        reason, mend = explain(error)
        if error.status_code in (400, 413) or never_fits(reason):
            if len(documents) > 1:
                half = len(documents) // 2
                parts = [
                    send(client, part, target, version, refresh=refresh)
                    for part in (documents[:half], documents[half:])
                ]
                verdicts = parts[0].verdicts + parts[1].verdicts
                lost = parts[0].lost or parts[1].lost
                whole = parts[0].whole or parts[1].whole
            else:
                verdicts = (Verdict(Outcome.PARK, f"the whole request: {reason}"),)
        else:
            whole = True
            outcome = Outcome.RETRY if is_passing(error) else Outcome.HOLD
            verdicts = (Verdict(outcome, reason, mend=mend),) * len(documents)
            lost = error.status_code in _OF_PROXIES
    except Away as error:
        whole = lost = True  # also where no connection was made: that costs one more generation
        outcome = Outcome.RETRY if is_passing(error) else Outcome.HOLD
        reason, mend = explain(error)
        verdicts = (Verdict(outcome, reason, mend=mend),) * len(documents)
    else:
        if taken:
            verdicts = (_DONE,) * len(documents)
        else:
            verdicts = verdicts_of(answer, documents, target, version)
    if not taken:
        # an error of the client and the frame it comes from refer to each other, and the frame to
        # the body: an outage would keep one for each try, for cycles are looked for seldom
        gc.collect(1)
    return Sent(
        verdicts, time.monotonic() - started, len(body), taken=taken, lost=lost, whole=whole
    )


def parsed(raw: bytes) -> Any:
    """The reply, read in full; None where it is empty.

    Raises SerializationError, which is an `Away`, where it is no JSON: then nothing is known of it.
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
