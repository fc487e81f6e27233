"""What may go wrong with a request to Elasticsearch, and how an error is told to people.

The client's own exceptions have names here, so that the packages above need not import the client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import elastic_transport
import elasticsearch

from listener.observations.mends import with_mend
from listener.search.reasons import mend_of

Refused = elasticsearch.ApiError
"""The server answered with an error. `status_code` is its HTTP status, `error` the error's type,
`body` the whole answer."""
BadRequest = elasticsearch.BadRequestError
"""Refused with status 400."""
Forbidden = elasticsearch.AuthorizationException
"""Refused with status 403: a right is missing, or a block forbids it (see `is_blocked`)."""
NotFound = elasticsearch.NotFoundError
"""Refused with status 404: no such index, alias or document."""
Conflict = elasticsearch.ConflictError
"""Refused with status 409: another writer was faster."""
Away = elastic_transport.TransportError
"""There is no answer, or none that can be used; `message` says why."""
Error: Final[tuple[type[Exception], ...]] = (Refused, Away)
"""All that a request raises."""

PASSING_STATUSES: Final = frozenset({429, 502, 503, 504})
"""With these a server, or a proxy in front of it, says that it has no room or is not there yet."""
_UNTRUSTED: Final = re.compile(
    r"certificate|fingerprint|match|wrong.version|http.request|errno|no such file|\bPEM\b|alert|"
    r"(?<!violation of )protocol",
    re.IGNORECASE,
)
"""What is said of TLS that does not pass by itself."""
_AT: Final = "at "
_LOGIN: Final = (
    "elasticsearch.user and password, or api_key, that the server knows; a file of either is read "
    "again at each try"
)
_RIGHTS: Final = "`listener check` names the rights that its user needs"
_HINTS: Final = (
    (
        re.compile(r"(?:hostname|IP address) mismatch|doesn't match", re.IGNORECASE),
        "elasticsearch.urls: a name that stands in the server's certificate, or "
        "elasticsearch.fingerprint",
    ),
    (re.compile("certificate has expired"), "the server needs a new certificate"),
    (
        re.compile("certificate verify failed"),
        "elasticsearch.ca_certs: the certificate of the CA that signed the server's",
    ),
    (
        re.compile("fingerprint", re.IGNORECASE),
        "elasticsearch.fingerprint: the SHA-256 of the server's certificate, or of its CA's",
    ),
    (
        re.compile(r"wrong.version|http.request", re.IGNORECASE),
        "elasticsearch.urls: http://, if the server speaks no TLS there",
    ),
    (
        re.compile(r"TlsError.*(?:no such file|\bPEM\b|no certificate)", re.IGNORECASE),
        "elasticsearch.ca_certs: a file with the CA's certificate",
    ),
    (
        re.compile("without response|plaintext http"),
        "elasticsearch.urls: https://, if the server speaks TLS there; else the port of "
        "Elasticsearch",
    ),
    (
        re.compile("Failed to resolve|Name or service not known"),
        "elasticsearch.urls: a host that this machine can resolve",
    ),
    (
        re.compile(r"BadStatusLine|line 1|InvalidHeader|ProtocolError"),
        "elasticsearch.urls: the port of Elasticsearch; something else answers there",
    ),
)
"""What mends an error, by the words of the client and of OpenSSL."""


class Unreadable(Away):
    """The server answered that it cannot read a part of what was asked for now. `mend`: the command
    that lets it, where an operator has forbidden it."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class NotElasticsearch(Away):
    """There is an answer, and it is not Elasticsearch's: that of a proxy, an ingress or a portal in
    its place. Whether the request was carried out is not known. The message shows the answer."""


class Unusable(Away):
    """What the server holds, or how it is set up, is such that only an operator can mend it. The
    message says how, or `mend` does."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


def unreadable(index: str, error: Mapping[str, Any]) -> Unreadable:
    """One document of `_mget` could not be read, with this error of the server's."""
    reason = f"{error.get('type')}: {error.get('reason')}"
    return Unreadable(f"{index}: _mget: {reason}", mend_of(reason, index))


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: no answer, or no room."""
    if isinstance(error, Refused):
        return error.status_code in PASSING_STATUSES
    if isinstance(error, Unusable):
        return False
    if isinstance(error, elastic_transport.TlsError):
        return _UNTRUSTED.search(str(error.message)) is None
    return isinstance(error, Away)


def is_blocked(error: Refused) -> bool:
    """Whether a block of an index or of the cluster refuses it, and not a missing right."""
    return error.error == "cluster_block_exception"


def at(error: Away, url: str) -> None:
    """Note at which server there was no answer: the client's own words name no scheme, or none."""
    error.add_note(f"{_AT}{url}")


def _server(error: BaseException) -> str:
    """`http://127.0.0.1:9200: `, where it is known."""
    notes = getattr(error, "__notes__", ())
    return next((f"{one.removeprefix(_AT)}: " for one in notes if one.startswith(_AT)), "")


def describe(error: BaseException) -> str:
    """One line for a log: what is wrong, and what mends it."""
    return with_mend(*explain(error))


def explain(error: BaseException) -> tuple[str, str]:
    """Status, type and reason of the server's answer, and what mends it; empty: that is not
    known."""
    if isinstance(error, Refused):
        reason, mend = _refused(error)
        return f"{error.status_code} {reason.rstrip(' ;')}", mend
    if isinstance(error, Unusable):
        return str(error.message), error.mend
    if isinstance(error, NotElasticsearch):
        return str(error.message), ""
    if isinstance(error, Away):
        text = f"{_server(error)}{type(error).__name__}: {str(error.message)[:300]}"
        if isinstance(error, Unreadable) and error.mend:
            return text, error.mend
        return text, next((mend for pattern, mend in _HINTS if pattern.search(text)), "")
    return " ".join(str(error).split())[:300] or type(error).__name__, ""


def _refused(error: Refused) -> tuple[str, str]:
    body = error.body
    if error.status_code == 401:
        return _reason(body), _LOGIN
    if error.status_code == 403 and error.error == "security_exception":
        return _reason(body), _RIGHTS
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        reason = _reason(body)
        return reason, mend_of(reason, str(body["error"].get("index", "INDEX")))
    return " ".join(str(body)[:300].split()), ""


def _reason(body: object) -> str:
    inner = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(inner, Mapping):
        return f"{inner.get('type')}: {str(inner.get('reason'))[:300]}"
    return " ".join(str(body)[:300].split())
