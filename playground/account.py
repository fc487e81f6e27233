"""Who the servers run as.

PostgreSQL and Elasticsearch refuse to run as root. Where the playground is started by root (a
container, a CI runner), they run as a system account of their own.
"""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from playground.system import PlaygroundError

ACCOUNT_NAME = "listener-playground"


@dataclass(frozen=True)
class Account:
    """A user of the operating system, by name and numbers."""

    name: str
    uid: int
    gid: int


@functools.cache
def service_account() -> Account | None:
    """The account for servers when we are root, created if need be; None for any other user.

    Raises PlaygroundError when the account is missing and cannot be created.
    """
    if os.geteuid() != 0:
        return None
    if _lookup(ACCOUNT_NAME) is None:
        command = ["useradd", "--system", "--no-create-home", ACCOUNT_NAME]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            why = done.stderr.strip()
        except FileNotFoundError:
            why = "there is no useradd here"
        if _lookup(ACCOUNT_NAME) is None:  # another process may have been faster: then all is well
            raise PlaygroundError(
                f"servers do not run as root, and the account {ACCOUNT_NAME} could not be "
                f"created ({why}): create it by hand, or run this as an ordinary user"
            )
    account = _lookup(ACCOUNT_NAME)
    assert account is not None
    return account


def run_as(
    account: Account | None, command: list[str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a command as the account (None: as ourselves) and returns what it printed.

    Raises PlaygroundError with its output when it fails and `check` is set.
    """
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if check and done.returncode:
        raise PlaygroundError(
            f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done


def can(account: Account | None, mode: str, path: Path) -> bool:
    """Whether the system grants the account the right `mode` ("r", "w" or "x") to a path."""
    return run_as(account, ["test", f"-{mode}", str(path)], check=False).returncode == 0


def _lookup(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)
