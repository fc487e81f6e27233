"""A document whose files a test edits, as people do each week."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.kit.convergence import wait_converged
from tests.kit.scene import Scene


class Edited:
    """A scene whose first document has files of its own, which a test edits. `before` is a
    configuration with copies of what they said at first."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.document = scene.options["documents"][0]
        for name in ("query_file", "index_config_file"):
            copy = scene.folder / Path(self.document[name]).name
            shutil.copy(self.document[name], copy)
            self.document[name] = str(copy)
        self.query = Path(self.document["query_file"])
        self.mapping = Path(self.document["index_config_file"])
        self.before = scene.folder / "before" / "config.yaml"
        self.before.parent.mkdir()
        document = dict(self.document)
        for name in ("query_file", "index_config_file"):
            copy = self.before.parent / Path(document[name]).name
            shutil.copy(document[name], copy)
            document[name] = str(copy)
        options = {**scene.options, "documents": [document]}
        self.before.write_text(yaml.safe_dump(options, allow_unicode=True), "utf-8")

    def edit(self, old: str, new: str) -> None:
        """Change the query."""
        text = self.query.read_text("utf-8")
        assert old in text
        self.query.write_text(text.replace(old, new), "utf-8")

    def rename_title(self) -> None:
        """In query and mapping: neither index takes the documents of the other query."""
        self.edit("'title', film.title", "'name', film.title")
        body = json.loads(self.mapping.read_text("utf-8"))
        fields = body["mappings"]["properties"]
        fields["name"] = fields.pop("title")
        self.mapping.write_text(json.dumps(body), "utf-8")

    def wait_as_before(self) -> None:
        """The index in use equals the query that it was made by."""
        scene = self.scene
        try:
            wait_converged(self.before, scene.postgres.dsn(scene.database), scene.search.url)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}\n\n{scene.processes.logs}")
