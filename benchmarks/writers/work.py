"""What the writers of the scenario `writers` do: small commits by pgbench, and large statements."""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid
from hashlib import md5
from typing import Final, Literal

from benchmarks.stage import Site
from benchmarks.writers.variants import superuser

Commit = Literal["CPU-bound", "commit of 1 ms"]
COMMITS: Final[dict[Commit, str]] = {
    "CPU-bound": "-c synchronous_commit=off",
    # The session that writes the log for a group of commits waits so long before it does.
    "commit of 1 ms": "-c commit_delay=1000 -c commit_siblings=0",
}
CLIENTS: Final = 8

_TPS: Final = re.compile(r"^tps = ([\d.]+)", re.M)


def values(*, sets: bool) -> str:
    """What an UPDATE sets; `sets`: the application maintains its updated_at, as most do."""
    return "rating = random() * 10" + (", updated_at = now()" if sets else "")


def small(
    site: Site, rows: int, seconds: int, commit: Commit, *, sets: bool, clients: int = CLIENTS
) -> float:
    """Transactions a second: UPDATEs of one random row, prepared, one a commit."""
    script = site.folder / "small.pgbench"
    script.write_text(
        f"\\set n random(1, {rows})\n"
        f"UPDATE shop.item SET {values(sets=sets)} WHERE id = md5(:n::text)::uuid;\n",
        "utf-8",
    )
    postgres = site.stage.postgres
    command = [str(postgres.binary("pgbench")), "--no-vacuum", "--protocol=prepared"]
    command += [f"--client={clients}", f"--time={seconds}", f"--file={script}"]
    command += [f"--host={postgres.socket_directory}", f"--port={postgres.port}"]
    command += ["--username=postgres", site.name]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(
        command,
        env={**inherited, "PGOPTIONS": COMMITS[commit]},
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    found = _TPS.search(done.stdout)
    if found is None or "failed" in done.stderr:
        raise RuntimeError(f"pgbench: {done.stdout}{done.stderr}")
    return float(found[1])


def update(site: Site, *, sets: bool) -> float:
    """Seconds of one UPDATE of all rows."""
    return _timed(site, f"UPDATE shop.item SET {values(sets=sets)}")


def delete(site: Site) -> float:
    """Seconds of one DELETE of what `copy` has brought."""
    return _timed(site, "DELETE FROM shop.item WHERE title LIKE 'Copied %'")


def copy(site: Site, data: bytes) -> float:
    """Seconds of one COPY of `copied`."""
    with superuser(site) as connection:
        connection.execute("SET synchronous_commit = off")
        began = time.perf_counter()
        with connection.cursor().copy(
            "COPY shop.item (id, title, description, rating) FROM STDIN"
        ) as stream:
            stream.write(data)
        return time.perf_counter() - began


def copied(rows: int) -> bytes:
    """So many new rows, for COPY."""
    return b"".join(
        f"{uuid.UUID(md5(b'copy %d' % n, usedforsecurity=False).hexdigest())}"
        f"\tCopied {n}\t{'a description ' * 5}\t{n % 100 / 10}\n".encode()
        for n in range(rows)
    )


def _timed(site: Site, statement: str) -> float:
    with superuser(site) as connection:
        connection.execute("SET synchronous_commit = off")
        began = time.perf_counter()
        connection.execute(statement.encode())
        return time.perf_counter() - began
