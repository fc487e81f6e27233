"""Two pipelines in one database: each has a schema of its own, which knows its name."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from listener import triggers
from listener.changes import Watch
from listener.config import TriggersConfig
from listener.runtime.lifecycle import Stop
from tests.kit.scene import OWNER, Scene

OURS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%listener%'"
THEIRS = [
    {
        "index": "",
        "table": "content.genre",
        "key": "id",
        "query_file": "theirs.sql",
        "index_config_file": "theirs.json",
        "watch": [{"table": "content.genre", "key": "id"}],
    }
]


@pytest.fixture
def two(scene: Scene) -> Scene:
    """The movies are served; another configuration of the same database and schema is at hand."""
    scene.serve()
    return scene


def other(scene: Scene, **options: Any) -> None:
    """From here on the configuration is that of another pipeline: it watches one table, and stamps
    nothing."""
    (scene.folder / "theirs.sql").write_text(
        "SELECT g.id, json_build_object('name', g.name) AS document FROM content.genre AS g "
        "WHERE g.id = ANY(%(ids)s::text[]::uuid[])"
    )
    (scene.folder / "theirs.json").write_text(
        '{"mappings": {"dynamic": "strict", "properties": {"name": {"type": "keyword"}}}}'
    )
    theirs = dict(THEIRS[0], index=f"{scene.prefix}-theirs")
    for name in ("query_file", "index_config_file"):
        theirs[name] = str(scene.folder / str(theirs[name]))
    scene.set(pipeline=f"{scene.prefix}-theirs", documents=[theirs], **options)


def test_the_second_is_refused_by_name(two: Scene) -> None:
    """By every command, before it stands by or touches anything: the first goes on undisturbed."""
    first = two.options["pipeline"]
    documents = two.options["documents"]
    before = two.admin(OURS)
    other(two)
    commands = (
        (),
        ("--once",),
        ("load",),
        ("check",),
        ("verify",),
        ("parked",),
        ("triggers", "install"),
        ("triggers", "print"),
        ("triggers", "remove"),
    )
    for process in [two.start(*command, folder="theirs") for command in commands]:
        process.expect_exit(2)
        said = process.log
        assert f"belongs to the pipeline {first}" in said, said
        assert f"called {first}-theirs" in said, said
        assert "postgres.schema" in said, said
        assert "standing_by" not in [record.event for record in process.records]
    assert two.admin(OURS) == before
    two.set(pipeline=first, documents=documents)
    two.sql("UPDATE content.genre SET name = name || ' (new)'")
    two.wait_converged()


def test_a_schema_of_its_own_is_the_way_out(two: Scene) -> None:
    """Both serve, of one table."""
    documents, first = two.options["documents"], two.options["pipeline"]
    other(two, postgres={"schema": f"{two.prefix}_theirs".replace("-", "_")})
    second = two.start(folder="theirs")
    second.wait_for("caught_up")
    two.sql("UPDATE content.genre SET name = name || ' (new)'")
    two.wait_converged()
    two.set(pipeline=first, documents=documents, postgres={"schema": "listener"})
    two.wait_converged()


def test_one_name_in_two_schemas(two: Scene) -> None:
    """A configuration that was copied, its schema changed and its name not: the two would take
    each other's watermark, and fence each other for ever."""
    documents, name = two.options["documents"], two.options["pipeline"]
    first, schema = two.processes.started[0], f"{two.prefix}_theirs".replace("-", "_")
    mark = first.mark()
    other(two, postgres={"schema": schema})
    two.set(pipeline=name)
    for arguments in ((), ("--once",)):
        second = two.start(*arguments, folder="theirs")
        second.expect_exit(2)
        assert "it belongs to the schema listener (postgres.schema)" in second.log
        assert "another name" in second.log
        assert two.admin(f"SELECT to_regnamespace('{schema}')") == [(None,)]
    two.set(documents=documents, postgres={"schema": "listener"})
    two.sql("UPDATE content.genre SET name = name || ' (new)'")
    two.wait_converged()
    assert not first.found("fenced", after=mark), first.log
    first.stop()
    two.assert_converged()


def test_a_pipeline_that_was_renamed(two: Scene) -> None:
    """`--take-over` is for it, once its daemon is stopped; from then on the old name is refused."""
    first = two.options["pipeline"]
    two.set(pipeline=f"{first}-now")
    refused = two.start("triggers", "install", "--take-over", folder="now")
    refused.expect_exit(4)
    assert "a daemon is active" in refused.log
    two.processes.started[0].stop()
    taken = two.start("triggers", "install", "--take-over", folder="now")
    taken.expect_exit(0)
    assert two.admin("SELECT pipeline FROM listener.meta") == [(f"{first}-now",)]
    two.set(pipeline=first)
    old = two.start()
    old.expect_exit(2)
    assert f"belongs to the pipeline {first}-now" in old.log


def test_two_installs_at_once(scene: Scene) -> None:
    """One of them gets the schema; the other is refused, and has changed nothing."""
    wanted = {
        name: triggers.Installation(
            [Watch("content", table, ("id",))],
            "listener",
            TriggersConfig(),
            claim=triggers.Claim(name),
        )
        for name, table in (("one", "genre"), ("two", "person"))
    }
    barrier = threading.Barrier(2)
    outcome: dict[str, str] = {}

    def install(name: str) -> None:
        conn = scene.connect(OWNER)
        barrier.wait()
        try:
            triggers.install(
                conn,
                wanted[name],
                observe=lambda _: None,
                stop=Stop(),
            )
            outcome[name] = ""
        except triggers.TriggerError as error:
            outcome[name] = str(error)

    threads = [threading.Thread(target=install, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    [(winner,)] = scene.admin("SELECT pipeline FROM listener.meta")
    loser = "two" if winner == "one" else "one"
    assert outcome[winner] == ""
    assert f"belongs to the pipeline {winner}, and this one is called {loser}" in outcome[loser]
    conn = scene.connect(OWNER)
    status = triggers.differences(conn, wanted[winner]).wrong
    assert status == ()


def test_a_standby_with_another_configuration(two: Scene) -> None:
    """Of a new release: it touches no trigger before the old one has ended."""
    name, before = two.options["pipeline"], two.admin(OURS)
    active = two.processes.started[0]
    other(two)
    [theirs] = two.options["documents"]
    theirs["watch"] = [{"table": "content.genre", "key": "id", "updated_at": "seen_at"}]
    two.set(pipeline=name, documents=[theirs])
    standby = two.start(folder="theirs")
    standby.wait_for("standing_by")
    assert two.admin(OURS) == before
    active.stop()
    standby.wait_for("caught_up")
    assert two.admin(OURS) != before
    two.sql("UPDATE content.genre SET name = name || ' (new)'")
    two.wait_converged()
