"""Kibana's data views, through its documented API: one for each document, made once.

GET and POST /api/data_views/data_view (Kibana 8.1 and newer). A data view that is already there
is left as it is, since people add field formats and runtime fields to theirs; `override` of that
API would throw these away at every start of the compose file.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from listener import ListenerError
from listener.config import Config, DocumentConfig, ElasticsearchConfig
from listener.search.errors import PASSING_STATUSES
from listener.search.index_config import IndexError_, read_body
from listener.search.login import Login

_PATH: Final = "/api/data_views/data_view"
_SECONDS: Final = 10.0


class KibanaAway(ListenerError):
    """Kibana does not answer, or not yet: try again."""


class KibanaError(ListenerError):
    """Kibana refuses, and would refuse again. The message says what and what to do."""


@dataclass(frozen=True, slots=True)
class DataView:
    """What Kibana shall show: `title` is the index pattern, `id` never changes."""

    id: str
    title: str
    time_field: str | None

    def body(self) -> dict[str, Any]:
        """The request that makes it."""
        view: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "name": self.title,
            # the first full load may still be running
            "allowNoIndex": True,
        }
        if self.time_field is not None:
            view["timeFieldName"] = self.time_field
        return {"data_view": view, "override": False}


def data_views(config: Config) -> tuple[DataView, ...]:
    """The data views of a configuration.

    The time field is left out where an index does not map it as a date: Kibana would show no
    document. Raises KibanaError where an index_config_file cannot be read.
    """
    return tuple(
        DataView(
            id=f"listener-{one.index}",
            title=one.index,
            time_field=config.kibana.time_field
            if config.kibana.time_field and _is_date(one, config.kibana.time_field)
            else None,
        )
        for one in config.documents
    )


def _is_date(document: DocumentConfig, field: str) -> bool:
    try:
        inside: Any = read_body(document.index_config_file).mappings
    except (OSError, IndexError_) as error:
        raise KibanaError(str(error)) from error
    for name in field.split("."):
        properties = inside.get("properties") if isinstance(inside, dict) else None
        inside = properties.get(name) if isinstance(properties, dict) else None
    return isinstance(inside, dict) and inside.get("type") in ("date", "date_nanos")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: followed, it would turn a POST into a GET of a log-in page."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class Kibana:
    """One Kibana. It logs in as the `elasticsearch` section says."""

    def __init__(self, url: str, elasticsearch: ElasticsearchConfig) -> None:
        """Raises ConfigError where a secret cannot be read, KibanaError for a bad `ca_certs`."""
        self._url = url
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "kbn-xsrf": "listener",  # any value; without the header Kibana refuses
        }
        if (login := Login(elasticsearch).header()) is not None:
            self._headers["Authorization"] = login
        handlers: list[urllib.request.BaseHandler] = [
            _NoRedirect(),
            urllib.request.ProxyHandler({}),  # like the Elasticsearch client: straight there
        ]
        if elasticsearch.ca_certs is not None:
            try:
                context = ssl.create_default_context(cafile=str(elasticsearch.ca_certs))
            except OSError as error:
                raise KibanaError(f"cannot use {elasticsearch.ca_certs}: {error}") from error
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def ensure(self, view: DataView) -> Literal["made", "there"]:
        """Make the data view unless it is there. Safe to repeat, and to run twice at a time.

        Raises KibanaAway where it is worth another try, KibanaError where it is not.
        """
        status, _ = self._request("GET", f"{_PATH}/{quote(view.id, safe='')}")
        if status == 200:
            return "there"
        status, answer = self._request("POST", _PATH, view.body())
        if status == 200:
            return "made"
        reason = str(answer.get("message", ""))
        if status == 409 or (status == 400 and "duplicate" in reason.lower()):
            # another process was faster, or one of this name was made by hand
            return "there"
        if status == 404:
            reason = "it has no data view API (Kibana 8.1 or newer has), or its URL lacks a path"
        raise KibanaError(f"Kibana refuses the data view {view.title}: {status} {reason}".strip())

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(  # noqa: S310 - the configuration allows only http(s)
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
            method=method,
        )
        try:
            with self._opener.open(request, timeout=_SECONDS) as response:
                status, raw = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read()
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise KibanaError(f"Kibana's certificate is not trusted: {error.reason}") from error
            raise KibanaAway(str(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise KibanaAway(str(error) or type(error).__name__) from error
        return status, self._judge(status, raw)

    def _judge(self, status: int, raw: bytes) -> dict[str, Any]:
        """The answer as an object. Raises as `ensure` does for what concerns no data view."""
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        message = answer.get("message", "") if isinstance(answer, dict) else ""
        if status in PASSING_STATUSES:  # 503 until it has started
            raise KibanaAway(f"{status} {message or 'Kibana is not ready yet'}")
        if status in (401, 403):
            raise KibanaError(
                f"Kibana refuses the log-in of the elasticsearch section: {status} {message}"
            )
        if 300 <= status < 400:
            raise KibanaError(f"{self._url} redirects ({status}): give kibana.url its full path")
        if not isinstance(answer, dict):
            raise KibanaError(f"{self._url} answers {status} without JSON: is this Kibana?")
        return answer
