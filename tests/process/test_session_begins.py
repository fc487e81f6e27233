"""What a session finds out at its beginning is not lost where a server fails before it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from playground.daemon import ListenerProcess
from tests.kit.blind import LINKS, emptied, names
from tests.kit.proxies.refusing import Fault, RefusingProxy
from tests.kit.scene import Scene


@pytest.fixture
def proxy(scene: Scene) -> Iterator[RefusingProxy]:
    """The scene's way to Elasticsearch."""
    with RefusingProxy(scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [proxy.url]}, audit_every=0.3)
        yield proxy


def move(number: int) -> str:
    """A link moves from one film to another: two documents are wrong."""
    return (
        f"UPDATE content.person_film_work SET film_work_id = md5('film {number + 1}')::uuid, "
        f"role = 'mover' WHERE id = md5('person link {number} 1')::uuid"
    )


def blind_session(
    scene: Scene, daemon: ListenerProcess, proxy: RefusingProxy, number: int, fault: Fault
) -> bool:
    """Rows are written while nothing records them, some committed and some not yet; a session
    begins for it, whose request of this number meets the fault. Whether one did."""
    name = names(scene, LINKS)["update"]
    [(whole,)] = scene.admin(f"SELECT pg_get_functiondef('listener.{name}'::regproc)")
    first = f"PUT /{scene.prefix}-control"
    mark = daemon.mark()
    proxy.arm(number, fault, begins=lambda line: line == first)
    late = scene.connect()
    scene.admin(emptied(name))
    scene.sql(move(4 * number))
    with late.transaction():
        late.execute(move(4 * number + 2).encode())
        scene.admin(whole)
        failed = daemon.wait_for("audit_failed", after=mark)
        daemon.wait_for("reconciled", after=failed)
        proxy.disarm()
    late.close()
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    return proxy.hit is not None


@pytest.mark.long
@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_elasticsearch_fails_between_the_look_and_the_comparison(
    scene: Scene, proxy: RefusingProxy, fault: Fault
) -> None:
    """What was written blindly and is committed later is compared, too, whichever request fails:
    the session after it knows why, though its own look finds nothing."""
    daemon = scene.serve()
    for number in (3, 6, 8, 10):
        assert blind_session(scene, daemon, proxy, number, fault), number
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_a_repair_that_was_asked_for_is_done(scene: Scene, proxy: RefusingProxy) -> None:
    """Elasticsearch fails once within `verify --repair`: it is mended all the same."""
    scene.serve().stop()
    behind = scene.behind()[0]
    for number, fault in ((4, "refused"), (7, "unanswered"), (9, "lost")):
        scene.request("PUT", f"/{behind}/_doc/no-uuid-at-all?refresh=true", {"title": "odd"})
        proxy.arm(number, fault, begins=lambda line: line == f"PUT /{scene.prefix}-control")  # type: ignore[arg-type]
        mend = scene.start("verify", "--repair")
        mend.expect_exit(0)
        assert proxy.hit, mend.log
        assert re.search("orphaned: 1 ", mend.output)
        scene.assert_converged()
