"""The client of Elasticsearch and OpenSearch: how it is set up, and which errors pass."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import elastic_transport
import elasticsearch
from elastic_transport import HttpHeaders, Urllib3HttpNode
from elastic_transport._node import NodeApiResponse

from listener.bulk import with_mend
from listener.config import ElasticsearchConfig
from listener.settings import secret

Client = elasticsearch.Elasticsearch
Error: Final[tuple[type[Exception], ...]] = (
    elasticsearch.ApiError,
    elastic_transport.TransportError,
)

_COMPATIBLE: Final = re.compile(
    r"application/vnd\.elasticsearch\+(json|x-ndjson)\s*;\s*compatible-with=\d+"
)


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


class PlainNode(Urllib3HttpNode):
    """Speaks plain JSON, so that one client serves Elasticsearch 7.17 to 9 and OpenSearch.

    The client asks for `vnd.elasticsearch+json; compatible-with=8`, which OpenSearch does not
    know, and wants a product header in every answer, which OpenSearch does not send. What we call
    is the same on all of them; the version is checked by `listener check` instead.
    """

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
        as_sent = plain.get("accept") == AS_SENT
        if as_sent:
            plain["accept"] = "application/json"
        answer = super().perform_request(method, target, body, plain, request_timeout)
        if as_sent and answer.meta.status == 200:
            answer.meta.headers["content-type"] = AS_SENT
        answer.meta.headers.setdefault("x-elastic-product", "Elasticsearch")
        return answer


def connect(config: ElasticsearchConfig) -> Client:
    """A client that retries nothing by itself: bytes are never sent twice. Opens no connection."""
    # servers without security warn about it in a header of each answer
    warnings.filterwarnings("ignore", category=elasticsearch.ElasticsearchWarning)
    options: dict[str, Any] = {}
    password = secret(config.password, config.password_file)
    api_key = secret(config.api_key, config.api_key_file)
    if config.user is not None:
        options["basic_auth"] = (config.user, password or "")
    if api_key is not None:
        options["api_key"] = api_key
    if config.ca_certs is not None:
        options["ca_certs"] = str(config.ca_certs)
    if config.fingerprint is not None:
        options["ssl_assert_fingerprint"] = config.fingerprint
        options["verify_certs"] = False  # the fingerprint is the check
        options["ssl_show_warn"] = False
    return elasticsearch.Elasticsearch(
        list(config.urls),
        node_class=PlainNode,
        request_timeout=config.request_timeout,
        max_retries=0,
        retry_on_timeout=False,
        retry_on_status=(),
        connections_per_node=6,
        serializers={AS_SENT: _AsSent()},
        **options,
    )


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: no answer, or no room."""
    if isinstance(error, elasticsearch.ApiError):
        return error.status_code in (429, 502, 503, 504)
    if isinstance(error, Unusable):
        return False
    return isinstance(error, elastic_transport.TransportError)


def describe(error: BaseException) -> str:
    """One line for a log: status, type and reason of the server's answer."""
    if isinstance(error, elasticsearch.ApiError):
        body = error.body
        if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
            inner = body["error"]
            reason = f"{inner.get('type')}: {str(inner.get('reason'))[:300]}"
            return f"{error.status_code} {with_mend(reason, str(inner.get('index', 'INDEX')))}"
        return f"{error.status_code} {str(body)[:300]}"
    if isinstance(error, Unusable):
        return str(error.message)
    if isinstance(error, elastic_transport.TransportError):
        return f"{type(error).__name__}: {str(error.message)[:300]}"
    return " ".join(str(error).split())[:300] or type(error).__name__
