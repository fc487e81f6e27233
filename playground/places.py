"""Directories for servers, such that the account they run as can reach them.

The repository may lie under /root, and the temporary directories of pytest are closed to others.
Nobody's permissions are widened for that: what the account cannot reach is placed under /var/tmp.
Places whose owner is dead are swept when the next one is made, and servers left there are ended.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from playground.account import Account, can, service_account
from playground.leftovers import end_leftover
from playground.system import FileLock, PlaygroundError

_COMMON_GROUND = Path("/var/tmp/listener-playground")  # noqa: S108 - owned by root, mode 755
_LOCK_NAME = "playground.lock"
_ORIGIN_NAME = "placed-for"


def cache_directory() -> Path:
    """Where layouts and templates are kept, readable for the account; created if need be.

    `.playground` at the top of the repository, or PLAYGROUND_DIR of the environment.
    """
    chosen = os.environ.get("PLAYGROUND_DIR")
    path = Path(chosen) if chosen else Path(__file__).parent.parent / ".playground"
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    path = path.resolve()
    if can(service_account(), "x", path):
        return path
    key = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    path = _common_ground() / f"cache-{key}"
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    return path


def lock_of(directory: Path) -> FileLock:
    """The lock in a server's directory that says: its owner is alive."""
    return FileLock(directory / _LOCK_NAME)


def temporary_place(kind: str) -> tuple[Path, FileLock]:
    """A new directory that the servers' account owns, and its lock, held.

    Whoever holds the lock owns the directory; once the lock is free, the next call removes it.
    """
    base = Path(tempfile.gettempdir())
    account = service_account()
    if not can(account, "x", base):
        base = _common_ground()
    mine = f"playground-{os.geteuid()}"
    with FileLock(base / f"{mine}.lock"):
        for old in base.glob(f"{mine}-*"):
            _remove_if_free(old)
        made = Path(tempfile.mkdtemp(prefix=f"{mine}-{kind}-", dir=base)).resolve()
        give(made, account)
        lock = lock_of(made)
        lock.acquire(wait=True)
    return made, lock


def permanent_place(wanted: Path) -> Path:
    """The directory `wanted`, created if need be and given to the servers' account.

    Where the account cannot reach it, the directory with all its content moves to /var/tmp and a
    symbolic link is left behind; the answer is the path behind the link.
    """
    account = service_account()
    wanted = wanted.absolute()
    if not wanted.is_symlink():
        wanted.mkdir(parents=True, exist_ok=True)
    path = wanted.resolve()
    if account is None:
        return path
    give(path, account)
    if can(account, "w", path):
        return path
    with FileLock(_common_ground() / "places.lock"):
        for old in _common_ground().glob("placed-*"):
            if _origin_of(old).resolve() != old:
                _remove_if_free(old)
        elsewhere = _common_ground() / f"placed-{uuid.uuid4().hex[:12]}"
        shutil.move(path, elsewhere)
        give(elsewhere, account)
        (elsewhere / _ORIGIN_NAME).write_text(str(path))
        path.symlink_to(elsewhere)
    return elsewhere


def give(path: Path, account: Account | None) -> None:
    """Makes the account the owner of a directory and of all in it, unless it owns it already."""
    if account is None or path.stat().st_uid == account.uid:
        return
    for folder, _, names in os.walk(path, topdown=False):
        for name in (*names, "."):
            os.chown(Path(folder, name), account.uid, account.gid, follow_symlinks=False)


def _common_ground() -> Path:
    _COMMON_GROUND.mkdir(mode=0o755, exist_ok=True)
    if _COMMON_GROUND.is_symlink() or _COMMON_GROUND.stat().st_uid != os.geteuid():
        raise PlaygroundError(f"{_COMMON_GROUND} belongs to somebody else: remove it and try again")
    _COMMON_GROUND.chmod(0o755)
    return _COMMON_GROUND


def _origin_of(placed: Path) -> Path:
    try:
        return Path((placed / _ORIGIN_NAME).read_text())
    except OSError:
        return placed  # not ours to judge


def _remove_if_free(directory: Path) -> None:
    lock = lock_of(directory)
    try:
        if directory.is_dir() and lock.acquire(wait=False):
            end_leftover(directory)
            shutil.rmtree(directory, ignore_errors=True)
    except OSError:
        return  # its owner removes it at this very moment
    finally:
        lock.release()
