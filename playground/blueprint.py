"""The descriptions of search servers in `servers/`, as values.

One file NAME.toml says which jars of Maven Central make a server, how they fall into its modules,
which of our few Java classes it needs beside them, and what its virtual machine must be told.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.system import PlaygroundError

SERVERS = Path(__file__).parent / "servers"


@dataclass(frozen=True)
class Source:
    """A Java file of ours and the name of the jar that its classes go into."""

    jar: str
    file: Path


@dataclass(frozen=True)
class Module:
    """A part of the server with a class loader of its own, and the jars that make it."""

    name: str
    plugin_class: str
    jars: tuple[str, ...]
    extends: str


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to lay out one search server.

    `java` is the oldest Java that it runs on. `digest` changes with everything that a layout
    depends on, our Java files included.
    """

    name: str
    product: str
    version: str
    java: int
    main: str
    jvm_options: tuple[str, ...]
    artifacts: tuple[str, ...]
    sources: tuple[Source, ...]
    modules: tuple[Module, ...]
    digest: str

    @property
    def property_prefix(self) -> str:
        """How the names of the server's system properties begin."""
        return "es" if self.product == "elasticsearch" else self.product


def names() -> list[str]:
    """The names of all servers that can be laid out."""
    return sorted(path.stem for path in SERVERS.glob("*.toml"))


def load(name: str) -> Blueprint:
    """Reads the description of a server. Raises PlaygroundError for a name that there is not."""
    path = SERVERS / f"{name}.toml"
    if not path.exists():
        raise PlaygroundError(f"there is no search server {name!r}, only {', '.join(names())}")
    raw: dict[str, Any] = tomllib.loads(path.read_text())
    sources = tuple(
        Source(item["jar"], SERVERS / "java" / item["file"]) for item in raw.get("sources", [])
    )
    modules = tuple(
        Module(item["name"], item["class"], tuple(item["jars"]), item.get("extends", ""))
        for item in raw["modules"]
    )
    inputs = [path, *(source.file for source in sources)]
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in inputs)).hexdigest()[:12]
    return Blueprint(
        name=name,
        product=raw["product"],
        version=raw["version"],
        java=raw["java"],
        main=raw["main"],
        jvm_options=tuple(raw["jvm_options"]),
        artifacts=tuple(raw["artifacts"]),
        sources=sources,
        modules=modules,
        digest=digest,
    )
