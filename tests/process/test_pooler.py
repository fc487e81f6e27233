"""A transaction pooler in the way: each command refuses it, and leaves nothing on its backends."""

from __future__ import annotations

import re

import pytest

from playground.proxy import TcpProxy
from tests.kit.proxies.pooler import Pooler
from tests.kit.scene import OWNER, PASSWORD, Scene

COMMANDS = [
    ["run"],
    ["--once"],
    ["load"],
    ["verify"],
    ["verify", "--repair"],
    ["check"],
    ["parked"],
    ["triggers", "install"],
    ["triggers", "remove"],
    ["triggers", "print"],
]


def through(scene: Scene) -> Pooler:
    """A pooler of this scene's database."""
    path = f"{scene.postgres.socket_directory}/.s.PGSQL.{scene.postgres.port}"
    return Pooler(path, OWNER, scene.database)


@pytest.mark.long
def test_every_command_refuses_it(scene: Scene) -> None:
    """2, with the word and the way out; no backend keeps a setting, a lock or a LISTEN of ours."""
    scene.once()
    direct = scene.options["postgres"]["port"]
    with through(scene) as pooler:
        scene.set(postgres={"port": pooler.port})
        for command in COMMANDS:
            process = scene.start(*command)
            process.expect_exit(2)
            assert "pooler" in process.log, process.log
            assert "PostgreSQL itself, not the pooler" in process.log, process.log
        dsn = f"host=127.0.0.1 port={pooler.port} dbname={scene.database} user={OWNER}"
        process = scene.start(
            "triggers", "install", "--dsn", dsn, environment={"PGPASSWORD": PASSWORD}
        )
        process.expect_exit(2)
        assert "pooler" in process.log
        assert pooler.statements >= len(COMMANDS)
        assert pooler.settings() == []
    scene.set(postgres={"port": direct})
    scene.once()
    scene.assert_converged()


def test_a_pooler_put_in_between(scene: Scene) -> None:
    """Under a daemon that serves: held until the way is direct again."""
    with TcpProxy("127.0.0.1", scene.postgres.port) as proxy, through(scene) as pooler:
        scene.set(postgres={"port": proxy.port})
        daemon = scene.serve()
        mark = daemon.mark()
        proxy.target = ("127.0.0.1", pooler.port)
        proxy.cut()
        daemon.wait_for("held", after=mark, reason=re.compile("pooler.*Mend: postgres.host"))
        scene.sql("UPDATE content.film_work SET title = 'x' WHERE id = md5('film 1')::uuid")
        proxy.target = ("127.0.0.1", scene.postgres.port)
        proxy.cut()
        scene.wait_converged()
        assert pooler.settings() == []
        daemon.stop()
    scene.assert_converged()
