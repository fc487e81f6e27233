"""`make demo` as people run it: without a terminal, on one, and interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "playground.demo"]
WITHIN = 150.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder for all temporary files of one demo; its name marks the demo's processes."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment for the demo, on a terminal of two hundred columns."""
        return {**os.environ, "TMPDIR": str(self.folder), "TERM": "xterm", "COLUMNS": "200"}

    def left(self) -> list[str]:
        """Processes and files of the demo that are still there."""
        mark = os.fsencode(self.folder)
        found = [str(path) for path in self.folder.iterdir() if path.suffix != ".lock"]
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                for name in ("cmdline", "environ"):
                    content = (entry / name).read_bytes()
                    if mark in content:
                        found.append(content.replace(b"\0", b" ").decode(errors="replace"))
        return found


@pytest.fixture
def place() -> Iterator[Place]:
    """A place that the servers' account can reach, which that of pytest is not."""
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    folder.chmod(0o755)
    yield Place(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Screen:
    """A demo on a terminal of its own, and what it has printed so far."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*DEMO, *arguments],
            cwd=ROOT,
            env=place.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the pattern stands there."""
        deadline = time.monotonic() + WITHIN
        while not (found := re.search(pattern, self.text, re.MULTILINE)):
            readable, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert readable, f"{pattern!r} does not come; the screen shows:\n{self.text}"
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # what a terminal says when its last process has ended
                chunk = b""
            assert chunk, f"the demo ended before {pattern!r}; the screen shows:\n{self.text}"
            self.text += _CONTROL.sub("", chunk.decode(errors="replace"))
        return found

    def end(self, number: signal.Signals) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        with contextlib.suppress(AssertionError):
            self.wait_for("(?!)")  # a terminal that nobody reads would hold the demo up
        return self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        os.close(self._master)


def test_without_a_terminal(place: Place) -> None:
    """Every edit arrives; a table with all of them; status 0; nothing is left running or lying."""
    done = subprocess.run(
        [*DEMO, "--times", "2"],
        check=False,
        cwd=ROOT,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=WITHIN,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in done.stdout.splitlines()
        if line.startswith("│")
    ]
    assert [(name.split(" (")[0], int(count)) for name, count, *_ in rows] == [
        ("film: title changed", 1),
        ("genre renamed", 56),
        ("actor added", 1),
        ("link moved to another film", 2),
        ("film deleted", 1),
    ]
    for _, _, *times in rows:
        for cell in times:
            assert re.fullmatch(r"\d+\.\d \(\d+\.\d\)", cell)
    assert "loaded 36273 of about" in done.stdout
    assert "documents compared, 36,271 documents for 36,271 films" in done.stdout
    assert not place.left()


@pytest.mark.long
def test_on_a_terminal(place: Place) -> None:
    """The printed lines work as they stand; Ctrl-C ends it with 0 and leaves nothing behind."""
    with Screen(place, "--times", "1") as screen:
        screen.wait_for("Ctrl-C stops everything")
        assert len(place.left()) > 4  # what is looked for at the end can be found
        command = screen.wait_for(r"^\S*psql postgresql\S+ -c .*$")[0]
        edited = subprocess.run(
            ["sh", "-c", command], check=False, capture_output=True, text=True, timeout=60
        )
        assert edited.stdout.strip() == "UPDATE 1", edited.stderr
        screen.wait_for(r"\.\d+ movies: 1 indexed, 0 deleted")
        url = screen.wait_for(r"curl '(\S+/_doc/[^']+)'")[1]
        with urllib.request.urlopen(url) as answer:
            document = json.load(answer)
        assert document["_source"]["title"] == "Edited by hand"
        assert screen.end(signal.SIGINT) == 0
    assert not place.left()


@pytest.mark.long
def test_interrupted_while_it_loads(place: Place) -> None:
    """SIGTERM ends it at once, with the status that shells know, and leaves nothing behind."""
    with Screen(place) as screen:
        screen.wait_for("full load")
        assert screen.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert not place.left()
