"""docs/configuration.md says what the models say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from listener.config.settings import Option, load, options
from listener.config.settings.source import FILE_VARIABLE

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def row(option: Option) -> str:
    """The line of the tables that describes one option."""
    plain = option.default in ("required", "none")
    default = option.default if plain else f"`{option.default}`"
    variable = f"`{option.variable}`" if option.variable else ""
    return f"| `{option.path}` | {default} | {variable} | {option.description} |"


@pytest.mark.parametrize("option", options(), ids=lambda one: one.path)
def test_each_option_is_documented(option: Option) -> None:
    """With its default, its variable and its meaning, word for word."""
    assert row(option) in DOCUMENT.splitlines()


def test_nothing_else_is_documented() -> None:
    """No row of an option that is gone, no variable that means nothing."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(row(option) for option in options())
    known = {one.variable for one in options()} | {FILE_VARIABLE}
    assert set(re.findall(r"LISTENER_[A-Z0-9_]+", DOCUMENT)) <= known


def test_the_example_can_be_loaded(tmp_path: Path) -> None:
    """As it stands, with the variable that it uses."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(blocks) == 1
    for name in re.findall(r"\S+\.(?:sql|json)\b", blocks[0]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    path = tmp_path / "config.yaml"
    path.write_text(blocks[0])
    assert load(path, {"POSTGRES_PASSWORD": "x"}).pipeline == "movies"


def test_the_repository_s_own_configuration_can_be_loaded() -> None:
    """config.yaml at the top, with a password from outside."""
    config = load(ROOT / "config.yaml", {"LISTENER_POSTGRES_PASSWORD": "x"})
    assert [one.index for one in config.documents] == ["movies"]
