"""A changed definition: `preview` against `verify`, and what feeding the former index costs.

- `preview` is run over all films with the files as they are, and with a query that changes a field
  of each document. Its floor is `verify`, which reads as much from both servers and tries nothing
  in a scratch index. The three take turns. Each is timed as a whole process.
- The changed query is loaded and swapped in, once with the former index kept and once without
  (`keep_former: 0`), in turns. Then one statement updates all films. The one without is the floor.

At the end somebody goes back to the former index: it equals the query that it was made by.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.bulks import Ask, settle
from benchmarks.results import Figure, Goal, Result
from benchmarks.stage import Site, Stage

_KEEP: Final = 3600
_WITHIN: Final = 900.0
_TITLE: Final = "'title', film.title"


@dataclass(slots=True)
class _Seconds:
    """What each whole process took, by round."""

    verify: list[float] = field(default_factory=list)
    same: list[float] = field(default_factory=list)
    """`preview` of the files as they are."""
    changed: list[float] = field(default_factory=list)
    """`preview` of a query that changes all documents."""


@dataclass(frozen=True, slots=True)
class _Storm:
    """One UPDATE of all films, until the last index has the last of them."""

    seconds: float
    operations: int
    cpu: float


class _Files:
    """The site's query in a file of its own, which is edited from round to round."""

    def __init__(self, site: Site) -> None:
        document = site.options["documents"][0]
        self._path = site.folder / "film.sql"
        shutil.copy(document["query_file"], self._path)
        document["query_file"] = str(self._path)
        site.write()
        self._text = self._path.read_text("utf-8")
        if _TITLE not in self._text:
            raise RuntimeError(f"{Path(document['query_file']).name} has no {_TITLE}")

    def say(self, suffix: str) -> None:
        """Each title ends so from now on; empty: as it was."""
        title = f"{_TITLE} || '{suffix}'" if suffix else _TITLE
        self._path.write_text(self._text.replace(_TITLE, title), "utf-8")


def run(stage: Stage) -> Result:
    """Previews and comparisons first, then the storms, round by round."""
    took = _Seconds()
    kept: list[_Storm] = []
    alone: list[_Storm] = []
    with stage.site() as site:
        files = _Files(site)
        films = int(site.sql("SELECT count(*) FROM content.film_work")[0][0])
        with site.serve():
            pass
        for number in range(stage.rounds + 1):
            files.say("")
            of_verify = _timed(site, 0, "verify")
            of_same = _timed(site, 0, "preview", site.index)
            files.say("!")
            of_changed = _timed(site, 1, "preview", site.index)
            stage.say(
                f"verify {of_verify:.2f} s, preview {of_same:.2f} s, of a changed query "
                f"{of_changed:.2f} s{'' if number else ' (does not count)'}"
            )
            if number:
                took.verify.append(of_verify)
                took.same.append(of_same)
                took.changed.append(of_changed)
        ask = Ask(site)
        for number in range(stage.rounds + 1):
            pair = (alone, 0, "without"), (kept, _KEEP, "with")
            for storms, seconds, name in pair if number % 2 else reversed(pair):
                files.say(f" {name} {number}")
                storm = _storm(site, ask, films, seconds, number)
                stage.say(f"{name} a former index: {storm.seconds:.2f} s")
                if number:
                    storms.append(storm)
        _go_back(site, files)
        ask.close()
    return _result(films, took, kept, alone)


def _timed(site: Site, status: int, *arguments: str) -> float:
    """Seconds of a command that must end so."""
    began = time.monotonic()
    site.start(*arguments).process.expect_exit(status, deadline=_WITHIN)
    return time.monotonic() - began


def _storm(site: Site, ask: Ask, films: int, keep_former: int, number: int) -> _Storm:
    """Swap in what the files say now, then update all films."""
    site.options["keep_former"] = keep_former
    site.write()
    daemon = site.start("run")
    daemon.process.wait_for("loaded", deadline=_WITHIN)
    daemon.process.wait_for("caught_up", deadline=_WITHIN)
    every = f"{site.index}-*"
    before, spent = ask.total(every), daemon.cpu()
    site.sql(f"UPDATE content.film_work SET rating = {number}.5")
    committed = time.monotonic()
    seen = settle(ask, every, before, films * (2 if keep_former else 1))
    cpu = (daemon.cpu() - spent).total
    site.assert_converged()
    daemon.process.stop()
    return _Storm(seen.last - committed, seen.operations, cpu)


def _go_back(site: Site, files: _Files) -> None:
    """The former index was fed by its own query."""
    site.options["keep_former"] = _KEEP
    site.write()
    files.say(" before")
    daemon = site.start("run")
    daemon.process.wait_for("loaded", deadline=_WITHIN)
    daemon.process.stop()
    files.say(" after")
    daemon = site.start("run")
    daemon.process.wait_for("loaded", deadline=_WITHIN)
    site.sql("UPDATE content.film_work SET rating = 9")
    site.run("rollback", site.index)
    files.say(" before")
    site.assert_converged()
    daemon.process.stop()


def _result(films: int, took: _Seconds, kept: list[_Storm], alone: list[_Storm]) -> Result:
    twice, storm = Goal("ratio", "<=", 2.0), "one UPDATE of all films"
    return Result(
        figures=[
            Figure(f"preview of {films:,} films, none changed", "s", took.same, took.verify, twice),
            Figure(
                f"preview of {films:,} films, all changed", "s", took.changed, took.verify, twice
            ),
            Figure(
                f"{storm}, writes of a film, former index kept",
                "",
                [one.operations / films for one in kept],
                goal=Goal("value", "<=", 2.0),
            ),
            Figure(
                f"{storm}, writes of a film, keep_former 0",
                "",
                [one.operations / films for one in alone],
                goal=Goal("value", "<=", 1.0),
            ),
            Figure(
                f"{storm}, until the last is in, former index kept",
                "s",
                [one.seconds for one in kept],
                [one.seconds for one in alone],
                twice,
            ),
            Figure(
                "daemon's CPU a film, former index kept",
                "us",
                [one.cpu * 1e6 / films for one in kept],
                [one.cpu * 1e6 / films for one in alone],
                twice,
            ),
        ],
        notes=[
            "The floor of `preview` is `verify`, each a whole process. The floor of a storm with a "
            "former index is the same storm with `keep_former: 0`.",
            "The first round of each does not count: Elasticsearch's virtual machine compiles.",
            "Writes are index and delete operations of all indexes of the alias, in use, former "
            "and left over. CPU is the daemon's, from the statement until a second of silence.",
            "Index = query after each storm. At the end `listener rollback` goes back to a former "
            "index under a storm, and it equals the query that it was made by.",
        ],
    )
