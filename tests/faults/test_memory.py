"""Memory is bounded: by a million changes while Elasticsearch is away, and by a rename of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.scene import Scene

FILMS = 100_000
MILLION = 1_000_000
STATEMENT = 5_000
"""Rows of one UPDATE: few enough to be told by NOTIFY, key for key."""
MB = 1024


def memory(daemon: ListenerProcess, what: str = "VmRSS") -> int:
    """Resident memory of the process in kB; VmHWM: its peak since `forget_peak`."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text("utf-8").splitlines():
        if line.startswith(what):
            return int(line.split()[1])
    raise AssertionError(what)


def forget_peak(daemon: ListenerProcess) -> None:
    """Let VmHWM begin anew (proc(5): 5 into clear_refs)."""
    Path(f"/proc/{daemon.pid}/clear_refs").write_text("5", "utf-8")


def many_films(scene: Scene, count: int) -> None:
    """Films without links; `rating` numbers groups of STATEMENT of them."""
    scene.admin(
        "INSERT INTO content.film_work (id, title, type, rating) "
        "SELECT md5('many ' || n)::uuid, 'Many ' || n, 'movie', NULL "
        f"FROM generate_series(1, {count}) AS n"
    )
    scene.admin(
        "CREATE TABLE public.groups AS SELECT id, row_number() OVER () / "
        f"{STATEMENT} AS n FROM content.film_work; CREATE INDEX ON public.groups (n)"
    )
    scene.admin("GRANT SELECT ON public.groups TO PUBLIC")


def sent(daemon: ListenerProcess, mark: int) -> int:
    """How many documents were sent since."""
    return sum(
        one["written"] + one["deleted"] + one["retried"]
        for one in daemon.found("indexed", after=mark)
    )


@pytest.mark.timeout(400)
def test_a_million_rows_change_while_elasticsearch_is_away(scene: Scene) -> None:
    """The daemon holds no more than 20 MB above what it held when it was idle."""
    many_films(scene, FILMS)
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        daemon = scene.start()
        daemon.wait_for("loaded", deadline=120)
        daemon.wait_for("refreshed")
        daemon.wait_for("watermark_moved", after=daemon.mark())
        daemon.stop()  # a load's pages are not what idling costs
        daemon = scene.start()
        daemon.wait_for("caught_up")
        daemon.wait_for("watermark_moved")
        idle = memory(daemon)
        forget_peak(daemon)
        mark = daemon.mark()
        proxy.stop()
        application = scene.connect()
        changed = 0
        while changed < MILLION:
            number = (changed // STATEMENT) % (FILMS // STATEMENT)
            changed += application.execute(
                f"UPDATE content.film_work SET title = 'Changed {changed}' WHERE id IN "
                f"(SELECT id FROM public.groups WHERE n = {number})".encode()
            ).rowcount
        daemon.wait_for("waiting", after=mark, server="Elasticsearch")
        away = memory(daemon, "VmHWM")
        proxy.start()
        daemon.wait_for("recovered", after=mark, server="Elasticsearch", deadline=60)
        # a sweep that began amid the changes ends first, and moves the watermark no further
        scene.wait_converged(120)
    peak, after = memory(daemon, "VmHWM"), memory(daemon)
    print(
        f"resident memory: {idle / MB:.1f} MB idle; {changed:,} rows changed with Elasticsearch "
        f"away: {away / MB:.1f} MB at most; {peak / MB:.1f} MB at most until it was indexed, "
        f"{after / MB:.1f} MB then; {sent(daemon, mark):,} documents sent of {FILMS:,}"
    )
    assert peak - idle <= 20 * MB
    daemon.stop()
    scene.assert_converged()


@pytest.mark.timeout(400)
def test_one_genre_of_all_films_is_renamed(scene: Scene) -> None:
    """With room for a thousand changes: memory stays flat, no document is written over and over."""
    many_films(scene, FILMS // 2)
    scene.admin(
        "INSERT INTO content.genre_film_work (film_work_id, genre_id) "
        "SELECT f.id, md5('genre 1')::uuid FROM content.film_work AS f ON CONFLICT DO NOTHING"
    )
    scene.set(pending_limit=1000)
    daemon = scene.start()
    daemon.wait_for("loaded", deadline=120)
    scene.wait_converged(60)
    daemon.stop()
    daemon = scene.start()
    daemon.wait_for("watermark_moved")
    idle = memory(daemon)
    forget_peak(daemon)
    mark = daemon.mark()
    scene.sql("UPDATE content.genre SET name = 'Renamed' WHERE id = md5('genre 1')::uuid")
    # what comes in between overflows a set of a thousand, and asks for a sweep
    for number in range(3):
        scene.sql(
            f"UPDATE content.film_work SET rating = {number} WHERE id IN "
            f"(SELECT id FROM public.groups WHERE n = {number})"
        )
    scene.wait_converged(120)
    daemon.wait_for("watermark_moved", after=daemon.mark(), deadline=60)
    peak, total = memory(daemon, "VmHWM"), sent(daemon, mark)
    films = FILMS // 2 + 300
    print(
        f"{films:,} films of one genre renamed, pending_limit 1,000: {total:,} documents "
        f"sent, {total / films:.2f} each; {idle / MB:.1f} MB idle, {peak / MB:.1f} MB at most; "
        f"{len(daemon.found('overflowed', after=mark))} overflows"
    )
    assert total <= 3 * films
    assert peak - idle <= 20 * MB
    daemon.stop()
    scene.assert_converged()
