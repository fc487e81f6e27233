"""A proxy, an ingress or a portal answers in Elasticsearch's place: an outage, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kit.lengths import one_short
from tests.kit.proxies.refusing import RefusingProxy
from tests.kit.scene import Scene

JSON, HTML = {"content-type": "application/json"}, {"content-type": "text/html"}
PAGES: list[tuple[int, dict[str, str], bytes]] = [
    (404, {"content-type": "text/plain"}, b"404 page not found\n"),
    (404, JSON, b'{"error":"Not Found","status":404,"path":"/"}'),
    (200, HTML, b"<html>portal</html>"),
    (200, JSON, b""),
    (200, JSON, b"null"),
    (200, JSON, b"[]"),
    (200, JSON, b'"x"'),
    (200, JSON, b'{"status":"ok"}'),
    (200, JSON, b"{}"),
    (200, JSON, b"[" * 100_000),
    (204, {}, b""),
    (301, {"location": "https://login.example.org/"}, b""),
    (400, HTML, b"bad"),
    (403, HTML, b"<h1>WAF</h1>"),
    (500, HTML, b"boom"),
]
EDITS = """
    UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film {}')::uuid;
    DELETE FROM content.film_work WHERE id = md5('film {}')::uuid"""
FOREIGN = "an answer that is not Elasticsearch's: "


@pytest.fixture
def proxy(scene: Scene) -> Iterator[RefusingProxy]:
    """What the daemon reaches Elasticsearch through."""
    with RefusingProxy(scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [proxy.url], "request_timeout": 5})
        yield proxy


def asks(line: str) -> bool:
    """A request that reads."""
    return line.startswith("GET")


def writes(line: str) -> bool:
    """A request that writes documents."""
    return "/_bulk" in line


@pytest.mark.parametrize("paged", one_short((asks, writes), writes))
def test_under_a_daemon_at_work(
    scene: Scene, proxy: RefusingProxy, paged: Callable[[str], bool]
) -> None:
    """Waited for, with what was answered; no load, no comparison, no end."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    began = daemon.mark()
    for number, page in enumerate(PAGES):
        mark, before = daemon.mark(), proxy.pages
        proxy.answer_instead(*page, paged=paged)
        scene.admin(EDITS.format(2 * number + 1, 2 * number + 2))
        waiting = daemon.wait_for("waiting", after=mark, server="Elasticsearch")
        assert waiting["reason"].startswith(f"{FOREIGN}{page[0]} "), waiting
        assert f"is {proxy.url} a proxy's?" in waiting["reason"]
        assert proxy.pages > before
        proxy.disarm()
        scene.wait_converged()
    daemon.stop()
    for event in ("held", "load_started", "reconcile_started", "parked", "audit_failed"):
        assert not daemon.found(event, after=began), daemon.log
    scene.assert_converged()


@pytest.mark.long
def test_it_is_there_at_the_start(scene: Scene, proxy: RefusingProxy) -> None:
    """Commands end with 3, and say what was answered; `run` waits, as for any server."""
    scene.set(backoff={"start": 0.05, "limit": 0.2, "give_up_after": 1})
    scene.once()
    for page in (PAGES[0], PAGES[5]):
        proxy.answer_instead(*page)
        for command in ("check", "verify", "--once", "load", "parked --retry"):
            process = scene.start(*command.split())
            asked = "parked" not in command  # with nothing parked it asks PostgreSQL alone
            assert process.exit_status() == (3 if asked else 0), process.log
            assert (f"{FOREIGN}{page[0]} " in process.log) == asked, process.log
            assert "Traceback" not in process.log
        proxy.disarm()
    proxy.answer_instead(*PAGES[0])
    daemon = scene.start()
    daemon.wait_for("waiting", server="Elasticsearch")
    scene.admin(EDITS.format(1, 2))
    proxy.disarm()
    daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()
