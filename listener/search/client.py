"""The client of Elasticsearch and OpenSearch: how it is set up, and which errors pass."""

from __future__ import annotations

import base64
import contextlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import elastic_transport
import elasticsearch
from elastic_transport import HttpHeaders, Urllib3HttpNode
from elastic_transport._node import NodeApiResponse

from listener.config import ElasticsearchConfig
from listener.config.settings import ConfigError, Problem, secret
from listener.search.bulk import with_mend

Client = elasticsearch.Elasticsearch
Error: Final[tuple[type[Exception], ...]] = (
    elasticsearch.ApiError,
    elastic_transport.TransportError,
)

_COMPATIBLE: Final = re.compile(
    r"application/vnd\.elasticsearch\+(json|x-ndjson)\s*;\s*compatible-with=\d+"
)


_KEY: Final = re.compile(r"[!-~]+")
_UNTRUSTED: Final = re.compile(
    r"certificate|fingerprint|match|wrong.version|http.request|errno|no such file|\bPEM\b|alert|"
    r"(?<!violation of )protocol",
    re.IGNORECASE,
)
"""What is said of TLS that does not pass by itself."""
_LOGIN: Final = (
    "elasticsearch.user and password, or api_key, that the server knows; a file of either is read "
    "again at each try"
)
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
        "elasticsearch.urls: https://, if the server speaks TLS there",
    ),
)
"""What mends it, by the words of the client and of OpenSSL."""


class Unreadable(elastic_transport.TransportError):
    """Elasticsearch answered for a part of what was asked that it cannot read it now."""


class Unusable(elastic_transport.TransportError):
    """What Elasticsearch holds, or how it is set up, is such that only a person can mend it. The
    message says how."""


AS_SENT: Final = "application/vnd.listener.as-sent"
"""Accept this, and the body of the answer comes as bytes, unless it is an error."""


class _AsSent(elastic_transport.Serializer):
    mimetype = AS_SENT

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        raise NotImplementedError


class _AsMade(elastic_transport.NdjsonSerializer):
    """Sends a bulk body as it is: the client's own copies it twice."""

    def dumps(self, data: Any) -> bytes:
        return data if isinstance(data, bytes) else super().dumps(data)


class LoginAway(elastic_transport.TransportError):
    """The log-in was refused, and the file of its secret cannot be read now."""


class Login:
    """The header of the log-in, from a secret that may be replaced while we run.

    A file is read again where it changed, and after each refusal: whoever rotates a password need
    not start anybody anew. While the file is missing or empty, as it is for the moment in which it
    is replaced, the former secret goes on. Its methods are for any thread.
    """

    def __init__(self, config: ElasticsearchConfig) -> None:
        """Raises ConfigError where the secret cannot be read, or is none."""
        self._config = config
        self._file = config.password_file or config.api_key_file
        self._seen = self._stamp()
        self._header = self._read()

    def header(self) -> str | None:
        """What to send now; None without a log-in."""
        if self._file is not None:
            seen = self._stamp()
            if seen is not None and seen != self._seen:
                with contextlib.suppress(ConfigError):
                    self._header, self._seen = self._read(), seen
        return self._header

    def refused(self) -> None:
        """The server did not take it: look into the file before the next request, whatever its
        date says. Raises LoginAway where it cannot be read.
        """
        self._seen = None
        if self._file is not None:
            try:
                self._read()
            except ConfigError as error:
                raise LoginAway(f"401, and {error}") from None

    def _stamp(self) -> tuple[int, ...] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> str | None:
        config = self._config
        key = secret(config.api_key, config.api_key_file)
        if key is not None:
            if not _KEY.fullmatch(key):
                place = config.api_key_file or Path("elasticsearch.api_key")
                raise ConfigError(place, [Problem((), "an API key is one word of ASCII")])
            # id and key as they are shown apart; the server wants them together, encoded
            return f"ApiKey {_encoded(key) if ':' in key else key}"
        password = secret(config.password, config.password_file)
        return None if config.user is None else f"Basic {_encoded(f'{config.user}:{password}')}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class PlainNode(Urllib3HttpNode):
    """Speaks plain JSON, so that one client serves Elasticsearch 7.17 to 9 and OpenSearch.

    The client asks for `vnd.elasticsearch+json; compatible-with=8`, which OpenSearch does not
    know, and wants a product header in every answer, which OpenSearch does not send. What we call
    is the same on all of them; the version is checked by `listener check` instead.
    """

    login: Login
    """Of the client's own class of nodes."""

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: Any = elastic_transport.client_utils.DEFAULT,
    ) -> NodeApiResponse:
        """Send one request with plain media types."""
        plain = HttpHeaders(headers or {})
        for name in ("accept", "content-type"):
            if name in plain:
                plain[name] = _COMPATIBLE.sub(r"application/\1", plain[name])
        login = self.login.header()
        if login is not None:
            plain["authorization"] = login
        as_sent = plain.get("accept") == AS_SENT
        if as_sent:
            plain["accept"] = "application/json"
        answer = super().perform_request(method, target, body, plain, request_timeout)
        if answer.meta.status == 401:
            self.login.refused()
        if as_sent and answer.meta.status == 200:
            answer.meta.headers["content-type"] = AS_SENT
        answer.meta.headers.setdefault("x-elastic-product", "Elasticsearch")
        return answer


def connect(config: ElasticsearchConfig) -> Client:
    """A client that retries nothing by itself: bytes are never sent twice. Opens no connection.

    Raises ConfigError where a secret cannot be read.
    """
    # servers without security warn about it in a header of each answer
    warnings.filterwarnings("ignore", category=elasticsearch.ElasticsearchWarning)
    options: dict[str, Any] = {}

    class Node(PlainNode):
        login = Login(config)

    if config.ca_certs is not None:
        options["ca_certs"] = str(config.ca_certs)
    if config.fingerprint is not None:
        options["ssl_assert_fingerprint"] = config.fingerprint
        options["verify_certs"] = False  # the fingerprint is the check
        options["ssl_show_warn"] = False
    return elasticsearch.Elasticsearch(
        list(config.urls),
        node_class=Node,
        request_timeout=config.request_timeout,
        max_retries=0,
        retry_on_timeout=False,
        retry_on_status=(),
        connections_per_node=6,
        serializers={AS_SENT: _AsSent(), _AsMade.mimetype: _AsMade()},
        **options,
    )


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: no answer, or no room."""
    if isinstance(error, elasticsearch.ApiError):
        return error.status_code in (429, 502, 503, 504)
    if isinstance(error, Unusable):
        return False
    if isinstance(error, elastic_transport.TlsError):
        return _UNTRUSTED.search(str(error.message)) is None
    return isinstance(error, elastic_transport.TransportError)


def is_blocked(error: elasticsearch.ApiError) -> bool:
    """Whether it is no lack of rights but a block, of an index or the cluster, that refuses it."""
    return error.error == "cluster_block_exception"


def _reason(body: object) -> str:
    inner = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(inner, Mapping):
        return f"{inner.get('type')}: {str(inner.get('reason'))[:300]}"
    return str(body)[:300]


def describe(error: BaseException) -> str:
    """One line for a log: status, type and reason of the server's answer."""
    if isinstance(error, elasticsearch.ApiError):
        body = error.body
        if error.status_code == 401:
            return f"{error.status_code} {_reason(body)}. Mend: {_LOGIN}"
        if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
            inner = body["error"]
            reason = f"{inner.get('type')}: {str(inner.get('reason'))[:300]}"
            return f"{error.status_code} {with_mend(reason, str(inner.get('index', 'INDEX')))}"
        return f"{error.status_code} {str(body)[:300]}"
    if isinstance(error, Unusable):
        return str(error.message)
    if isinstance(error, elastic_transport.TransportError):
        text = f"{type(error).__name__}: {str(error.message)[:300]}"
        mend = next((mend for pattern, mend in _HINTS if pattern.search(text)), None)
        return f"{text}. Mend: {mend}" if mend else text
    return " ".join(str(error).split())[:300] or type(error).__name__
