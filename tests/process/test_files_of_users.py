"""A person who mistypes: everything that is wrong is told at once, and nothing is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.lengths import one_short
from tests.kit.scene import Scene


@pytest.fixture
def files(scene: Scene) -> Path:
    """The folder of the scene, with copies of the example's files, which it names."""
    [document] = scene.options["documents"]
    for part in (document, *document["watch"]):
        for name in list(part):
            if name.endswith("_file"):
                copy = scene.folder / Path(part[name]).name
                shutil.copy(part[name], copy)
                part[name] = copy.name
    return scene.folder


def edit(path: Path, old: str, new: str) -> None:
    """Mistype."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_mistakes_in_all_files_at_once(scene: Scene, files: Path) -> None:
    """Of each command the same words, status 2, and nothing is made on either server."""
    kept = {one: one.read_bytes() for one in files.iterdir() if one.is_file()}
    edit(files / "film.sql", "film.title,", "film.titel,")
    edit(files / "genre_films.sql", "%(keys)s)", "%(key)s)")
    (files / "person_films.sql").write_bytes(b"-- caf\xe9\nSELECT 1")
    (files / "index_config.json").write_text('{"settings": {}}', "utf-8")
    wrong = (
        "film.sql: line 12: column film.titel does not exist",
        "genre_films.sql: line 6: unknown placeholder %(key)s; did you mean %(keys)s?",
        "person_films.sql: line 1: it is not UTF-8 (byte 0xe9)",
        "index_config.json: it has no `mappings`",
    )
    for arguments in (("check",), ("--once",), ("load",), ("run",)):
        process = scene.start(*arguments)
        process.expect_exit(2)
        told = process.output + "".join(one.message for one in process.records)
        for one in wrong:
            assert f"{scene.index}: {files}/{one}" in told, arguments
    assert scene.admin("SELECT FROM pg_namespace WHERE nspname = 'listener'") == []
    assert scene.request("GET", f"/{scene.prefix}*") == {}
    for path, content in kept.items():
        path.write_bytes(content)
    scene.once()
    scene.assert_converged()


MISTAKES = [
    ("film.sql", ("= ANY(%(ids)s)", "= %(ids)s"), "write COLUMN = ANY(%(ids)s)"),
    ("film.sql", ("AS document", "AS doc"), "exactly the columns id and document"),
    ("film.sql", ("content.person AS", "content.persons AS"), "did you mean content.person?"),
    ("film.sql", ("%(ids)s)", "%(ids)s); DELETE FROM content.genre"), "a second statement"),
    (
        "config.yaml",
        ("table: content.genre\n", "table: content.genres\n"),
        "content.genres: there is no such table",
    ),
    ("config.yaml", ("key: film_work_id", "key: filmwork_id"), "did you mean film_work_id?"),
    ("config.yaml", (": film.sql", ": films.sql"), "cannot read it: No such file"),
]
"""A file, what is mistyped in it, and what is told."""


@pytest.mark.parametrize("mistake", one_short(MISTAKES, MISTAKES[4]))
def test_one_mistake_is_one_finding(
    scene: Scene, files: Path, mistake: tuple[str, tuple[str, str], str]
) -> None:
    """It says what was meant, and not to install triggers where that mends nothing."""
    file, change, told = mistake
    config = scene.config
    edit(files / file, *change)
    check = scene.processes.start(config, "check")
    check.expect_exit(2)
    assert told in check.output
    found = [line for line in check.output.splitlines() if line.startswith("error: ")]
    assert len(found) == (2 if "filmwork" in change[1] else 1), check.output
    assert "triggers install" not in check.output


def test_a_missing_installation_is_one_line(scene: Scene) -> None:
    """With the tables that have no triggers; a single one that is gone is named."""
    scene.set(triggers={"install": "manual"})
    check = scene.start("check")
    check.expect_exit(2)
    found = [line for line in check.output.splitlines() if line.startswith("error: ")]
    tables = "film_work, content.genre, content.person, content.genre_film_work"
    [line] = found
    assert f"not installed in this database: no triggers on content.{tables}" in line
    assert "`listener triggers install`" in check.output
    scene.start("triggers", "install").expect_exit(0)
    scene.once()
    scene.assert_converged()
    [(name,)] = scene.admin(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'content.genre'::regclass "
        "AND tgname LIKE 'listener%insert'"
    )
    scene.admin(f'DROP TRIGGER "{name}" ON content.genre')
    check = scene.start("check")
    check.expect_exit(2)
    assert f"error: content.genre: trigger {name} is missing\n" in check.output


def test_a_percent_sign_is_sql(scene: Scene, files: Path) -> None:
    """In a query and in a mapping, loaded and followed. %% of a former version is told."""
    edit(
        files / "film.sql",
        "'title', film.title",
        "'title', CASE WHEN film.title LIKE '%9%' THEN '100% ' ELSE '' END || film.title "
        "|| length(film.title) % 7 -- %(ids)s stands here, too\n",
    )
    edit(files / "genre_films.sql", "%(keys)s)", "%(keys)s) AND 5 % 3 = 2 AND '%' <> '%(keys)s'")
    daemon = scene.serve()
    scene.sql("UPDATE content.film_work SET title = '9 ' || title")
    scene.sql("UPDATE content.genre SET name = '50% ' || name")
    scene.wait_converged()
    assert scene.search_for("100")
    daemon.stop()
    edit(files / "film.sql", "'%9%'", "'%%9%%'")
    edit(files / "film.sql", "'100% '", "'100%% '")
    edit(files / "film.sql", " % 7", "")
    check = scene.start("check")
    check.expect_exit(0)
    assert "film.sql: line 12: `%%` are two percent signs" in check.output
    scene.once()
    scene.assert_converged()
    assert "100%% " in scene.search_for("100")[0]["_source"]["title"]


def test_what_fails_later_is_told_with_its_line(scene: Scene, files: Path) -> None:
    """A migration renames a column while the daemon serves: the file and its line are named."""
    daemon = scene.serve()
    scene.admin("ALTER TABLE content.film_work RENAME COLUMN rating TO stars")
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 1')::uuid")
    held = daemon.wait_for("held", after=mark)
    assert (
        f"column film.rating does not exist (SQLSTATE 42703); {files}/film.sql: line 14"
        in (held["reason"])
    )
    assert scene.index in held["reason"]
    assert "triggers install" not in held["reason"]
    scene.admin("ALTER TABLE content.film_work RENAME COLUMN stars TO rating")
    scene.wait_converged()
    daemon.stop()
