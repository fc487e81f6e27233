"""Migrations of key columns, and what they must not do to the application or to the index."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from playground.daemon import ListenerProcess, Record
from tests.kit.scene import OWNER, Connection, Scene


@dataclass
class Migrated:
    """A scene whose tables change under its daemon and under an application that stays connected:
    its sessions have the trigger functions compiled and planned."""

    scene: Scene
    daemon: ListenerProcess
    application: Connection
    _number: int = 0

    def migrate(self, *statements: str) -> None:
        """As the owner, in one transaction: an application sees all of it or nothing."""
        with (
            contextlib.closing(self.scene.connect(OWNER)) as connection,
            connection.transaction(),
        ):
            for statement in statements:
                connection.execute(statement.encode())

    def write(self, *statements: str) -> None:
        """As the application, which must not see an error: in the old session and in a new one.

        `{}` in a statement is another number each time, so that each changes something.
        """
        with contextlib.closing(self.scene.connect()) as fresh:
            for connection in (self.application, fresh):
                for statement in statements:
                    self._number += 1
                    connection.execute(statement.replace("{}", str(self._number)).encode())

    def held(self, after: Record | int, table: str, what: str) -> Record:
        """The daemon stays, holds, and says which column of which table it misses."""
        said = self.daemon.wait_for(
            "held", after=after, reason=re.compile(re.escape(f"{table}: {what}"))
        )
        assert self.daemon.running
        return said

    def compared(self, after: Record | int) -> None:
        """It went on by itself, compared all documents, and index = query."""
        begun = self.daemon.wait_for("history_changed", after=after)
        for document in self.scene.options["documents"]:
            self.daemon.wait_for("reconciled", after=begun, index=document["index"])
        self.scene.wait_converged()
        self.daemon.wait_for("watermark_moved", after=begun)

    def restarted(self) -> None:
        """With the configuration as it is now: a full load, and index = query."""
        self.daemon.stop()
        self.daemon = self.scene.start()
        self.daemon.wait_for("loaded")
        self.daemon.wait_for("caught_up")
        self.scene.wait_converged()

    def settled(self, *statements: str) -> None:
        """The application's edits arrive by the usual way."""
        mark = self.daemon.mark()
        self.write(*statements)
        self.scene.wait_converged()
        assert not self.daemon.found("reconcile_started", after=mark), self.daemon.log


def own_files(scene: Scene) -> None:
    """Copies of the configuration's SQL files, which a test may rewrite."""
    folder = scene.folder / "sql"
    folder.mkdir(exist_ok=True)
    for number, document in enumerate(scene.options["documents"]):
        for part in (document, *document["watch"]):
            for name in list(part):
                if name.endswith("_file"):
                    copy = folder / f"{number}-{Path(part[name]).name}"
                    copy.write_text(Path(part[name]).read_text("utf-8"), "utf-8")
                    part[name] = str(copy)


def rewrite(path: str, before: str, after: str) -> None:
    """Change a text in a file, wherever it stands there; it must."""
    file = Path(path)
    text = file.read_text("utf-8")
    assert before in text, f"nothing to change in {path}: {before!r}"
    file.write_text(text.replace(before, after), "utf-8")
