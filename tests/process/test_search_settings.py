"""Settings of an index that lose writes: changed while nobody looked, or asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.lengths import one_short
from tests.kit.scene import Scene


@pytest.mark.parametrize("upgraded", one_short((False, True), False), ids=["", "former release"])
@pytest.mark.parametrize(
    "settings",
    one_short(
        ({"index.translog.durability": "async"}, {"index.gc_deletes": "1s"}),
        {"index.gc_deletes": "1s"},
    ),
    ids=["async", "gc_deletes"],
)
def test_changed_while_the_daemon_was_away(
    scene: Scene, settings: dict[str, Any], upgraded: bool
) -> None:
    """The start finds it, says it, and loads into an index as configured; also where nothing was
    noted of the index before."""
    scene.serve().stop()
    [old] = scene.behind()
    if upgraded:
        state = scene.state
        for name in ("marks", "control"):
            del state["identity"][name]
        scene.state_file.write_text(yaml.safe_dump(state), "utf-8")
    scene.request("PUT", f"/{old}/_settings", settings)
    daemon = scene.start()
    started = daemon.wait_for("load_started")
    assert old in started["reason"], daemon.log
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    assert scene.behind() != [old]


def test_a_harmless_change_is_found_by_what_was_noted(scene: Scene) -> None:
    """A field more in the mapping, made while the daemon was away."""
    scene.serve().stop()
    [old] = scene.behind()
    scene.request("PUT", f"/{old}/_mapping", {"properties": {"theirs": {"type": "keyword"}}})
    daemon = scene.start()
    started = daemon.wait_for("load_started")
    assert f"mapping or settings of {old} were altered" in started["reason"]
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize(
    ("settings", "away"),
    [
        pytest.param({"index.default_pipeline": "nobodys"}, False, marks=pytest.mark.long),
        ({"index.default_pipeline": "nobodys"}, True),
        pytest.param({"index.final_pipeline": "nobodys"}, False, marks=pytest.mark.long),
        ({"index.mapping.nested_objects.limit": 0}, False),
        pytest.param(
            {"index.default_pipeline": "nobodys", "index.blocks.write": True},
            True,
            marks=pytest.mark.long,
        ),
        pytest.param(
            {
                "index.gc_deletes": "1s",
                "index.number_of_replicas": 1,
                "index.write.wait_for_active_shards": "all",
            },
            True,
            marks=pytest.mark.long,
        ),
    ],
    ids=["default", "default, away", "final", "nested", "blocked, too", "no copies, too"],
)
def test_writes_that_the_index_in_use_refuses(
    scene: Scene, settings: dict[str, Any], away: bool
) -> None:
    """A load replaces it, and what it refuses holds neither the audit nor the swap. Nothing is
    lost: the new index has it."""
    scene.set(audit_every=1)
    daemon = scene.serve()
    if away:
        daemon.stop()
    [old] = scene.behind()
    scene.request("PUT", f"/{old}/_settings", settings)
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 3')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 4')::uuid")
    if away:
        daemon = scene.start()
    after = None if away else daemon.wait_for("audit_failed")
    # a swap waits for what is in flight: where copies lack, the server refuses after ten seconds
    loaded = daemon.wait_for("loaded", after=after, deadline=60)
    assert scene.behind() == [loaded["physical"]] != [old]
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    assert scene.admin("SELECT count(*) FROM listener.parked") == [(0,)]
    held = [one["message"] for one in daemon.records if one["event"] == "held"]
    for one in held:
        assert "/INDEX/" not in one
        assert "Mend: " not in one or f"/{old}/" in one


def test_what_hinders_reads_and_the_control_index(scene: Scene) -> None:
    """The audit tells it once, with what to send, and `check` does; all else goes on."""
    scene.set(audit_every=0.5)
    daemon = scene.serve()
    [index] = scene.behind()
    control = scene.options["elasticsearch"]["control_index"]
    mark = daemon.mark()
    for name, setting in ((index, "blocks.read"), (control, "translog.durability")):
        value = True if name == index else "async"
        scene.request("PUT", f"/{name}/_settings", {f"index.{setting}": value})
        told = daemon.wait_for("check_warning", after=mark)
        mark = daemon.mark()
        assert f"{name} has the setting {setting}: " in told.message
        assert f"PUT /{name}/_settings" in told.message
    check = scene.start("check")
    check.expect_exit(0)
    assert "2 warnings" in check.log
    assert scene.behind() == [index]
    scene.request("PUT", f"/{index}/_settings", {"index.blocks.read": None})
    scene.wait_converged()
    daemon.stop()


def test_asked_for_in_the_configuration(scene: Scene) -> None:
    """`check`, `load` and `run` refuse it, with the file and what to write."""
    document = scene.options["documents"][0]
    body = json.loads(Path(document["index_config_file"]).read_text("utf-8"))
    body["settings"]["index.translog.durability"] = "async"
    path = scene.folder / "index_config.json"
    path.write_text(json.dumps(body))
    document["index_config_file"] = str(path)
    for arguments in (("check",), ("load",), ()):
        process = scene.start(*arguments)
        process.expect_exit(2)
        told = process.log
        assert "translog.durability is 'async'" in told
        assert str(path) in told
        assert 'write "request"' in told
