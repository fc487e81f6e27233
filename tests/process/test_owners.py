"""Two pipelines that would feed one alias: the second is refused by name, and touches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.lengths import one_short
from tests.kit.scene import Scene, Template, open_scene


@pytest.fixture
def other(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """A second database of the same server, whose pipeline is given the index of the first."""
    folder = tmp_path_factory.mktemp("other")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        yield scene


def everything(scene: Scene) -> Any:
    """Indexes, aliases and templates as they are."""
    found = scene.request("GET", f"/{scene.prefix}*?expand_wildcards=all")
    templates = scene.request("GET", f"/_index_template/listener-{scene.prefix}*")
    return {name: one["aliases"] for name, one in found.items()}, templates


@pytest.mark.parametrize(
    "same_name", one_short((False, True), True), ids=["other pipeline", "same pipeline"]
)
def test_another_database_with_the_same_index(scene: Scene, other: Scene, same_name: bool) -> None:
    """`run`, `--once` and `check` end with 2 and both names; the first one goes on undisturbed."""
    daemon = scene.serve()
    if same_name:
        other.set(pipeline=scene.prefix)
    other.options["documents"] = scene.options["documents"]
    before = everything(scene)
    for arguments in ((), ("--once",)):
        second = other.start(*arguments)
        second.expect_exit(2)
        told = " ".join(one.message for one in second.records)
        for name in (scene.database, other.database, scene.prefix):
            assert name in told
    check = other.start("check")
    check.expect_exit(2)
    assert scene.database in check.output
    if not same_name:
        other.start("load").expect_exit(2)
    assert everything(scene) == before
    scene.sql("UPDATE content.film_work SET title = 'Mine' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    assert not daemon.found("index_vanished"), daemon.log
    assert not daemon.found("fenced"), daemon.log
    daemon.stop()
    scene.assert_converged()


def test_both_begin_at_once(scene: Scene, other: Scene) -> None:
    """The template that keeps the name is made by one of them; the other one makes no index."""
    other.options["documents"] = scene.options["documents"]
    daemons = {scene.prefix: scene.start(), other.prefix: other.start()}
    scenes = {scene.prefix: scene, other.prefix: other}
    template = f"/_index_template/listener-{scene.index}"
    for prefix, daemon in daemons.items():
        daemon.wait_until(
            lambda records: next(
                (one for one in records if one.event in ("loaded", "held", "ended")), None
            ),
            what=f"an end of the beginning of {prefix}",
        )
    [found] = scene.request("GET", template)["index_templates"]
    owner = found["index_template"]["_meta"]["listener"]["pipeline"]
    winner = scenes.pop(owner)
    [loser] = scenes
    daemons[owner].wait_for("loaded")
    winner.wait_converged()
    assert not daemons[loser].found("load_started"), daemons[loser].log
    assert len(scene.physical()) == 1
    daemons[owner].stop()
    winner.assert_converged()


def test_a_database_that_was_moved(scene: Scene, other: Scene) -> None:
    """A restored dump has another oid: `load` is the way out, then all is as ever; what is left of
    the former one is named by --drop-old, and not deleted."""
    scene.serve().stop()
    [old] = scene.behind()
    other.options.update(
        {name: scene.options[name] for name in ("pipeline", "documents", "elasticsearch")}
    )
    other.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    other.start().expect_exit(2)
    load = other.start("load")
    load.expect_exit(0)
    kept = load.wait_for("old_index_kept", physical=old).message
    assert f"it belongs to the database {scene.database}" in kept
    assert kept.endswith(f"DELETE /{old}")
    other.assert_converged()
    daemon = other.serve()
    other.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    other.wait_converged()
    daemon.stop()
    other.assert_converged()
    dropped = other.start("load", "--drop-old")
    dropped.expect_exit(0)
    assert f"kept {old}: it belongs to the database {scene.database}" in dropped.output
    assert old in scene.physical()
    refused = scene.start()
    refused.expect_exit(2)


def test_an_index_of_a_former_release_is_adopted(scene: Scene) -> None:
    """It names its pipeline alone; the saved state knows it, and the owner is written into it."""
    scene.serve().stop()
    [name] = scene.behind()
    meta = scene.request("GET", f"/{name}/_mapping")[name]["mappings"]["_meta"]
    database = meta["listener"].pop("database")
    scene.request("PUT", f"/{name}/_mapping", {"_meta": meta})
    daemon = scene.serve()
    assert not daemon.found("load_started"), daemon.log
    daemon.stop()
    meta = scene.request("GET", f"/{name}/_mapping")[name]["mappings"]["_meta"]
    assert meta["listener"]["database"] == database
    scene.assert_converged()
