"""Writes and faults of all kinds: index = query at each settle point."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.search import SearchServer
from tests.convergence.example import Run
from tests.convergence.machine import run_examples
from tests.convergence.servers import Servers, open_servers
from tests.convergence.world import open_world
from tests.kit.servers import revive

HISTORIES = Path(__file__).parent / "histories"


@pytest.fixture(scope="module")
def servers(search_server: SearchServer) -> Iterator[Servers]:
    """A PostgreSQL that allows prepared transactions, and everybody's Elasticsearch."""
    revive(search_server)
    with open_servers(search_server) as servers:
        yield servers


LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("movies", "doorbell"),
        pytest.param("stock", "rows", marks=LONG),
        pytest.param("movies", "rows", marks=LONG),
        pytest.param("movies", "off", marks=LONG),
        pytest.param("stock", "doorbell", marks=LONG),
        pytest.param("stock", "off", marks=LONG),
    ],
)
def test_convergence(servers: Servers, kind: str, mode: str, tmp_path: Path) -> None:
    """Two examples of each, the same in every run."""
    seed = zlib.crc32(f"{kind} {mode}".encode())  # each combination has examples of its own
    run = Run(servers, kind, mode, seed, tmp_path)
    run_examples(run, examples=3, steps=25)
    print(f"{kind} {mode}: {run.examples} examples, {sum(run.steps.values())} steps")


@pytest.mark.parametrize("name", sorted(path.stem for path in HISTORIES.glob("*.json")))
def test_history(servers: Servers, name: str, tmp_path: Path) -> None:
    """Sequences that chance seldom draws, each of which shows a wrong rule."""
    history = json.loads((HISTORIES / f"{name}.json").read_text("utf-8"))
    with open_world(servers, history["scenario"], tmp_path) as world:
        for step in history["steps"]:
            world.do(step)
