"""Stands in for Kibana: its data view API, as far as the one-shot service of compose needs it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

PATH = "/api/data_views/data_view"
views: dict[str, dict[str, Any]] = {}


class Handler(BaseHTTPRequestHandler):
    """Keeps data views; refuses a POST without the header that Kibana asks for."""

    def do_GET(self) -> None:
        """A data view by its id."""
        view = views.get(self.path.rpartition("/")[2])
        self._answer(200 if view else 404, {"data_view": view} if view else {"message": "no"})

    def do_POST(self) -> None:
        """A new data view."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        view = body["data_view"]
        if self.path != PATH or "kbn-xsrf" not in self.headers:
            self._answer(400, {"message": "Request must contain a kbn-xsrf header."})
        elif view["id"] in views:
            self._answer(400, {"message": f"Duplicate data view: {view['title']}"})
        else:
            views[view["id"]] = view
            self._answer(200, {"data_view": view})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


if __name__ == "__main__":
    HTTPServer(("", 5601), Handler).serve_forever()
