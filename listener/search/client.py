"""The client of Elasticsearch and OpenSearch: one that suits all their versions."""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

import elastic_transport
import elasticsearch
from elastic_transport import HttpHeaders, Urllib3HttpNode
from elastic_transport._node import NodeApiResponse

from listener.config import ElasticsearchConfig
from listener.search.errors import NotElasticsearch, at
from listener.search.genuine import PRODUCT, is_object, why_foreign
from listener.search.login import Login

Client = elasticsearch.Elasticsearch

_COMPATIBLE: Final = re.compile(
    r"application/vnd\.elasticsearch\+(json|x-ndjson)\s*;\s*compatible-with=\d+"
)

AS_SENT: Final = "application/vnd.listener.as-sent"
"""Accept this, and the body of the answer comes as bytes, unless it is an error: those of a JSON
object, as far as its two ends tell."""


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


class PlainNode(Urllib3HttpNode):
    """Speaks plain JSON, so that one client serves Elasticsearch 7.17 to 9 and OpenSearch.

    The client asks for `vnd.elasticsearch+json; compatible-with=8`, which OpenSearch does not
    know, and wants a product header in every answer, which OpenSearch does not send. What listener
    calls is the same on all of them; the version is checked by `listener check` instead.

    Each answer passes here, and one that is not Elasticsearch's goes no further.
    """

    login: Login
    """Gives each request its log-in. Set by `connect` on the class that it makes for one client."""
    _named: bool = False
    """Whether this server has sent the product header."""

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: Any = elastic_transport.client_utils.DEFAULT,
    ) -> NodeApiResponse:
        """Send one request with plain media types. Raises NotElasticsearch."""
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
        try:
            answer = super().perform_request(method, target, body, plain, request_timeout)
        except elastic_transport.TransportError as error:
            at(error, self.base_url)
            raise
        status, given = answer.meta.status, answer.meta.headers
        if status == 401:
            self.login.refused()
        foreign = why_foreign(
            method, target, status, given, answer.body, product=self._named, as_sent=as_sent
        )
        if foreign is not None:
            raise NotElasticsearch(
                f"an answer that is not Elasticsearch's: {foreign}; is {self.base_url} a proxy's?"
            )
        self._named |= PRODUCT in given
        if as_sent and status == 200:
            given["content-type"] = AS_SENT
        elif status in (401, 413) and not is_object(given, answer.body):  # of others, in any form
            given["content-type"] = "text/plain"
            return NodeApiResponse(answer.meta, answer.body.decode("utf-8", "replace").encode())
        given.setdefault(PRODUCT, "Elasticsearch")  # which the client wants
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
