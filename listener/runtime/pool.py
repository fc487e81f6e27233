"""A pool: a few threads of one run that take pieces of work in turn."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec

from listener.runtime.lifecycle import Life

P = ParamSpec("P")


class ServicePool:
    """As ServiceThread, for work that comes in pieces: a defect in one of them ends the run."""

    def __init__(self, name: str, threads: int, life: Life) -> None:
        """`threads`: how many pieces are done at a time."""
        self._life = life
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def submit(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do this as soon as a thread is free. Raises RuntimeError after `join`."""

        def run() -> None:
            try:
                work(*args, **kwargs)
            except BaseException as error:
                self._life.fail(error)

        self._threads.submit(run)

    def join(self) -> None:
        """Wait until all is done. Safe before the first piece, and any number of times."""
        self._threads.shutdown()
