"""Our index is deleted, or somebody changes where its alias leads: said, and mended by a load."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.postgres import PostgresServer
from tests.kit.recovery import Back
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.servers import own_search
from tests.kit.writers import Writers

NAMES_THE_INDEX = ("index.uuid", "index.creation_date", "index.provided_name")
BY_THE_SERVER = (
    *NAMES_THE_INDEX,
    "index.version.created",
    "index.routing.allocation.include._tier_preference",
    "index.replication.type",
)


def content(scene: Scene, physical: str) -> str:
    """Settings and mapping of an index as the server has them, but for what names the index."""
    body = scene.request("GET", f"/{physical}?flat_settings=true")[physical]
    for name in NAMES_THE_INDEX:
        del body["settings"][name]
    return json.dumps([body["settings"], body["mappings"]], sort_keys=True)


def flat(value: dict[str, Any], prefix: str = "index.") -> Iterator[tuple[str, Any]]:
    """Settings by their whole names, as the server writes them."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner if isinstance(inner, list) else str(inner)


def assert_as_configured(scene: Scene, physical: str) -> None:
    """What index_config.json says, all of it and nothing else."""
    path = Path(scene.options["documents"][0]["index_config_file"])
    config = json.loads(path.read_text("utf-8"))
    body = scene.request("GET", f"/{physical}?flat_settings=true")[physical]
    mapping = body["mappings"]
    assert set(mapping.pop("_meta")) == {"listener"}
    assert mapping == config["mappings"]
    settings = {name: one for name, one in body["settings"].items() if name not in BY_THE_SERVER}
    assert settings == dict(flat(config["settings"]))


def everything(scene: Scene) -> dict[str, list[str]]:
    """All indexes that bear our prefix, with their aliases."""
    found = scene.request("GET", f"/{scene.prefix}*?expand_wildcards=all")
    return {name: sorted(body["aliases"]) for name, body in found.items()}


def delete_under_writes(scene: Scene) -> None:
    """DELETE of the index while all is quiet, of the one in use under writes, then of the one that
    is being loaded instead."""
    scene.set(page_size=40, audit_every=0.5)
    daemon = scene.serve()
    [first] = scene.behind()
    assert_as_configured(scene, first)
    fresh = content(scene, first)
    scene.request("DELETE", f"/{first}")
    # for a delete alone OpenSearch makes an index, though an alias is required
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 291')::uuid")
    daemon.wait_for("index_vanished")
    again = daemon.wait_for("loaded", after=daemon.found("loaded")[0])
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        scene.request("DELETE", f"/{again['physical']}")
        started = daemon.wait_for("load_started", after=mark)
        daemon.wait_for("load_progress", after=started)
        scene.request("DELETE", f"/{started['physical']}")
        back = Back(scene)
        loaded = daemon.wait_for("loaded", after=mark)
        back.converged(daemon, f"{scene.search.kind}: DELETE of the index, load included")
        writers.wait()
    assert daemon.found("index_vanished", after=mark)[0].level == "ERROR"
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    [now] = scene.behind()
    assert now == loaded["physical"]
    assert now not in (first, again["physical"], started["physical"])
    assert_as_configured(scene, now)
    assert content(scene, now) == fresh
    left = everything(scene)
    assert left.pop(f"{scene.prefix}-control") == []
    [alias, written] = left.pop(now)
    assert alias == scene.index
    assert written.startswith(f"{scene.index}.w")
    assert left == {}
    assert not daemon.found("parked")


def test_deleted_index_comes_back_as_it_was(scene: Scene) -> None:
    """Settings and mapping are ours, byte for byte; nothing was made by a guess."""
    delete_under_writes(scene)


@pytest.mark.parametrize("name", ["es7", "es9", "os2", "os3"])
def test_deleted_index_on_other_servers(
    name: str, postgres_server: PostgresServer, movies_template: Template, tmp_path: Path
) -> None:
    """The same on Elasticsearch 7.17 and 9, OpenSearch 2 and 3."""
    with (
        own_search(name, heap="400m") as server,
        open_scene(postgres_server, server, movies_template, tmp_path) as scene,
    ):
        delete_under_writes(scene)


# -- the alias -------------------------------------------------------------------------------------


def moved(scene: Scene, ours: str, theirs: str) -> list[dict[str, Any]]:
    """The alias leads to the index of somebody else."""
    return [
        {"remove": {"index": ours, "alias": scene.index}},
        {"add": {"index": theirs, "alias": scene.index}},
    ]


def deleted(scene: Scene, ours: str, theirs: str) -> list[dict[str, Any]]:
    """The alias is gone."""
    return [{"remove": {"index": ours, "alias": scene.index}}]


def shared(scene: Scene, ours: str, theirs: str) -> list[dict[str, Any]]:
    """The alias leads to both, and writes go to theirs."""
    return [{"add": {"index": theirs, "alias": scene.index, "is_write_index": True}}]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (moved, "somebody, which is not of this pipeline"),
        (deleted, "the index or its alias is gone"),
        (shared, "points to 2 indexes"),
    ],
)
def test_alias_changed_by_hand(
    scene: Scene, change: Callable[[Scene, str, str], list[dict[str, Any]]], says: str
) -> None:
    """The audit sees it and says it as an error; a full load brings the alias back. Not one
    document of the other index is written or deleted."""
    scene.set(audit_every=0.5)
    daemon = scene.serve()
    [ours] = scene.behind()
    theirs = f"{scene.prefix}-somebody"
    for number in range(5):
        scene.request("PUT", f"/{theirs}/_doc/{number}?refresh=true", {"text": f"mine {number}"})
    before = scene.request("GET", f"/{theirs}?flat_settings=true")
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        actions = change(scene, ours, theirs)
        scene.request("POST", "/_aliases", {"actions": actions})
        back = Back(scene)
        vanished = daemon.wait_for("index_vanished", after=mark)
        loaded = daemon.wait_for("loaded", after=mark)
        back.converged(daemon, f"alias {change.__name__}, audit and load included")
        writers.wait()
    assert vanished.level == "ERROR"
    assert (
        scene.index in vanished["reason"]
        or "gone" in vanished["reason"]
        or (theirs in vanished["reason"])
    )
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    assert scene.behind() == [loaded["physical"]]
    assert scene.request("GET", f"/{theirs}?flat_settings=true") == before
    stats = scene.request("GET", f"/{theirs}/_stats/indexing")["_all"]["primaries"]["indexing"]
    assert (stats["index_total"], stats["delete_total"]) == (5, 0)
    hits = scene.request("GET", f"/{theirs}/_search")["hits"]["hits"]
    assert {hit["_id"]: hit["_source"]["text"] for hit in hits} == {
        str(number): f"mine {number}" for number in range(5)
    }


@pytest.mark.parametrize("every", [4, 0.1])
def test_settings_changed_by_hand(scene: Scene, every: float) -> None:
    """Settings that decide what becomes of documents are audited too: a new index has ours; also
    where a session takes longer to begin than two audits are apart."""
    scene.set(audit_every=every)
    scene.serve().stop()
    daemon = scene.start()  # which looks at the index at once, where a load leaves it to the audit
    daemon.wait_for("caught_up")
    [first] = scene.behind()
    fresh = content(scene, first)
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        scene.request("PUT", f"/{first}/_settings", {"index.gc_deletes": "1ms"})
        back = Back(scene)
        daemon.wait_for("audit_failed", after=mark, what=re.compile("gc_deletes"))
        daemon.wait_for("loaded", after=mark, deadline=60)
        back.converged(daemon, "settings changed, audit and load included")
        writers.wait()
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    [now] = scene.behind()
    assert now != first
    assert content(scene, now) == fresh


# -- a template of somebody else -------------------------------------------------------------------


def put_template(scene: Scene, body: dict[str, Any]) -> str:
    """A template that matches our indexes and comes before any other; its path."""
    path = f"/_index_template/{scene.prefix}-theirs"
    scene.request(
        "PUT", path, {"index_patterns": [f"{scene.index}-*"], "priority": 2_000_000, **body}
    )
    return path


PIPELINE = {"template": {"settings": {"index.default_pipeline": "theirs"}}}


def test_template_of_somebody_else_is_there_first(scene: Scene) -> None:
    """It is named, with what it adds; once it is gone the daemon loads by itself."""
    path = put_template(scene, PIPELINE)
    daemon = scene.start()
    held = daemon.wait_for("held")
    assert f"{scene.prefix}-theirs ({scene.index}-*) adds index.default_pipeline" in held["reason"]
    daemon.wait_for("held", after=held)
    assert scene.behind() == []
    scene.request("DELETE", path)
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    [now] = scene.behind()
    assert_as_configured(scene, now)


@pytest.mark.parametrize(
    ("body", "adds"),
    [(PIPELINE, "adds index.default_pipeline"), ({"data_stream": {}}, "creates data streams only")],
    ids=["pipeline", "stream"],
)
def test_template_comes_while_the_index_is_lost(
    scene: Scene, body: dict[str, Any], adds: str
) -> None:
    """Under writes: held for as long as the template is there, then loaded as configured."""
    daemon = scene.serve()
    [first] = scene.behind()
    fresh = content(scene, first)
    path = put_template(scene, body)
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        scene.request("DELETE", f"/{first}")
        held = daemon.wait_for("held", after=mark)
        assert adds in held["reason"]
        assert f"{scene.prefix}-theirs" in held["reason"]
        writers.wait()
        daemon.wait_for("held", after=held)
        assert scene.behind() == []
        scene.request("DELETE", path)
        back = Back(scene)
        daemon.wait_for("loaded", after=mark)
        back.converged(daemon, f"a foreign template that {adds}, load included")
        writers.wait()
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    [now] = scene.behind()
    assert content(scene, now) == fresh
    assert not daemon.found("parked")
