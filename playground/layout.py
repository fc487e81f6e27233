"""Lays out a search server from jars: once for each version, for all processes together."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from playground.account import run_as
from playground.blueprint import Blueprint, Module
from playground.java import compile_jar, copy_artifacts, find_jdk
from playground.places import cache_directory
from playground.system import FileLock


def server_home(blueprint: Blueprint) -> Path:
    """The home of a server's programs (lib, modules), laid out if it is not there yet.

    Servers only read it, so any number of them share it. It appears under its name when it is
    complete: what an interrupted layout leaves is thrown away by the next. Raises PlaygroundError
    when Maven or a JDK is missing or fails.
    """
    home = _home(blueprint)
    if home.exists():
        return home
    cache = home.parent
    with FileLock(cache / f"{blueprint.name}.lock"):
        if not home.exists():
            half = cache / f"{home.name}.half"
            shutil.rmtree(half, ignore_errors=True)
            _lay_out(blueprint, half)
            half.rename(home)
            for old in cache.glob(f"{blueprint.name}-*.half"):
                shutil.rmtree(old, ignore_errors=True)
    return home


def is_laid_out(blueprint: Blueprint) -> bool:
    """Whether `server_home` has nothing left to do."""
    return _home(blueprint).exists()


def _home(blueprint: Blueprint) -> Path:
    return cache_directory() / f"{blueprint.name}-{blueprint.version}-{blueprint.digest}"


def _lay_out(blueprint: Blueprint, home: Path) -> None:
    jdk = find_jdk(blueprint.java)
    library = home / "lib"
    copy_artifacts(blueprint.artifacts, blueprint.version, library)
    for source in blueprint.sources:
        # compiled against the published jars only, and named as the server's own jars are
        jar = library / f"{source.jar}-{blueprint.version}.jar"
        compile_jar(jdk, _for_product(blueprint, source.file, home), library, jar)
    for module in blueprint.modules:
        _move_module(blueprint, module, home)
    (home / "plugins").mkdir()
    _borrow_zstd(library)
    run_as(None, ["chmod", "-R", "a+rX", str(home)])


def _for_product(blueprint: Blueprint, source: Path, home: Path) -> Path:
    """A copy of a Java file in which the packages bear the product's name."""
    copy = home / "src" / source.name
    copy.parent.mkdir(exist_ok=True)
    text = source.read_text(encoding="utf-8")
    copy.write_text(text.replace("org.elasticsearch", f"org.{blueprint.product}"), encoding="utf-8")
    return copy


def _move_module(blueprint: Blueprint, module: Module, home: Path) -> None:
    folder = home / "modules" / module.name
    folder.mkdir(parents=True)
    for pattern in module.jars:
        for jar in sorted((home / "lib").glob(pattern)):
            jar.rename(folder / jar.name)
    descriptor = {
        "name": module.name,
        "description": module.name,
        "version": blueprint.version,
        "classname": module.plugin_class,
        "java.version": "1.8",
        f"{blueprint.product}.version": blueprint.version,
        "has.native.controller": "false",
        "extended.plugins": module.extends,
    }
    lines = [f"{key}={value}\n" for key, value in descriptor.items()]
    (folder / "plugin-descriptor.properties").write_text("".join(lines))


def _borrow_zstd(library: Path) -> None:
    """Gives the server the system's libzstd, where it has one.

    Only the index codec best_compression of Elasticsearch 9 asks for it; no jar carries it.
    """
    for found in sorted(Path("/usr").glob("lib*/**/libzstd.so.1")):
        machine = {"x86_64": "x64"}.get(platform.machine(), platform.machine())
        target = library / "platform" / f"linux-{machine}"
        target.mkdir(parents=True)
        shutil.copy(found, target / "libzstd.so")
        return
