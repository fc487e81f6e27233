"""A field is renamed in query and mapping while people write and search: load, swap, and back."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from operator import le
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.convergence import wait_converged
from tests.kit.edited import Edited
from tests.kit.scene import Scene
from tests.kit.writer import Writer

_WRITERS = 4
_PATIENCE = 120.0
"""Seconds. Pages are small, and each waits for its turn among the edits."""
_EDITS = 200
"""Edits that are committed in each phase, at 200 or more a second where the machine can."""


class Searcher:
    """Searches without a pause, as people do, and remembers each answer that no single definition
    can have given: of two indexes, with both fields or neither, of fewer documents than there are
    at least, or an error."""

    def __init__(self, scene: Scene) -> None:
        self._url = f"{scene.search.url}/{scene.index}/_search?size=1000"
        self._least = 100
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="searcher", daemon=True)
        self.answers: dict[str, int] = {}
        """How many, by index."""
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                with urllib.request.urlopen(self._url, timeout=20) as answer:
                    self._look(json.load(answer)["hits"]["hits"])
            except (OSError, ValueError) as error:
                self.wrong.append(repr(error))

    def _look(self, hits: list[dict[str, Any]]) -> None:
        indexes = {hit["_index"] for hit in hits}
        fields = {tuple(sorted(hit["_source"].keys() & {"title", "name"})) for hit in hits}
        if len(indexes) != 1 or len(fields) != 1 or len(hits) < self._least:
            self.wrong.append(f"{len(hits)} documents of {indexes}, with {fields}")
            return
        [index], [named] = indexes, fields
        seen = f"{index} {' and '.join(named) or 'neither'}"
        self.answers[seen] = self.answers.get(seen, 0) + 1


class Remap:
    """A scene whose field is renamed, with what each index is compared with."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.edited = Edited(scene)
        self.rates: list[float] = []

    def expect(self, indexes: dict[str, Path]) -> None:
        """Each index equals the query of its own configuration."""
        scene = self.scene
        for physical, config in indexes.items():
            options = yaml.safe_load(config.read_text("utf-8"))
            [document] = options["documents"]
            document["index"] = physical
            for name in ("query_file", "index_config_file"):
                document[name] = str(config.parent / document[name])
            own = scene.folder / f"{physical}.yaml"
            own.write_text(yaml.safe_dump(options, allow_unicode=True), "utf-8")
            try:
                wait_converged(
                    own,
                    scene.postgres.dsn(scene.database),
                    scene.search.url,
                    deadline=_PATIENCE,
                )
            except pytest.fail.Exception as error:
                pytest.fail(f"{physical}: {error}\n\n{scene.processes.logs}")

    @contextlib.contextmanager
    def edits(self) -> Iterator[None]:
        """Several applications write; there are enough edits at the end of the block."""
        with contextlib.ExitStack() as stack:
            began = time.monotonic()
            writers = [
                stack.enter_context(Writer(self.scene, seed, pace=0.005))
                for seed in range(_WRITERS)
            ]
            yield
            for writer in writers:
                writer.wait(_EDITS // _WRITERS)
            committed = sum(writer.committed for writer in writers)
            self.rates.append(committed / (time.monotonic() - began))

    def rollback(self) -> ListenerProcess:
        """Go back, or forth."""
        process = self.scene.start("rollback", self.scene.index)
        assert process.exit_status(60) == 0, self.scene.processes.logs
        return process


@pytest.fixture
def remap(scene: Scene) -> Iterator[Remap]:
    """Small pages, and an Elasticsearch that can be far away: a load of some seconds."""
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        scene.proxy = proxy
        yield Remap(scene)


@pytest.mark.timeout(600)
def test_a_field_is_renamed(remap: Remap, record_property: Any) -> None:
    """The load is killed twice; then swap, rollback, swap. At each settle point each index equals
    its own query, and no search in between saw a mixture."""
    scene, edited = remap.scene, remap.edited
    scene.serve().stop()
    [old] = scene.behind()
    edited.rename_title()
    scene.proxy.delay = 0.03
    with Searcher(scene) as searcher:
        for documents in (40, 120):
            daemon = scene.start()
            with remap.edits():
                reached = partial(le, documents)
                daemon.wait_for("load_progress", documents=reached, deadline=_PATIENCE)
                assert not daemon.found("loaded"), "too fast for this test"
                daemon.kill()
        daemon = scene.start()
        remap.expect({old: edited.before})
        with remap.edits():
            scene.proxy.delay = 0
            daemon.wait_for("former_kept", physical=old, deadline=_PATIENCE)
        [new] = scene.behind()
        both = {old: edited.before, new: scene.config}
        remap.expect(both)
        for used in (old, new, old, new):
            with remap.edits():
                remap.rollback()
            assert scene.behind() == [used]
            remap.expect(both)
    daemon.stop()
    scene.assert_converged()
    started = [one for each in scene.processes.started for one in each.found("load_started")]
    assert {one["physical"] for one in started} == {old, new}
    assert not any(each.found("parked") for each in scene.processes.started)
    assert not searcher.wrong, searcher.wrong[:5]
    assert searcher.answers.keys() == {f"{old} title", f"{new} name"}
    record_property("edits a second", [round(rate) for rate in remap.rates])
    print(f"edits a second: {remap.rates}, answers: {searcher.answers}")
