"""A Docker engine for the test: the one that is reachable, or one of our own.

An engine of our own keeps its data, its socket and its pid file apart, so that it never meets an
engine that somebody else starts. dockerd changes the machine's packet filter and leaves a bridge
behind: both are put back when it has ended. Its images stay under the playground's directory for
the next run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.leftovers import end_leftover, forget, remember
from playground.places import cache_directory
from playground.system import FileLock, PlaygroundError, wait_gone, wait_until

ROOT = Path(__file__).parent.parent.parent

_PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
}
_BRIDGE = Path("/sys/class/net/docker0")
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_EMPTY_TABLES = {"filter": ":FORWARD ACCEPT [0:0]\n", "nat": ""}


class CommandError(Exception):
    """A command of the test failed; the message is what it printed."""


@dataclass(frozen=True)
class Engine:
    """A reachable engine. `own` says that we started it and that nothing of value is in it."""

    environment: dict[str, str]
    own: bool

    def docker(self, *arguments: str, timeout: float = 600) -> str:
        """Runs docker and returns what it printed on standard output. Raises CommandError."""
        return run(["docker", *arguments], self.environment, timeout=timeout)

    def has_image(self, name: str) -> bool:
        """Whether an image of this name is there."""
        return bool(self.docker("image", "ls", "--quiet", name).strip())


def run(
    command: Sequence[str], environment: dict[str, str] | None = None, *, timeout: float = 600
) -> str:
    """Runs a command and returns its standard output. Raises CommandError when it fails."""
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{command[0]} was not found") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(command)}: not done after {timeout:g} s") from error
    if done.returncode:
        raise CommandError(
            f"{' '.join(command)} ended with status {done.returncode}:\n"
            f"{(done.stdout + done.stderr)[-6000:]}"
        )
    return done.stdout


@contextlib.contextmanager
def docker_engine() -> Iterator[Engine]:
    """The engine to use; one that had to be started ends with the context."""
    environment = dict(os.environ)
    if shutil.which("docker") and _answers(environment):
        yield Engine(environment, own=False)
        return
    install_missing()
    home = cache_directory() / "compose"
    home.mkdir(exist_ok=True)
    lock = FileLock(home / "engine.lock")
    if not lock.acquire(wait=False):
        raise CommandError("another compose-test is running here")
    end_leftover(home)
    with lock, tempfile.TemporaryDirectory(prefix="compose-") as place:
        environment["DOCKER_HOST"] = f"unix://{place}/docker.sock"
        environment["DOCKER_BUILDKIT"] = "0"  # Debian ships no buildx
        with _network_kept(), _daemon(home, Path(place), environment):
            engine = Engine(environment, own=True)
            yield engine
            # What older runs have built. Younger images serve as the cache of the next build.
            engine.docker("image", "prune", "--force", "--filter", "until=24h")


def install_missing() -> None:
    """Installs what is missing of Debian's packages. Raises CommandError where it cannot."""
    missing = sorted({package for tool, package in _PACKAGES.items() if not shutil.which(tool)})
    if not missing:
        return
    hint = f"no Docker engine is reachable, and one needs: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CommandError(hint)
    print(f"installing {' '.join(missing)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], environment)
    run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], environment)


def _answers(environment: dict[str, str]) -> bool:
    try:
        run(["docker", "info"], environment, timeout=20)
    except CommandError:
        return False
    return True


@contextlib.contextmanager
def _daemon(home: Path, place: Path, environment: dict[str, str]) -> Iterator[None]:
    command = [
        "dockerd",
        "--storage-driver=overlay2",
        f"--data-root={home}/docker",
        f"--exec-root={place}/exec",
        f"--pidfile={place}/docker.pid",
        f"--host={environment['DOCKER_HOST']}",
    ]
    log = place / "dockerd.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C ends the test, which then ends the engine in order.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    remember(home, process.pid, signal.SIGTERM)
    try:
        try:
            wait_until(
                lambda: process.poll() is not None or _answers(environment),
                seconds=60,
                what="dockerd answers",
                every=0.2,
            )
        except PlaygroundError as error:
            raise CommandError(f"{error}\n{log.read_text(errors='replace')[-3000:]}") from error
        if process.poll() is not None:
            raise CommandError(f"dockerd ended:\n{log.read_text(errors='replace')[-3000:]}")
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            if not wait_gone(process.pid, 60):
                process.kill()
        process.wait()
        forget(home)


@contextlib.contextmanager
def _network_kept() -> Iterator[None]:
    """Puts packet filter, forwarding and bridge back to what they were."""
    had_bridge = _BRIDGE.exists()
    forwarding = _FORWARDING.read_text()
    rules = run(["iptables-save"])
    for table, empty in _EMPTY_TABLES.items():
        if f"*{table}\n" not in rules:
            rules += f"*{table}\n{empty}COMMIT\n"
    try:
        yield
    finally:
        subprocess.run(["iptables-restore"], input=rules, text=True, check=True)
        _FORWARDING.write_text(forwarding)
        if not had_bridge and _BRIDGE.exists():
            run(["ip", "link", "delete", _BRIDGE.name])
