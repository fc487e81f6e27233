"""Which errors of Elasticsearch pass by themselves: they are waited for, the others are told."""

from __future__ import annotations

import elastic_transport
import pytest

from listener import search


def refused(status: int) -> search.Refused:
    """An answer of this status."""
    meta = elastic_transport.ApiResponseMeta(
        status,
        "1.1",
        elastic_transport.HttpHeaders(),
        0.0,
        elastic_transport.NodeConfig("http", "127.0.0.1", 9200),
    )
    return search.Refused("no", meta, {})


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_no_room_or_no_answer_of_a_proxy_passes(status: int) -> None:
    """A server that starts or is full, and a proxy before one that is away."""
    assert search.is_passing(refused(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 500, 501])
def test_a_refusal_does_not_pass(status: int) -> None:
    """The same request would be refused again."""
    assert not search.is_passing(refused(status))


@pytest.mark.parametrize(
    "error",
    [
        elastic_transport.ConnectionError("connection refused"),
        elastic_transport.ConnectionTimeout("no answer"),
        elastic_transport.TlsError("EOF occurred in violation of protocol"),
    ],
)
def test_no_answer_passes(error: Exception) -> None:
    """The server is away, or goes away in the midst of a handshake."""
    assert search.is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        elastic_transport.TlsError("certificate verify failed: self-signed certificate"),
        elastic_transport.TlsError("[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        search.Unusable("a person must mend it"),
        ValueError("no error of a request"),
    ],
)
def test_what_a_person_must_mend_does_not_pass(error: Exception) -> None:
    """Trust and versions of TLS do not mend themselves; nor does a defect of our own."""
    assert not search.is_passing(error)
