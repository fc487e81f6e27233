"""Log-ins that change while the daemon runs, and what it says of certificates and files.

Before the real servers stands a gate that asks for a password or shows a certificate.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess, Record
from tests.kit.lengths import one_short
from tests.kit.proxies.log_in import Certificates, LogInProxy, basic
from tests.kit.scene import Scene

USER = "schlüssel"
FIRST, SECOND = "grün—日本 \U0001f511 first secret", "blåbær:second secret"
"""Letters outside of ASCII, outside of Latin-1, and a colon."""


def edit(scene: Scene, word: str) -> None:
    """One change that must arrive."""
    scene.sql(f"UPDATE content.film_work SET title = '{word}' WHERE id = md5('film 1')::uuid")


def in_place(file: Path, text: str) -> None:
    """Truncated, then written, with a line's end."""
    file.write_text(text + "\n", "utf-8")


def by_rename(file: Path, text: str) -> None:
    """A new file takes its name; it begins with a byte order mark."""
    new = file.with_name("new")
    new.write_text(text, "utf-8-sig")
    new.replace(file)


def by_link(file: Path, text: str) -> None:
    """As Kubernetes does: the name is a link into a folder that is swapped."""
    folder = file.with_name(f"data-{len(list(file.parent.iterdir()))}")
    folder.mkdir()
    (folder / "secret").write_text(text, "utf-8")
    link = file.with_name("link")
    link.symlink_to(folder / "secret")
    link.replace(file)


def test_password_rotated_in_its_file(scene: Scene, tmp_path: Path) -> None:
    """Held while the server knows another one than the file; going on when it stands there."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    file = folder / "password"
    in_place(file, FIRST)
    with LogInProxy(scene.search.port, basic(USER, FIRST)) as gate:
        scene.set(elasticsearch={"urls": [gate.url], "user": USER, "password_file": str(file)})
        daemon = scene.serve()
        assert gate.refused == 0
        mark = daemon.mark()
        gate.header = basic(USER, SECOND)
        edit(scene, "Rotated")
        told = re.compile("401 .*Mend: elasticsearch.*password")
        daemon.wait_for("held", after=mark, reason=told)
        mark = daemon.mark()
        file.unlink()
        daemon.wait_for("waiting", after=mark, reason=re.compile(f"401.*{re.escape(str(file))}"))
        file.write_bytes(b"")
        daemon.wait_for("waiting", after=daemon.mark(), reason=re.compile("is empty"))
        by_rename(file, SECOND)
        scene.wait_converged()
        for way in (in_place, by_rename, by_link, by_link):
            # before the server takes only the next one: nothing is refused
            mark, refused = daemon.mark(), gate.refused
            password = f"{FIRST} {mark}"
            gate.former, gate.header = gate.header, basic(USER, password)
            way(file, password)
            edit(scene, f"Both {mark}")
            scene.wait_converged()
            gate.former = None
            edit(scene, f"Again {mark}")
            scene.wait_converged()
            assert gate.refused == refused, daemon.log
            assert not daemon.found("held", after=mark)
        daemon.stop()
    scene.assert_converged()
    for secret in (FIRST, SECOND, "second secret", basic(USER, FIRST).split()[1]):
        assert secret not in daemon.log


@pytest.mark.parametrize(
    "shown",
    one_short(
        ("VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw", "VnVhQ2ZHY0JDZGJrUW0="),
        "VnVhQ2ZHY0JDZGJrUW0=",
    ),
)
def test_api_key_rotated_in_its_file(scene: Scene, tmp_path: Path, shown: str) -> None:
    """As the server shows it, encoded or as id and key."""
    file = tmp_path / "key"
    file.write_text("b2xkOm9sZA==\r\n")
    wanted = basic(*shown.split(":")).split()[1] if ":" in shown else shown
    with LogInProxy(scene.search.port, "ApiKey b2xkOm9sZA==") as gate:
        scene.set(elasticsearch={"urls": [gate.url], "api_key_file": str(file)})
        daemon = scene.serve()
        mark = daemon.mark()
        gate.header = f"ApiKey {wanted}"
        edit(scene, "Rotated")
        daemon.wait_for("held", after=mark, reason=re.compile("401"))
        file.write_text(shown + "\n")
        scene.wait_converged()
        daemon.stop()
    scene.assert_converged()


def held(daemon: ListenerProcess, pattern: str, after: Record | int | None = None) -> Record:
    """Wait until it says so, and what mends it."""
    return daemon.wait_for("held", after=after, reason=re.compile(pattern))


def test_certificates(scene: Scene, tmp_path: Path) -> None:
    """Each fault is told with its cause and its mend, at the start and under way; all pass when it
    is mended, without another start."""
    own, other = Certificates(tmp_path / "own"), Certificates(tmp_path / "other")
    good = own.signed("IP:127.0.0.1")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(other.ca.read_bytes())
    with LogInProxy(scene.search.port, certificate=good) as gate:
        scene.set(elasticsearch={"urls": [gate.url], "ca_certs": str(trusted)})
        daemon = scene.start()
        held(daemon, "certificate verify failed.*Mend: elasticsearch.ca_certs")
        check = scene.start("check")
        check.expect_exit(2)
        assert "\n    elasticsearch.ca_certs: " in check.output
        trusted.write_bytes(own.ca.read_bytes())
        daemon.wait_for("caught_up")
        scene.wait_converged()
        mark = daemon.mark()
        gate.show(own.signed("DNS:search.example.org"))
        edit(scene, "Mismatch")
        held(daemon, "match.*Mend: elasticsearch.urls", mark)
        gate.show(good)
        scene.wait_converged()
        # rotated: the file is gone for a moment, then there is another CA
        mark = daemon.mark()
        trusted.unlink()
        gate.show(other.signed("IP:127.0.0.1"))
        edit(scene, "Rotated")
        held(daemon, "No such file.*Mend: elasticsearch.ca_certs", mark)
        trusted.write_bytes(other.ca.read_bytes())
        scene.wait_converged()
        daemon.stop()
    scene.assert_converged()


def test_another_fingerprint(scene: Scene, tmp_path: Path) -> None:
    """Told as what it is."""
    with LogInProxy(
        scene.search.port, certificate=Certificates(tmp_path / "a").signed("IP:127.0.0.1")
    ) as gate:
        scene.set(elasticsearch={"urls": [gate.url], "fingerprint": "ab" * 32})
        held(scene.start(), "ingerprints did not match.*Mend: elasticsearch.fingerprint")


def test_http_where_https_is_spoken_and_the_reverse(scene: Scene, tmp_path: Path) -> None:
    """Which of the two it should be."""
    with LogInProxy(
        scene.search.port, certificate=Certificates(tmp_path / "a").signed("IP:127.0.0.1")
    ) as gate:
        scene.set(elasticsearch={"urls": [gate.url.replace("https", "http")]})
        scene.start().wait_for("waiting", reason=re.compile("Mend: elasticsearch.urls: https://"))
    scene.set(elasticsearch={"urls": [f"https://127.0.0.1:{scene.search.port}"]})
    held(scene.start(), "Mend: elasticsearch.urls: http://")


@pytest.mark.parametrize(
    "option",
    one_short(("elasticsearch.ca_certs", "postgres.sslrootcert"), "elasticsearch.ca_certs"),
)
def test_files_that_are_missing(scene: Scene, tmp_path: Path, option: str) -> None:
    """2, with the path: nothing is waited for. What else a file may be: tests/unit."""
    section, name = option.split(".")
    file = tmp_path / "the file"
    scene.set(elasticsearch={"urls": [f"https://127.0.0.1:{scene.search.port}"]})
    scene.set(**{section: {name: str(file)}})
    for command in ([], ["verify"]):
        process = scene.start(*command)
        process.expect_exit(2)
        assert f"{file}: " in process.log, process.log


def test_postgres_password_with_any_letters(scene: Scene, tmp_path: Path) -> None:
    """Rotated in its file too: the daemon waits, and reads it again."""
    role = f"rolé {scene.database}"
    file = tmp_path / "password"
    scene.admin(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{FIRST}' IN ROLE process_owner")
    try:
        in_place(file, FIRST)
        scene.set(postgres={"user": role, "password": None, "password_file": str(file)})
        daemon = scene.serve()
        scene.admin(f"ALTER ROLE \"{role}\" PASSWORD '{SECOND}'")
        mark = daemon.mark()
        file.unlink()
        scene.admin(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        )
        daemon.wait_for("waiting", after=mark, reason=re.compile(re.escape(str(file))))
        by_rename(file, SECOND)
        edit(scene, "Rotated")
        scene.wait_converged()
        daemon.stop()
        scene.assert_converged()
        assert "second secret" not in daemon.log
    finally:
        scene.admin(f'REASSIGN OWNED BY "{role}" TO process_owner; DROP OWNED BY "{role}"')
        scene.admin(f'DROP ROLE "{role}"')
