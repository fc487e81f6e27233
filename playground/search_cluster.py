"""A cluster of several search servers on one machine, of which any may be killed."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any, Self

from playground.search import DEFAULT, SearchServer, Setting
from playground.system import LOOPBACK, PlaygroundError, wait_until

_IMPATIENT: dict[str, Setting] = {
    "cluster.publish.timeout": "3s",
    "cluster.fault_detection.leader_check.interval": "500ms",
    "cluster.fault_detection.leader_check.timeout": "1s",
    "cluster.fault_detection.leader_check.retry_count": 2,
    "cluster.fault_detection.follower_check.interval": "500ms",
    "cluster.fault_detection.follower_check.timeout": "1s",
    "cluster.fault_detection.follower_check.retry_count": 2,
}
"""A node that is frozen is given up after some seconds; by default a frozen master costs 33."""


class SearchCluster:
    """Nodes that find each other and elect a master; every one of them holds data.

    Their ports stay over restarts. A node that was killed comes back by its `start`.
    """

    def __init__(self, nodes: int = 3, *, name: str = DEFAULT, heap: str = "400m") -> None:
        self.nodes = [
            # the quick compiler only: several of them start at once
            SearchServer(name, heap=heap, jvm_options=["-XX:TieredStopAtLevel=1"])
            for _ in range(nodes)
        ]
        names = [f"node-{number}" for number in range(1, nodes + 1)]
        seeds = [f"{LOOPBACK}:{node.transport_port}" for node in self.nodes]
        for node, own in zip(self.nodes, names, strict=True):
            node.settings |= {
                "node.name": own,
                "discovery.seed_hosts": seeds,
                "cluster.initial_master_nodes": names,
                **_IMPATIENT,
            }

    @property
    def urls(self) -> list[str]:
        """The addresses of all nodes, for clients."""
        return [node.url for node in self.nodes]

    @property
    def alive(self) -> list[SearchServer]:
        """The nodes that run."""
        return [node for node in self.nodes if node.running]

    def start(self) -> None:
        """Starts all nodes; returns when they are one cluster."""
        for node in self.nodes:
            node.start_process()
        self.wait_whole()

    def wait_whole(self, *, seconds: float = 90.0) -> None:
        """Waits until all nodes are in the cluster and every copy of every index is in use."""
        wait_until(
            self._whole,
            seconds=seconds,
            what=f"a green cluster of {len(self.nodes)} nodes",
            every=0.1,
        )

    def master(self) -> SearchServer:
        """The elected master."""
        [row] = self._ask("/_cat/master?format=json")
        return self._named(row["node"])

    def primary_of(self, index: str) -> SearchServer:
        """The node that holds the primary copy of the index's first shard."""
        rows = self._ask(f"/_cat/shards/{index}?format=json")
        [row] = [one for one in rows if one["prirep"] == "p" and one["shard"] == "0"]
        return self._named(row["node"])

    def close(self) -> None:
        """Stops all nodes and removes what they had. A last one has nobody to say goodbye to."""
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _named(self, name: str) -> SearchServer:
        for node in self.nodes:
            if node.settings["node.name"] == name:
                return node
        raise PlaygroundError(f"no node is called {name!r}")

    def _ask(self, path: str) -> Any:
        answers: list[Any] = []

        def ask() -> bool:
            for node in self.alive:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, answer = node.request("GET", path)
                    if status == 200 and answer:
                        answers.append(answer)
                        return True
            return False

        wait_until(ask, seconds=60, what=f"an answer to {path}", every=0.1)
        return answers[0]

    def _whole(self) -> bool:
        for node in self.nodes:
            try:
                status, health = node.request("GET", "/_cluster/health", timeout=10)
            except (OSError, http.client.HTTPException):
                return False
            whole = status == 200 and health["number_of_nodes"] == len(self.nodes)
            if not whole or health["status"] != "green":
                return False
        return True
