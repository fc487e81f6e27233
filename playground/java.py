"""Finds a Java development kit, and calls Maven and the compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from playground.system import PlaygroundError

_PLACES = ("/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines")
_RELEASE = re.compile(r'^JAVA_RUNTIME_VERSION="(.+)"', re.MULTILINE)
_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)


def find_jdk(at_least: int) -> Path:
    """The home of the oldest JDK that is of the version `at_least`.

    Looks at JAVA_HOME first, then along PATH, then where systems install Java. Raises
    PlaygroundError, which says what to install.
    """
    fitting: dict[int, Path] = {}
    for home in _homes():
        version = _version_of(home)
        if version >= at_least:
            fitting.setdefault(version, home)
    if fitting:
        return fitting[min(fitting)]
    raise PlaygroundError(
        f"no JDK {at_least} or newer, with javac, was found (JAVA_HOME, PATH, "
        f"{', '.join(_PLACES)}): install it, on Debian and Ubuntu with "
        f"`apt-get install openjdk-{at_least}-jdk-headless`, on macOS with "
        f"`brew install --cask temurin@{at_least}`, or let JAVA_HOME name it"
    )


def release_of(jdk: Path) -> str:
    """Which build of Java a JDK is, in letters that a file name may have."""
    found = _RELEASE.search((jdk / "release").read_text())
    return re.sub(r"[^\w.+-]", "_", found.group(1)) if found else "unknown"


def copy_artifacts(coordinates: tuple[str, ...], version: str, target: Path) -> None:
    """Puts jars and all that they depend on into `target`, from where Maven's settings say.

    A coordinate is GROUP:ARTIFACT, of the given version, or GROUP:ARTIFACT:VERSION. Raises
    PlaygroundError when Maven is missing or fails.
    """
    if shutil.which("mvn") is None:
        raise PlaygroundError(
            "Maven was not found: install it, on Debian and Ubuntu with `apt-get install maven`, "
            "on macOS with `brew install maven`"
        )
    target.mkdir(parents=True, exist_ok=True)
    pom = target.parent / "pom.xml"
    pom.write_text(_pom(coordinates, version))
    # without a version Maven takes the plugin that its own release stands for
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    run(["mvn", "--quiet", "--batch-mode", "--file", str(pom), *goal])


def compile_jar(jdk: Path, source: Path, class_path: Path, jar: Path) -> None:
    """Compiles one Java file against all jars of a directory and packs its classes."""
    classes = jar.parent / f"{jar.stem}-classes"
    options = ["-nowarn", "-encoding", "UTF-8", "-d", str(classes), "-cp", f"{class_path}/*"]
    run([str(jdk / "bin" / "javac"), *options, str(source)])
    run([str(jdk / "bin" / "jar"), "--create", "--file", str(jar), "-C", str(classes), "."])
    shutil.rmtree(classes)


def run(command: list[str]) -> None:
    """Runs a build command. Raises PlaygroundError with what it printed when it fails."""
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise PlaygroundError(
            f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}"
        )


def _homes() -> Iterator[Path]:
    if "JAVA_HOME" in os.environ:
        yield Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("javac")
    if on_path:
        yield Path(on_path).resolve().parent.parent
    for place in _PLACES:
        for home in sorted(Path(place).glob("*")):
            yield home.resolve()
            yield home / "Contents" / "Home"


def _version_of(home: Path) -> int:
    """The feature release of a JDK; 0 for what is none."""
    if not (home / "bin" / "javac").exists() or not (home / "bin" / "java").exists():
        return 0
    try:
        found = _VERSION.search((home / "release").read_text())
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def _pom(coordinates: tuple[str, ...], version: str) -> str:
    dependencies = []
    for coordinate in coordinates:
        group, artifact, *own = coordinate.split(":")
        dependencies.append(
            f"    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{own[0] if own else version}</version></dependency>\n"
        )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n'
        "  <modelVersion>4.0.0</modelVersion>\n"
        "  <groupId>playground</groupId><artifactId>layout</artifactId><version>1</version>\n"
        f"  <dependencies>\n{''.join(dependencies)}  </dependencies>\n</project>\n"
    )
