"""Hostile clients: they may connect, and therefore NOTIFY, and have no right on any table."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from playground.daemon import ListenerProcess
from tests.kit.scene import Connection, Scene

CHANNEL = "listener"
THING = "odd.thing(id)"
PAIR = "odd.pair(high,name,low)"

NOT_OURS = {
    "nothing": "",
    "a word": "hello",
    "bytes": "\x01\x02\x1b[31m\x7f\u0085\u2028\ufeff{}",
    "a string": '"x"',
    "an array": "[1]",
    "null": "null",
    "truncated": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"',
    "more behind it": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"]} {}',
    "deeply nested": "[" * 7900,
    "deeply nested objects": '{"v":' * 1500,
    "deeply nested keys": '{"v": 1, "w": "odd.thing(id)", "k": ' + "[" * 3900 + "]" * 3900 + "}",
    "7,900 digits": "1" * 7900,
    "a version of 5,000 digits": '{"v": ' + "1" * 5000 + ', "w": "odd.thing(id)", "k": []}',
    "a version beyond all numbers": '{"v": 1e400, "w": "odd.thing(id)", "k": []}',
    "version 0": '{"v": 0, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version 2": '{"v": 2, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version 1.0": '{"v": 1.0, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version true": '{"v": true, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version '1'": '{"v": "1", "w": "odd.thing(id)", "k": ["thing 1"]}',
    "no version": '{"w": "odd.thing(id)", "k": ["thing 1"]}',
    "NaN": '{"v": 1, "w": "odd.thing(id)", "k": NaN}',
    "NaN beside it": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "x": NaN}',
    "Infinity as version": '{"v": Infinity, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "two of one name": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "k": ["thing 2"]}',
    "two versions": '{"v": 2, "w": "odd.thing(id)", "k": ["thing 1"], "v": 1}',
    "one field too many": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "d": {"title": "x"}}',
    "keys and a sweep": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "sweep": true}',
    "a sweep of 1": '{"v": 1, "w": "odd.thing(id)", "sweep": 1}',
    "no sweep": '{"v": 1, "w": "odd.thing(id)", "sweep": false}',
    "a table that nobody watches": '{"v": 1, "w": "pg_catalog.pg_authid(oid)", "k": ["10"]}',
    "another key of a table": '{"v": 1, "w": "odd.thing(tag)", "k": ["tag 1"]}',
    "SQL as a table": """{"v": 1, "w": "odd.thing(id); DROP TABLE odd.thing", "k": ["1"]}""",
    "a table as a list": '{"v": 1, "w": ["odd.thing(id)"], "k": ["thing 1"]}',
    "a number as key": '{"v": 1, "w": "odd.thing(id)", "k": [1]}',
    "null as key": '{"v": 1, "w": "odd.thing(id)", "k": [null]}',
    "an object as key": '{"v": 1, "w": "odd.thing(id)", "k": [{"thing 1": 1}]}',
    "two parts for one column": '{"v": 1, "w": "odd.thing(id)", "k": [["thing 1", "2"]]}',
    "no part": '{"v": 1, "w": "odd.thing(id)", "k": [[]]}',
    "NUL in a key": '{"v": 1, "w": "odd.thing(id)", "k": ["a\\u0000"]}',
    "half a character in a key": '{"v": 1, "w": "odd.thing(id)", "k": ["\\ud800"]}',
    "text for a number": f'{{"v": 1, "w": "{PAIR}", "k": [["one", "a", "b"]]}}',
    "SQL for a number": f'{{"v": 1, "w": "{PAIR}", "k": [["1 OR 1=1", "a", "b"]]}}',
    "a number out of range": f'{{"v": 1, "w": "{PAIR}", "k": [["9223372036854775808", "a", "b"]]}}',
    "a number of 5,000 digits": f'{{"v": 1, "w": "{PAIR}", "k": [["{"9" * 5000}", "a", "b"]]}}',
    "1e2": f'{{"v": 1, "w": "{PAIR}", "k": [["1e2", "a", "b"]]}}',
    "digits of another script": f'{{"v": 1, "w": "{PAIR}", "k": [["\u0661", "a", "b"]]}}',
    "one good key among bad ones": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1", 2]}',
    "a barrier of nobody": '{"v": 1, "barrier": "00000000000000000000000000000000"}',
    "an empty barrier": '{"v": 1, "barrier": ""}',
    "a long barrier": '{"v": 1, "barrier": "' + "a" * 7000 + '"}',
    "a barrier of a number": '{"v": 1, "barrier": 1}',
    "a barrier of all": '{"v": 1, "barrier": true}',
}
"""None of these may lead to as much as a read."""


def send(connection: Connection, payloads: Iterable[str]) -> None:
    """Send all of them in one transaction: PostgreSQL drops those that repeat another."""
    connection.execute(
        "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload",
        (CHANNEL, list(payloads)),
    )


def keys(watch: str, found: Sequence[object]) -> str:
    """The payload of changed keys."""
    return json.dumps({"v": 1, "w": watch, "k": found})


def documents(scene: Scene) -> list[int]:
    """How many documents there are of each kind, those of no search included."""
    names = [one["index"] for one in scene.options["documents"]]
    scene.request("POST", f"/{','.join(names)}/_refresh")
    return [scene.request("GET", f"/{name}/_count")["count"] for name in names]


def ignored(daemon: ListenerProcess) -> int:
    """How many payloads were ignored, as far as it was told."""
    return max((int(one["count"]) for one in daemon.found("bad_payload")), default=0)


def ignored_so_far(scene: Scene, daemon: ListenerProcess) -> int:
    """How many payloads were ignored, not one less: another one is sent behind them, and told."""
    mark = daemon.mark()
    send(scene.connect(), ["no JSON at all"])
    told = daemon.wait_for("bad_payload", after=mark, reason=lambda why: why == "not JSON")
    return int(told["count"])


class Flood:
    """Sends payloads in the block, so many a second, until its end."""

    def __init__(
        self, scene: Scene, make: Callable[[int], str], *, rate: int, ahead: float = math.inf
    ) -> None:
        """`make` is given the number of the payload. `ahead`: seconds of it that are sent at most
        since `arrived`: so a slow machine is flooded as fast as it reads, and not faster: a barrier
        that is read ten seconds late ends the session.
        """
        self._scene = scene
        self._make = make
        self._size = max(1, rate // 20)
        self._ahead = ahead * rate
        self._most = self._ahead
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._sent = 0

    @property
    def sent(self) -> int:
        """How many payloads so far; raises what ended the flood."""
        if self._error is not None:
            raise self._error
        return self._sent

    def arrived(self, sent: int) -> None:
        """Something that came behind so many payloads has been read: they were, too."""
        self._most = sent + self._ahead

    def _run(self) -> None:
        try:
            connection = self._scene.connect()
            while not self._stop.wait(0.05):
                if self._sent >= self._most:
                    continue
                numbers = range(self._sent, self._sent + self._size)
                send(connection, map(self._make, numbers))
                self._sent += self._size
        except BaseException as error:
            self._error = error

    @contextmanager
    def flowing(self) -> Iterator[Flood]:
        """While inside it sends."""
        thread = threading.Thread(target=self._run, name="flood")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()


class Parrot:
    """Listens on listener's channel, and sends each barrier again, former ones included."""

    def __init__(self, scene: Scene, *, times: int = 5) -> None:
        self._ear, self._mouth = scene.connect(), scene.connect()
        self._times = times
        self._own: set[str] = set()
        self._seen: list[str] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parrot")
        self.sent = 0

    @property
    def heard(self) -> int:
        """How many barriers of the daemon it has repeated."""
        return len(self._seen)

    def wait(self, least: int, deadline: float = 20) -> None:
        """Wait until it has repeated so many."""
        with self._changed:
            there = self._changed.wait_for(lambda: len(self._seen) >= least, deadline)
        assert there, f"the daemon has sent {len(self._seen)} barriers, not {least}"

    def _run(self) -> None:
        self._ear.execute(f"LISTEN {CHANNEL}".encode())
        while not self._stop.is_set():
            for notify in list(self._ear.notifies(timeout=0.1, stop_after=1)):
                if notify.payload not in self._own and "barrier" in notify.payload:
                    self._repeat(notify.payload)

    def _repeat(self, payload: str) -> None:
        copies = [
            one + " " * (self.sent + place)
            for place, one in enumerate([payload] * self._times + self._seen[-self._times :])
        ]
        self._own.update(copies)
        send(self._mouth, copies)
        self.sent += len(copies)
        with self._changed:
            self._seen.append(payload)
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
