"""Makes the stand-in images: a base by debootstrap, and one image on it for each official one."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from playground import blueprint
from playground.blueprint import SERVERS
from playground.layout import server_home
from tests.compose.engine import CommandError, Engine, run

BASE = "listener-compose-test/debian:bookworm"

STANDINS = Path(__file__).parent / "standins"


def make_stand_ins(engine: Engine, names: dict[str, str]) -> list[str]:
    """Builds the images that the engine lacks; returns the names of all that it made.

    `names` gives for each recipe (`python`, `postgres`, `elasticsearch`) the name to tag.
    """
    prepare: dict[str, Callable[[Path], None]] = {
        "python": _prepare_python,
        "postgres": lambda _: None,
        "elasticsearch": _prepare_elasticsearch,
    }
    if not engine.has_image(BASE):
        _make_base(engine)
    for recipe, name in names.items():
        print(f"stand-in for {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="compose-") as place:
            context = Path(place) / recipe
            shutil.copytree(STANDINS / recipe, context)
            prepare[recipe](context)
            engine.docker(
                "build", "--quiet", "--build-arg", f"BASE_IMAGE={BASE}", "--tag", name, str(context)
            )
    return list(names.values())


def _make_base(engine: Engine) -> None:
    """Debian's smallest system as an image."""
    print("base image by debootstrap", flush=True)
    with tempfile.TemporaryDirectory(prefix="compose-") as place:
        root = Path(place) / "root"
        run(["debootstrap", "--variant=minbase", "bookworm", str(root)])
        for waste in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / waste)
            (root / waste).mkdir()
        with subprocess.Popen(
            ["tar", "--directory", root, "--create", "."], stdout=subprocess.PIPE
        ) as packed:
            done = subprocess.run(
                ["docker", "import", "-", BASE],
                stdin=packed.stdout,
                env=engine.environment,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode or packed.returncode:
            raise CommandError(f"docker import failed:\n{done.stderr}")


def _prepare_python(context: Path) -> None:
    """The machine's CA bundle and its settings of pip: inside a build, pip has only these."""
    bundle = ssl.get_default_verify_paths().cafile
    if bundle is None:
        raise CommandError("this machine has no CA bundle for pip to trust")
    shutil.copy(bundle, context / "ca-certificates.crt")
    lines = ["[global]", "cert = /etc/ssl/certs/ca-certificates.crt"]
    for setting in run(["python3", "-m", "pip", "config", "list"]).splitlines():
        key, _, value = setting.partition("=")
        option = key.rpartition(".")[2]
        if option in ("index-url", "extra-index-url", "trusted-host", "timeout"):
            lines.append(f"{option} = {value.strip(chr(39))}")
    (context / "pip.conf").write_text("\n".join(lines) + "\n")


def _prepare_elasticsearch(context: Path) -> None:
    """The home of the playground's Elasticsearch."""
    plan = blueprint.load("es8")
    shutil.copytree(server_home(plan), context / "home")
    shutil.copy(SERVERS / "log4j2.properties", context / "home")
    (context / "home" / "main-class").write_text(plan.main)
    (context / "home" / "jvm-options").write_text(" ".join(plan.jvm_options))
