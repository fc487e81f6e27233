"""Sweeps that find what a test has for them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import override

from listener.capture.sweep import Sweep, SweptPage
from listener.changes import Change, Key, Watch
from listener.postgres import Connection
from tests.kit.coordinator.watched import FILM, OVERLAP, Asked
from tests.kit.coordinator.world import World


def page(*changes: tuple[Watch, Sequence[Key]], **other: Any) -> SweptPage:
    """A page of a sweep: keys by watch, or whatever else a journal says."""
    named = tuple(Change(watch.id, "keys", tuple(keys)) for watch, keys in changes)
    return SweptPage(FILM.id, named, sum(len(one.keys) for one in named), 0.1, **other)


class FakeSweep(Sweep):
    """Finds what the world has for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.forgotten: datetime | None = None

    @override
    def pages(
        self,
        connection: Connection,
        since: datetime,
        *,
        silent: bool = False,
        recent: timedelta | None = None,
        margin: timedelta = timedelta(0),
        ahead: bool = False,
    ) -> Generator[SweptPage]:
        """A sweep; `margin` is that of the configuration."""
        assert margin == OVERLAP
        self._world.asked.append(Asked(since, silent, recent, ahead))
        self._world.step("swept silently" if silent else "swept")
        pages, self._world.pages = self._world.pages, []
        yield from pages

    @override
    def ahead_again(
        self,
        connection: Connection,
        since: datetime | None,
        *,
        silent: bool = False,
    ) -> Generator[SweptPage]:
        """A look ahead."""
        before = "" if since is None else f" from {since:%H:%M:%S}"
        self._world.step(f"looked ahead{before}{' silently' if silent else ''}")
        pages, self._world.news_ahead = self._world.news_ahead, []
        yield from pages

    @override
    def forget_before(self, since: datetime) -> None:
        """Nothing is read before this."""
        self._world.step("memory forgotten")
        self.forgotten = since
