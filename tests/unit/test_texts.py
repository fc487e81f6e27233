"""Text files that the configuration names: which one is meant where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from listener.config.texts import NoText, read_text


@pytest.mark.parametrize(
    ("asked", "there", "meant"),
    [
        ("film.sql", ["film.json", "films.sql"], "films.sql"),
        ("film.sql", ["film.json", "film.yaml", "film.md"], None),
        ("index_config.json", ["index_config.yaml", "index-config.json"], "index-config.json"),
        ("film.SQL", ["film.json", "film.sql"], "film.sql"),
        ("film.sq", ["film.json", "film.sql"], "film.sql"),
        ("film", ["film.sql"], "film.sql"),
        ("film.sql", [], None),
    ],
)
def test_a_neighbour_that_may_hold_the_like(
    tmp_path: Path, asked: str, there: list[str], meant: str | None
) -> None:
    """A mapping is never meant by the name of a query, however alike the names are."""
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(NoText) as caught:
        read_text(tmp_path / asked)
    assert str(caught.value).partition("; ")[2] == (f"did you mean {meant}?" if meant else "")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is meant by it."""
    path = tmp_path / "away" / "film.sql"
    with pytest.raises(NoText) as caught:
        read_text(path)
    assert str(caught.value) == f"{path}: cannot read it: No such file or directory"
